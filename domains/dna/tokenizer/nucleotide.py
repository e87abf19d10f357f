"""One token a base. The plainest reading, and the reference that k-mers and BPE are compared with in bits per base."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.dna.tokenizer.shared import DnaConfig, DnaTokenizer, Letters


@dataclass(frozen=True)
class NucleotideConfig(DnaConfig):
    """Nothing beyond what all DNA tokenizers have."""


class NucleotideTokenizer(DnaTokenizer[NucleotideConfig]):
    """A C G T and, by policy, N and the IUPAC codes: 5 to 20 ids with the specials.

    Encodes about 1 GB/s: one `bytes.translate`, one addition.
    """

    kind: ClassVar[str] = "dna_nucleotide"
    config_class = NucleotideConfig

    def __init__(self, config: NucleotideConfig | None = None) -> None:
        super().__init__(config or NucleotideConfig())

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
