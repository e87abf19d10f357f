"""One time series as readers make it and domains use it: values step by step on a regular grid, NaN where missing.

Stamps are not kept one by one: `start` and `freq` give them back. Known covariates are those whose future is known (a
calendar, a plan), past ones are only measured as time goes on. Knows no tokens and no files beyond the place it came
from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.formats.time_grid import advance, stamps_of

Values = NDArray[np.float64]
Place = tuple[str, int | None, int | None]
"""File, line from 1, byte offset."""

OPENING = 1024
"""Steps of the whole record that a piece of it remembers: what scales are taken from stands in the first ones."""


@dataclass(frozen=True)
class Part:
    """What a piece still knows of the record that it was cut out of."""

    offset: int
    """The piece's first step in the whole record."""
    length: int
    """Steps of the whole record."""
    opening: Values
    """(min(length, OPENING), C) the record's first steps."""


@dataclass
class Series:
    """A series of T steps and C channels.

    Raises ValueError where the arrays' lengths disagree; readers check what comes from files.
    """

    id: str
    values: Values
    """(T, C); a (T,) array is taken as one channel."""
    channels: tuple[str, ...] = ("value",)
    start: np.datetime64 | None = None
    """Of the first step: UTC where there is a `timezone`, else local time without daylight saving; None for none."""
    freq: str | None = None
    """From one step to the next, as pandas spells it ("h", "30min", "D", "MS"); None where it is not known."""
    timezone: str | None = None
    """Where clocks are read for the calendar ("Europe/Berlin"); None: they are `start`'s own."""
    known: dict[str, Values] = field(default_factory=dict)
    """(T,) covariates whose future is known."""
    past: dict[str, Values] = field(default_factory=dict)
    """(T,) covariates that are known up to the present only."""
    labels: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    split: str | None = None
    place: Place = ("", None, None)
    scale: float | None = None
    """What the values were divided by where they come back from a tokenizer that scales by the record."""
    part: Part | None = None

    def __post_init__(self) -> None:
        self.values = np.asarray(self.values, np.float64)
        if self.values.ndim == 1:
            self.values = self.values[:, None]
        lengths = {len(a) for a in (self.values, *self.known.values(), *self.past.values())}
        if self.values.ndim != 2 or len(lengths) > 1 or len(self.channels) != self.values.shape[1]:
            shape = self.values.shape
            raise ValueError(f"series '{self.id}': values {shape}, channels {self.channels}, lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def whole_length(self) -> int:
        """Steps of the record that this is, or is a piece of."""
        return self.part.length if self.part else len(self)

    @property
    def offset(self) -> int:
        """The first step's number in that record."""
        return self.part.offset if self.part else 0

    @property
    def opening(self) -> Values:
        """(n, C) the first steps of that record, at most OPENING."""
        return self.part.opening if self.part else self.values[:OPENING]

    def stamps(self) -> NDArray[np.datetime64] | None:
        """(T,) datetime64[ns] of the steps, None where they are not known."""
        return None if self.start is None or self.freq is None else stamps_of(self.start, self.freq, len(self))

    def longer(self, steps: int) -> Series:
        """With `steps` more steps of which nothing is known but their stamps."""

        def more(values: Values) -> Values:
            return np.concatenate([values, np.full((steps, *values.shape[1:]), np.nan)])

        known, past = ({name: more(v) for name, v in of.items()} for of in (self.known, self.past))
        return replace(self, values=more(self.values), known=known, past=past)

    def piece(self, start: int, stop: int) -> Series:
        """Steps [start, stop) under the same id."""
        moved = self.start if self.start is None or self.freq is None else advance(self.start, self.freq, start)
        return replace(
            self,
            values=self.values[start:stop],
            start=moved,
            known={name: a[start:stop] for name, a in self.known.items()},
            past={name: a[start:stop] for name, a in self.past.items()},
            part=Part(self.offset + start, self.whole_length, self.opening),
        )
