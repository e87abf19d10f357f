"""One token a residue: the plainest reading, and the reference that BPE is compared with in bits per residue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.proteins.tokenizer.shared import Letters, ProteinConfig, ProteinTokenizer


@dataclass(frozen=True)
class ResidueConfig(ProteinConfig):
    """Nothing beyond what both protein tokenizers have."""


class ResidueTokenizer(ProteinTokenizer[ResidueConfig]):
    """The twenty residues and, by policy, B Z X U O J and `*`: at most 32 ids with the specials."""

    kind: ClassVar[str] = "protein_residue"
    config_class = ResidueConfig

    def __init__(self, config: ResidueConfig | None = None) -> None:
        super().__init__(config or ResidueConfig())

    def pieces(self) -> tuple[str, ...]:
        return ()

    def cut(self, letters: Letters) -> Array:
        if self._ids_follow_letters:
            letters += len(SPECIALS)
            return letters.astype(self.vocabulary.dtype, copy=False)
        return self.letter_ids[letters]

    @cached_property
    def _ids_follow_letters(self) -> bool:
        """Whether id = index of the letter + number of specials, in a byte: unless letters came after marks."""
        return len(self.letters) + len(SPECIALS) < 256 and bool(
            np.array_equal(self.letter_ids, np.arange(len(self.letters)) + len(SPECIALS))
        )
