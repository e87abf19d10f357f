"""What the tokenizers of trajectories share: reading records, missing values, labels, configs.

Values are kept in float32: a record comes back rounded to it. [A perfect model of Lorenz-63 whose states are rounded to
float32 is right beyond the cap of 10 Lyapunov times: benchmarks/quantisation.py.] Nothing is filled in: a missing value
is marked, and stands as 0 or MASK.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import numpy as np

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError
from domains.chaos.source.trajectory import Trajectory, Values, as_trajectory

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ChaosConfig:
    """What all tokenizers of trajectories have."""

    channels: int = 0
    """How many channels a trajectory has; 0: learned from the training records."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`, which stand in no trajectory; for tokens that are symbols."""

    def __post_init__(self) -> None:
        check_whole("channels", self.channels, 0)


Config = TypeVar("Config", bound=ChaosConfig)


class ChaosTokenizer(ConfiguredTokenizer[Trajectory, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for states, bins and symbols."""

    natural_unit: ClassVar[str] = "step"
    config_class: ClassVar[type[ChaosConfig]]

    @property
    def needs_fit(self) -> bool:
        return self.config.channels == 0

    def fit(self, train_records: Iterable[Trajectory]) -> Self:
        raise NotImplementedError

    def canonical(self, record: Trajectory) -> Trajectory:
        """The trajectory as it comes back: values as the tokenizer keeps them, with the id and the labels."""
        one = self.read(record)
        return Trajectory.from_labels(one.id, self.rounded(one.values), one.labels())

    def rounded(self, values: Values) -> Values:
        """(T, C) to (T, C), NaN where missing."""
        raise NotImplementedError

    def same(self, a: Trajectory, b: Trajectory) -> bool:
        """Whether ids, labels and values are equal, missing ones in the same places."""
        one, other = as_trajectory(a), as_trajectory(b)
        labels, others = one.labels(), other.labels()
        return (
            one.id == other.id
            and all(np.array_equal(labels[k], others[k], equal_nan=isinstance(labels[k], float)) for k in labels)
            and np.array_equal(one.values, other.values, equal_nan=True)
        )

    def read(self, record: Trajectory) -> Trajectory:
        """A record that can be encoded.

        Raises RecordError: no steps, no value at all, an infinite one, or another number of channels than was learned.
        """
        one = as_trajectory(record)
        if not len(one):
            refuse(one, "empty", "has no steps")
        width = self.config.channels
        if width and one.values.shape[1] != width:
            refuse(one, "wrong_channels", f"has {one.values.shape[1]} channels, expected {width}")
        missing = np.isnan(one.values)
        if missing.all():
            refuse(one, "no_values", "has no value that is not missing")
        large = ~missing & (np.abs(one.values) > LARGEST)
        if large.any():
            step, channel = np.argwhere(large)[0].tolist()
            value = one.values[step, channel]
            refuse(one, "not_finite", f"is {value:g} in channel {one.channels[channel]} at step {step}", step)
        return one

    def readable(self, records: Iterable[Trajectory]) -> list[Trajectory]:
        """Training records, all of one number of channels. Raises RecordError as `read`, ConfigError for none."""
        found: list[Trajectory] = []
        for record in records:
            one = self.read(record)
            if found and len(one.channels) != len(found[0].channels):
                expected = f"expected {len(found[0].channels)} as in '{found[0].id}'"
                refuse(one, "wrong_channels", f"has {len(one.channels)} channels, {expected}")
            found.append(one)
        if not found:
            raise ConfigError(f"tokenizer {self.kind} has no training records to learn from")
        return found


def refuse(record: Trajectory, reason: str, trouble: str, position: int | None = None) -> NoReturn:
    """Raises RecordError naming the trajectory."""
    raise RecordError(reason, f"trajectory '{record.id}' {trouble}", record=record.id, position=position)


def check_whole(key: str, value: Any, least: int, most: int | None = None) -> None:
    """Raises ConfigError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        allowed = f"a whole number of at least {least}" if most is None else f"{least} to {most}"
        raise ConfigError(f"tokenizer.{key}: got {value!r}, allowed: {allowed}")
