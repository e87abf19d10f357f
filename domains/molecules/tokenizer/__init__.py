"""Molecules to tokens: by the symbols of SMILES (the default), by pieces of them, or as SELFIES."""

from domains.molecules.tokenizer.atoms import SmilesAtomsConfig, SmilesAtomsTokenizer
from domains.molecules.tokenizer.pieces import SmilesBpeConfig, SmilesBpeTokenizer
from domains.molecules.tokenizer.selfies import SelfiesConfig, SelfiesTokenizer

__all__ = [
    "SelfiesConfig",
    "SelfiesTokenizer",
    "SmilesAtomsConfig",
    "SmilesAtomsTokenizer",
    "SmilesBpeConfig",
    "SmilesBpeTokenizer",
]
