"""A vocabulary: symbols with fixed ids. The five specials come first in every domain; data symbols follow them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

PAD, BOS, EOS, MASK, UNK = range(5)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<mask>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """The data symbols of one field, in id order; the first has id `len(SPECIALS)`.

    Raises ConfigError for a repeated symbol or one that is called like a special.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        seen = set(SPECIALS)
        for symbol in self.symbols:
            if symbol in seen:
                raise ConfigError(f"symbol {symbol!r} stands twice in the vocabulary, or is a special")
            seen.add(symbol)

    def __len__(self) -> int:
        """How many ids there are, specials included."""
        return len(SPECIALS) + len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol to id, specials included."""
        return {symbol: i for i, symbol in enumerate(SPECIALS + self.symbols)}

    def symbol(self, index: int) -> str:
        return (SPECIALS + self.symbols)[index]

    def encode(self, symbols: Iterable[str]) -> NDArray[np.int64]:
        """Symbols to ids (T,). Raises KeyError for a symbol that is not in the vocabulary."""
        return np.array([self.ids[symbol] for symbol in symbols], dtype=np.int64)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> list[str]:
        names = SPECIALS + self.symbols
        return [names[int(i)] for i in ids]

    def extend(self, symbols: Iterable[str]) -> Vocabulary:
        """A vocabulary with `symbols` appended; old ids stay as they are."""
        return Vocabulary(self.symbols + tuple(symbols))

    def extends(self, other: Vocabulary) -> bool:
        """Whether every id of `other` means the same here."""
        return self.symbols[: len(other.symbols)] == other.symbols

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned integer type that holds every id."""
        return np.dtype(np.uint8 if len(self) <= 2**8 else np.uint16 if len(self) <= 2**16 else np.uint32)
