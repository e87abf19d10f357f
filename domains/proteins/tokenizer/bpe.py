"""Pieces of frequent neighbours, learned from the training split by byte-pair encoding (as ProtGPT2 uses it).

The longest matches are found for all residues of a record at once. Likelihoods stay per residue, so the kinds compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.sequence import Array
from domains.formats.bpe_pieces import LearnedPieces, check_pieces
from domains.formats.letter_tokenizer import Letters
from domains.proteins.tokenizer.letters import RESIDUES
from domains.proteins.tokenizer.shared import ProteinConfig, ProteinTokenizer


@dataclass(frozen=True)
class ProteinBpeConfig(ProteinConfig):
    vocabulary_size: int = 512
    """How many data symbols to reach, single letters included; 32 to 4096. Proteins hardly repeat: more pieces are rare
    ones [512 pieces of UniProt stand for 1.9 residues on average]."""
    max_length: int = 8
    """Residues of the longest piece, 2 to 64."""
    sample_residues: int = 1_000_000
    """How many residues of the training split are looked at."""
    seed: int = 0
    """Which residues."""
    learned: tuple[str, ...] | None = None
    """The pieces, once learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pieces(self, RESIDUES, "sample_residues")


class ProteinBpeTokenizer(LearnedPieces, ProteinTokenizer[ProteinBpeConfig]):
    """Single letters, then the learned pieces. A record read from its other end is cut anew, so windows are not."""

    kind: ClassVar[str] = "protein_bpe"
    config_class = ProteinBpeConfig
    alphabet: ClassVar[str] = RESIDUES
    sample: ClassVar[str] = "sample_residues"

    def cut(self, letters: Letters) -> Array:
        """The longest piece that fits, then on behind it."""
        return self.tree.cut(letters, self.letter_ids[letters])
