"""k bases a token, without overlap: sequences k times shorter over 4^k symbols (k = 6 in Nucleotide Transformer).

A record is cut from its first base; a k-mer with an ambiguous base and the remainder at the end are spelled in single
letters, so that every record survives. Likelihoods per base compare with the other tokenizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import ClassVar

import numpy as np

from core.errors import ConfigError
from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.dna.tokenizer.letters import BASES
from domains.dna.tokenizer.shared import DnaConfig, DnaTokenizer
from domains.formats.letter_tokenizer import Letters

LARGEST_K = 8
"""4^8 = 65,536 symbols: a readout of width 192 has 13 M weights there, more than the model."""


@dataclass(frozen=True)
class KmerConfig(DnaConfig):
    k: int = 6
    """Bases a token, 1 to 8; 6 as in Nucleotide Transformer (Dalla-Torre et al. 2024, Nat. Methods 22:287)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.k <= LARGEST_K:
            raise ConfigError(f"k={self.k} is not allowed: 1 to {LARGEST_K}")


class KmerTokenizer(DnaTokenizer[KmerConfig]):
    """Single letters, then the 4^k k-mers in alphabetical order; k = 1 is the nucleotide tokenizer."""

    kind: ClassVar[str] = "dna_kmer"
    config_class = KmerConfig

    def pieces(self) -> tuple[str, ...]:
        return tuple(map("".join, product(BASES, repeat=self.config.k))) if self.config.k > 1 else ()

    def cut(self, letters: Letters) -> Array:
        k = self.config.k
        if k == 1:
            return self.letter_ids[letters]
        whole = letters[: len(letters) // k * k].reshape(-1, k)
        number = np.zeros(len(whole), np.uint32)
        for column in whole.T:
            number <<= 2
            number += column & 3
        rest = self.letter_ids[letters[whole.size :]]
        clean = np.ones(len(whole), bool)
        clean[np.flatnonzero(whole.ravel() >= len(BASES)) // k] = False
        sizes = np.where(clean, 1, k)
        ends = np.cumsum(sizes)
        tokens = np.empty(int(sizes.sum()) + len(rest), self.vocabulary.dtype)
        tokens[(ends - 1)[clean]] = number[clean] + self._first_piece
        tokens[(ends - k)[~clean, None] + np.arange(k)] = self.letter_ids[whole[~clean]]
        tokens[len(tokens) - len(rest) :] = rest
        return tokens

    @cached_property
    def _first_piece(self) -> int:
        return len(SPECIALS) + len(self.config.policy.symbols)
