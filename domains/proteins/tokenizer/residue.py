"""One token a residue: the plainest reading, and the reference that BPE is compared with in bits per residue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from domains.formats.letter_tokenizer import SingleLetters
from domains.proteins.tokenizer.letters import may_look_like_dna
from domains.proteins.tokenizer.shared import ProteinConfig, ProteinTokenizer


@dataclass(frozen=True)
class ResidueConfig(ProteinConfig):
    """Nothing beyond what both protein tokenizers have."""


class ResidueTokenizer(SingleLetters, ProteinTokenizer[ResidueConfig]):
    """The twenty residues and, by policy, B Z X U O J and `*`: at most 32 ids with the specials."""

    kind: ClassVar[str] = "protein_residue"
    config_class = ResidueConfig

    def unsure(self, letters: NDArray[np.uint8], lengths: NDArray[np.int64]) -> bool:
        return may_look_like_dna(letters, lengths)
