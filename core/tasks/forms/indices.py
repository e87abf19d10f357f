"""Answers that are places in the sequence: where sites lie, where letters stand."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from core.tasks.forms.task import Allowed, Steps, Task, texts

NO_PLACES = ("none", "-", "[]")
"""How a table writes the empty list."""


@dataclass(frozen=True)
class Indices(Task):
    """Places in the sequence, 1 the first, as a rising list of position tokens.

    It may be empty: a table says `none`, for an empty cell is a label that is missing.
    """

    positions: int = 0
    """The last place that has a token; learned where not given: the length of the longest training record."""
    letters: str = ""
    """Set for a task that needs no labels: the places of these letters, as the record has them."""

    kind: ClassVar[str] = "indices"

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(f"<@{i}>" for i in range(1, self.positions + 1))

    def fit(self, labels: Many[Any], longest: int) -> Self:
        return self if self.positions else replace(self, positions=longest)

    def parse(self, label: Any, length: int) -> tuple[int, ...]:
        if isinstance(label, str) and label.strip().lower() in NO_PLACES:
            return ()
        if isinstance(label, float) and label.is_integer():
            label = int(label)
        listed = texts(label) if isinstance(label, str) else (label,) if isinstance(label, int) else tuple(label)
        try:
            places = sorted({int(str(p)) for p in listed if str(p)})
        except ValueError:
            raise self.bad_label(label, "whole numbers, `12;57;80`, or `none`") from None
        if places and not 1 <= places[0] <= places[-1] <= length:
            raise self.bad_label(label, f"places from 1 to {length}, the length of the sequence")
        return tuple(places)

    def parse_units(self, values: NDArray[Any]) -> tuple[int, ...]:
        """Where the values are not 0."""
        is_text = values.dtype == np.uint8 and bool((values >= ord("0")).all())  # ASCII codes of a letter each
        return tuple((np.flatnonzero(values != (ord("0") if is_text else 0)) + 1).tolist())

    def write(self, value: tuple[int, ...], length: int) -> list[str]:
        if length > self.positions:
            raise RecordError(
                "beyond_positions",
                f"task '{self.name}': a sequence of {length:,} units, its places have tokens up to {self.positions:,}",
                hint=f"Give tasks.{self.name}.positions= the length of your longest record.",
            )
        return [f"<@{i}>" for i in value]

    def read(self, symbols: Many[str], length: int) -> tuple[int, ...] | None:
        if any(s not in self._number for s in symbols):
            return None
        places = [self._number[s] for s in symbols]
        rising = all(a < b for a, b in zip([0, *places], places, strict=False))
        return tuple(places) if rising and (not places or places[-1] <= length) else None

    @property
    def _number(self) -> Mapping[str, int]:
        return {s: i for i, s in enumerate(self.symbols, start=1)}

    def longest(self, length: int) -> int:
        return min(length, self.positions)

    def allowed(self, step: Steps, last: Steps, length: Steps) -> Allowed:
        numbers = np.arange(self.positions)
        inside = (numbers > last[:, None]) & (numbers < length[:, None])
        return np.column_stack([inside, np.ones(len(step), bool)])
