"""The central dogma as one language: coding DNA and its protein in one sequence, `<dna> atg gct <protein> M A`.

One vocabulary for both molecules, as in Omni-DNA (arXiv 2502.03499): a next-token model learns the genetic code from
pairs alone. Real coding regions are tested on; open reading frames made by code may be trained on beside them.
"""
