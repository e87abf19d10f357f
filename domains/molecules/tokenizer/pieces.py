"""Frequent runs of SMILES symbols as tokens, learned from the training split by byte-pair encoding over atoms.

Li and Fourches 2021 (SMILES Pair Encoding): pieces are made of whole symbols, so that no atom is cut. A SMILES is cut
by the longest piece from the left. Bracket atoms that are taken apart, and what stands in them, are in no piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.formats.bpe_learning import learn_pieces, sample_codes
from domains.molecules.tokenizer.alphabet import (
    ATOMS,
    BONDS,
    CLOSE,
    COMMON_BRACKETS,
    DIGITS,
    DOT,
    OPEN,
    SmilesAlphabet,
)
from domains.molecules.tokenizer.shared import MoleculeConfig, MoleculeTokenizer

JOINED = frozenset((*ATOMS, *BONDS, DOT, OPEN, CLOSE, *DIGITS, *COMMON_BRACKETS))
"""What pieces are made of."""
_FIRST = 0x4E00
"""Symbols are learned as characters: symbol number n is character 0x4E00 + n."""


@dataclass(frozen=True)
class SmilesBpeConfig(MoleculeConfig):
    vocabulary_size: int = 512
    """How many data symbols to reach, single ones included; up to 4096."""
    max_length: int = 8
    """Symbols of the longest piece, 2 to 64."""
    sample_symbols: int = 1_000_000
    """How many symbols of the training split are looked at."""
    seed: int = 0
    """Which symbols."""
    learned: tuple[str, ...] | None = None
    """The pieces, once learned, symbols apart by spaces."""

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = {"vocabulary_size": (256, 4096), "max_length": (2, 64), "sample_symbols": (1000, 2**28)}
        for key, (low, high) in bounds.items():
            value = getattr(self, key)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{key}={value!r} is not allowed: {low:,} to {high:,}")
        for piece in self.learned or ():
            parts = piece.split(" ")
            if not 2 <= len(parts) <= self.max_length or not JOINED.issuperset(parts):
                raise ConfigError(f"learned: {piece!r} is no piece of 2 to {self.max_length} symbols")


class SmilesBpeTokenizer(MoleculeTokenizer[SmilesBpeConfig]):
    """Single symbols, then the learned pieces: about 30,000 molecules a second."""

    kind: ClassVar[str] = "smiles_bpe"
    config_class = SmilesBpeConfig

    @cached_property
    def alphabet(self) -> SmilesAlphabet:
        return SmilesAlphabet(COMMON_BRACKETS)

    @property
    def learned(self) -> bool:
        return self.config.learned is not None

    def learn(self, smiles: Iterable[str]) -> SmilesBpeConfig:
        if self.learned:
            return super().learn(smiles)
        alphabet, config = self.alphabet, self.config
        size = len(alphabet.symbols)
        joined = np.array([symbol in JOINED for symbol in alphabet.symbols])

        def codes() -> Iterator[NDArray[np.uint8]]:
            for text in smiles:
                found = alphabet.cut(text) - alphabet.first
                yield np.where(joined[found], found, 255).astype(np.uint8)

        sampled = sample_codes(codes(), config.sample_symbols, size, self.kind, config.seed)
        letters = "".join(chr(_FIRST + number) for number in range(size))
        pieces = learn_pieces(sampled, letters, config.vocabulary_size - size, config.max_length)
        spelled = (" ".join(alphabet.symbols[ord(c) - _FIRST] for c in piece) for piece in pieces)
        return replace(config, learned=tuple(spelled))

    def symbols(self) -> tuple[str, ...]:
        if self.config.learned is None:
            raise ConfigError(f"tokenizer {self.kind} has not learned its pieces yet", hint="Call fit first.")
        return (*self.alphabet.symbols, *self.config.learned)

    def texts(self) -> tuple[str, ...]:
        return (*self.alphabet.spelled, *(piece.replace(" ", "") for piece in self.config.learned or ()))

    def symbol_atoms(self) -> NDArray[np.float64]:
        first = self.alphabet.first
        single = self.alphabet.atoms(np.arange(first, first + len(self.alphabet.symbols)))
        pieces = [single[self._numbers(piece)].sum() for piece in self.config.learned or ()]
        return np.concatenate([single, pieces])

    def cut(self, smiles: str, name: str) -> Array:
        text = self.alphabet.cut(smiles, name).tobytes()
        pieces, longest = self._pieces, self._longest
        tokens, at = [], 0
        while at < len(text):
            for size in range(min(longest[text[at]], len(text) - at), 1, -1):
                found = pieces.get(text[at : at + size])
                if found is not None:
                    tokens.append(found)
                    at += size
                    break
            else:
                tokens.append(text[at])
                at += 1
        return np.array(tokens, self.vocabulary.dtype)

    def _numbers(self, piece: str) -> list[int]:
        return [self._place[symbol] for symbol in piece.split(" ")]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.alphabet.symbols)}

    @cached_property
    def _pieces(self) -> dict[bytes, int]:
        """Ids of a piece's symbols as bytes to the piece's id."""
        first = len(SPECIALS)
        behind = first + len(self.alphabet.symbols)
        learned = self.config.learned or ()
        return {bytes(first + n for n in self._numbers(piece)): behind + i for i, piece in enumerate(learned)}

    @cached_property
    def _longest(self) -> list[int]:
        """By the id of a symbol, symbols of the longest piece that begins with it."""
        sizes = [1] * 256
        for piece in self._pieces:
            sizes[piece[0]] = max(sizes[piece[0]], len(piece))
        return sizes
