"""Proteins as tokens: a residue or a BPE piece each. Both read letters by one policy, `ResiduePolicy`."""

from domains.proteins.tokenizer.bpe import ProteinBpeConfig, ProteinBpeTokenizer
from domains.proteins.tokenizer.letters import CODES, RESIDUES, ResiduePolicy
from domains.proteins.tokenizer.residue import ResidueConfig, ResidueTokenizer

__all__ = [
    "CODES",
    "RESIDUES",
    "ProteinBpeConfig",
    "ProteinBpeTokenizer",
    "ResidueConfig",
    "ResiduePolicy",
    "ResidueTokenizer",
]
