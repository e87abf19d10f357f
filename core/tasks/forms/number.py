"""Answers that are numbers, as decimal digits of their place in the range of the training labels."""

from __future__ import annotations

import math
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from core.errors import ConfigError
from core.tasks.forms.task import Allowed, Steps, Task

_MARGIN = 0.05
"""Of the training labels' range: the held-out labels' extremes lie a little outside of it."""


@dataclass(frozen=True)
class Number(Task):
    """A real number as decimal digits of its place between `low` and `high`: no sign and no point are needed.

    A held-out label outside of it is written as the nearer end, which `prepare` counts; a measurement compares with the
    label itself. The error of writing is at most half a step,
    (high - low) / (10^digits - 1) / 2.
    """

    digits: int = 3
    """1000 levels: finer than the interval of any reading on the data that we have."""
    low: float | None = None
    high: float | None = None
    """Learned where not given: the training labels' range and `_MARGIN` of it on either side."""

    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.digits <= 9:
            raise ConfigError(f"task '{self.name}': digits={self.digits}, allowed: 1 to 9")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ConfigError(
                f"task '{self.name}': its numbers go from {self.low} to {self.high}: there is nothing to tell apart"
            )

    @property
    def needs_fit(self) -> bool:
        return self.low is None or self.high is None

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(f"<{d}>" for d in range(10))

    def fit(self, labels: Many[float], longest: int) -> Self:
        if not self.needs_fit:
            return self
        if not len(labels):
            raise ConfigError(f"task '{self.name}': no training record has a number in column '{self.column}'")
        margin = _MARGIN * (max(labels) - min(labels))
        low = min(labels) - margin if self.low is None else self.low
        return replace(self, low=low, high=max(labels) + margin if self.high is None else self.high)

    def parse(self, label: Any, length: int) -> float:
        try:
            value = float(label)
        except (TypeError, ValueError):
            raise self.bad_label(label, "a number") from None
        if not math.isfinite(value):
            raise self.bad_label(label, "a finite number")
        return value

    def write(self, value: float, length: int) -> list[str]:
        share = min(1.0, max(0.0, (value - self._low) / self._width))
        return [f"<{d}>" for d in f"{round(share * (10**self.digits - 1)):0{self.digits}d}"]

    def clips(self, value: float) -> bool:
        return not self._low <= value <= self._low + self._width

    def read(self, symbols: Many[str], length: int) -> float | None:
        if len(symbols) != self.digits or any(s not in self.symbols for s in symbols):
            return None
        return self.value(int("".join(s[1] for s in symbols)))

    def value(self, level: float) -> float:
        """The number at a level from 0 to 10^digits - 1."""
        return self._low + self._width * level / (10**self.digits - 1)

    def longest(self, length: int) -> int:
        return self.digits

    def allowed(self, step: Steps, last: Steps, length: Steps) -> Allowed:
        more = step < self.digits
        return np.column_stack([np.repeat(more[:, None], 10, 1), ~more])

    @property
    def _low(self) -> float:
        assert self.low is not None
        return self.low

    @property
    def _width(self) -> float:
        assert self.high is not None
        return self.high - self._low
