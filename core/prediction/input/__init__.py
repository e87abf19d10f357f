"""What is predicted: rows, read a block at a time by any process, whatever they lie in.

A token store is one kind of input; arrays of a Zarr group of one's own and raw files are others, whose records the
bundle's tokenizer encodes. A row that no reader or tokenizer takes keeps its place and has a `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence, TokenSpec
from core.tokenizer import Tokenizer

if TYPE_CHECKING:
    from core.bundle import Bundle
    from core.ingest import RecordSource

INPUT = "input.json"
"""In the output: the files that an input of arrays consists of, each with its sha256."""


@dataclass(frozen=True)
class Refusal:
    """Why a row of the input is no record."""

    reason: str
    """A short code that refused rows are counted by."""
    message: str
    place: Mapping[str, Any] = field(default_factory=dict)
    """file, line and offset, of those that are known."""


@dataclass(frozen=True)
class EncodedRows:
    """Some rows of an input in order."""

    tokens: Sequence
    """All of them end to end; a refused one has no tokens."""
    offsets: NDArray[np.int64]
    """(n + 1,) where each begins in `tokens`."""
    ids: list[str]
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    """By row, counted from the first of these."""


class Input(Protocol):
    """Rows of one input, open in this process."""

    @property
    def path(self) -> Path: ...

    @property
    def spec(self) -> TokenSpec: ...

    @property
    def tokenizer(self) -> Mapping[str, Any]:
        """As `core.tokenizer.describe` gives it."""
        ...

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(P, 2) rows that are to be compared; (0, 2) where there are none."""
        ...

    @property
    def row_tokens(self) -> int:
        """Tokens of a row, about: what the size of a block is chosen by."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values that are equal for equal rows: `fingerprint`, `rows`, and what else a reader wants to see."""
        ...

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> EncodedRows:
        """Rows [start, stop). Raises IntegrityError naming the file that is damaged, missing or not what it was."""
        ...


@dataclass(frozen=True)
class ArrayRow:
    """One row of an array, before it is a record."""

    id: str
    value: str | NDArray[np.float64]
    """Letters; or values (T, C), NaN where missing."""
    channels: tuple[str, ...] = ()
    """Names of the C channels, where the array says them."""
    stamps: NDArray[Any] | None = None
    """(T,) the time coordinate as it stands in the array."""
    stamp_attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the time coordinate says of itself (CF: units, calendar)."""


@dataclass(frozen=True)
class Reader:
    """How records of a bundle's kind are made and encoded: what core does not know of them."""

    tokenizer: Tokenizer[Any]
    text: Callable[..., Any] | None = None
    """(ArrayRow of letters, tokenizer, **options) -> record; None where no text is a record."""
    values: Callable[..., Any] | None = None
    """(ArrayRow of values, tokenizer, **options) -> record; None where no series of numbers is one."""
    source: Callable[..., RecordSource[Any]] | None = None
    """(path=..., **options) -> the records of files."""


MakeReader = Callable[["Bundle"], Reader]
