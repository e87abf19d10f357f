"""DNA as tokens: a base, a k-mer, or a BPE piece each. All three read letters by one policy, `LetterPolicy`."""

from domains.dna.tokenizer.bpe import BpeConfig, BpeTokenizer
from domains.dna.tokenizer.kmer import KmerConfig, KmerTokenizer
from domains.dna.tokenizer.letters import CODES, LetterPolicy
from domains.dna.tokenizer.nucleotide import NucleotideConfig, NucleotideTokenizer

__all__ = [
    "CODES",
    "BpeConfig",
    "BpeTokenizer",
    "KmerConfig",
    "KmerTokenizer",
    "LetterPolicy",
    "NucleotideConfig",
    "NucleotideTokenizer",
]
