"""Observation and action spaces as columns: every value of an environment becomes a row of plain numbers, and back.

A Space is a list of parts in the order in which they are stored: Dict by its own keys, Tuple by its places,
MultiDiscrete digit by digit. A box has a column a number, a choice one column that holds the chosen number; an
observation's choice is read as one-hot columns. Knows gymnasium by the names of its classes only, which is not
imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError

Values = NDArray[np.float64]
BOX, CHOICE = "box", "choice"
SLACK = 1e-5
"""How far outside a box an action may lie, relative to the box: float32 rounding of a bound."""


@dataclass(frozen=True)
class Part:
    """One piece of a space: a box of numbers, or a choice among `size`."""

    name: str
    """Keys from the outermost in, with dots; empty for a space that is one part."""
    kind: str
    size: int
    """Numbers of a box, alternatives of a choice."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """Of a box: its bounds; infinite where there are none."""
    first: int = 0
    """Of a choice: the number of the first alternative."""
    shape: tuple[int, ...] = ()
    """Of a box: the shape that the environment wants back."""

    @property
    def columns(self) -> int:
        return self.size if self.kind == BOX else 1


@dataclass(frozen=True)
class Space:
    """The parts of an observation or action, in order."""

    parts: tuple[Part, ...]

    @cached_property
    def width(self) -> int:
        """Columns, a choice being one."""
        return sum(part.columns for part in self.parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for every column."""
        found: list[str] = []
        for part in self.parts:
            stem = part.name or ("x" if part.kind == BOX else "choice")
            found += [stem] if part.kind != BOX else [f"{stem}{i + 1}" for i in range(part.size)]
        return tuple(found)

    @property
    def discrete(self) -> bool:
        """Whether every part is a choice."""
        return all(part.kind == CHOICE for part in self.parts)

    @property
    def continuous(self) -> bool:
        return all(part.kind == BOX for part in self.parts)

    @cached_property
    def bounds(self) -> tuple[Values, Values]:
        """(columns,) low and high; of a choice its first and last number."""
        low: list[float] = []
        high: list[float] = []
        for part in self.parts:
            low += part.low if part.kind == BOX else (float(part.first),)
            high += part.high if part.kind == BOX else (float(part.first + part.size - 1),)
        return np.array(low), np.array(high)

    def columns(self) -> Iterator[tuple[Part, slice]]:
        """Each part and its columns."""
        at = 0
        for part in self.parts:
            yield part, slice(at, at + part.columns)
            at += part.columns

    def row(self, value: Any) -> Values:
        """(columns,) of one value as the environment gives it."""
        found: list[Any] = []
        _collect(value, found)
        return np.concatenate([np.asarray(v, np.float64).reshape(-1) for v in found])

    def one_hot(self, rows: Values) -> Values:
        """(T, columns) with each choice as `size` columns of 0 and 1; boxes as they are."""
        if self.continuous:
            return rows
        parts = []
        for part, where in self.columns():
            block = rows[:, where]
            parts.append(block if part.kind == BOX else np.eye(part.size)[block[:, 0].astype(int) - part.first])
        return np.concatenate(parts, axis=1)

    def clipped(self, rows: Values) -> Values:
        """(..., columns) inside the bounds."""
        low, high = self.bounds
        return np.clip(rows, low, high)

    def outside(self, rows: Values) -> tuple[int, int] | None:
        """(row, column) of the first value outside the space, or of a choice that is no whole number."""
        low, high = self.bounds
        room = SLACK * np.maximum(1.0, np.where(np.isfinite(high - low), high - low, 1.0))
        wrong = (rows < low - room) | (rows > high + room)
        for part, where in self.columns():
            if part.kind == CHOICE:
                wrong[:, where] |= rows[:, where] != np.round(rows[:, where])
        return (int(np.argwhere(wrong)[0, 0]), int(np.argwhere(wrong)[0, 1])) if wrong.any() else None

    def to_config(self) -> list[dict[str, Any]]:
        """Plain JSON values; bounds that are not there are None."""

        def plain(value: Any) -> Any:
            if not isinstance(value, tuple):
                return value
            return [v if np.isfinite(v) else None for v in value]

        return [{key: plain(value) for key, value in asdict(part).items()} for part in self.parts]

    @classmethod
    def from_config(cls, config: Any) -> Space:
        def bounds(values: Any, none: float) -> tuple[float, ...]:
            return tuple(none if v is None else float(v) for v in values)

        return cls(
            tuple(
                Part(
                    str(one["name"]),
                    str(one["kind"]),
                    int(one["size"]),
                    bounds(one.get("low", ()), -np.inf),
                    bounds(one.get("high", ()), np.inf),
                    int(one.get("first", 0)),
                    tuple(int(n) for n in one.get("shape", ())),
                )
                for one in config
            )
        )


