"""One token a base. The plainest reading, and the reference that k-mers and BPE are compared with in bits per base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domains.dna.tokenizer.shared import DnaConfig, DnaTokenizer
from domains.formats.letter_tokenizer import SingleLetters


@dataclass(frozen=True)
class NucleotideConfig(DnaConfig):
    """Nothing beyond what all DNA tokenizers have."""


class NucleotideTokenizer(SingleLetters, DnaTokenizer[NucleotideConfig]):
    """A C G T and, by policy, N and the IUPAC codes: 5 to 20 ids with the specials."""

    kind: ClassVar[str] = "dna_nucleotide"
    config_class = NucleotideConfig
