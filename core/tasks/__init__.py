"""Tasks as tokens: questions to a sequence that a next-token model answers, for the tokenizer of any symbol domain.

`forms` are the kinds of answers, `tokenizer` puts them behind sequences, `source` makes labelled rows of records,
`grammar` is the automaton, `predict` asks a trained model, `evaluation` measures it.
"""