def box(width: int, name: str = "", low: float = -np.inf, high: float = np.inf) -> Space:
    """A space of `width` numbers with the same bounds for all."""
    return Space((Part(name, BOX, width, (low,) * width, (high,) * width, shape=(width,)),))


def choice(size: int, name: str = "", first: int = 0) -> Space:
    """A space of one choice."""
    return Space((Part(name, CHOICE, size, first=first),))


def space_of(space: Any) -> Space:
    """The Space of a gymnasium space. Raises ConfigError for a kind of space that has no fixed number of columns."""
    return Space(tuple(_parts(space, "")))


def to_environment(space: Any, row: Values) -> Any:
    """A row of columns as the gymnasium space `space` wants it: an int, an array, a dict, a tuple."""
    value, rest = _take(space, np.asarray(row, np.float64))
    if len(rest):
        raise InputError(f"an action has {len(row)} numbers, the environment's space {len(row) - len(rest)}")
    return value


def _parts(space: Any, name: str) -> Iterator[Part]:
    kind = type(space).__name__
    if kind == "Box":
        low, high = (np.asarray(v, np.float64).reshape(-1) for v in (space.low, space.high))
        yield Part(name, BOX, low.size, tuple(low.tolist()), tuple(high.tolist()), shape=tuple(space.shape))
    elif kind == "Discrete":
        yield Part(name, CHOICE, int(space.n), first=int(space.start))
    elif kind in ("MultiDiscrete", "MultiBinary"):
        sizes = np.ravel(space.nvec) if kind == "MultiDiscrete" else np.full(int(np.prod(space.shape)), 2)
        for number, size in enumerate(sizes.tolist(), start=1):
            yield Part(f"{name or 'choice'}{number}", CHOICE, int(size))
    elif kind in ("Dict", "Tuple"):
        inner = space.spaces.items() if kind == "Dict" else enumerate(space.spaces)
        for key, one in inner:
            yield from _parts(one, f"{name}.{key}" if name else str(key))
    else:
        raise ConfigError(
            f"a space of kind {kind} has no fixed number of columns",
            hint="Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple can be read.",
        )


def _collect(value: Any, found: list[Any]) -> None:
    if isinstance(value, Mapping):
        for one in value.values():
            _collect(one, found)
    elif isinstance(value, tuple):
        for one in value:
            _collect(one, found)
    else:
        found.append(value)


def _take(space: Any, row: Values) -> tuple[Any, Values]:
    kind = type(space).__name__
    if kind == "Discrete":
        return int(row[0]), row[1:]
    if kind in ("Dict", "Tuple"):
        made: list[Any] = []
        for one in space.spaces.values() if kind == "Dict" else space.spaces:
            value, row = _take(one, row)
            made.append(value)
        return (dict(zip(space.spaces, made, strict=True)) if kind == "Dict" else tuple(made)), row
    size = int(np.prod(space.shape))
    values = row[:size].reshape(space.shape)
    return values.astype(space.dtype), row[size:]
