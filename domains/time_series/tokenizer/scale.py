"""The scale of a series that is written as symbols: the mean absolute value of its first steps.

Chronos (arXiv 2403.07815, section 3.1) scales each context anew; a store holds a series once, so its scale comes from
the first `head` steps, and those are not predicted: whoever predicts a step has seen what it was scaled by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from domains.formats.series import OPENING, Series
from domains.time_series.tokenizer.shared import VALUE, SeriesConfig, SeriesTokenizer

SCALE = "scale"
"""The label that a sequence keeps its scale under."""
RAW = "value"
"""The token label that keeps the values as they were, NaN where missing or where a step goes on."""


@dataclass(frozen=True)
class ScaledConfig(SeriesConfig):
    """What tokenizers can be told that write one channel as symbols."""

    calendar: tuple[str, ...] | str = ()
    """Fields read off the stamps, known ahead; none, as in the papers, "auto" or names as for ts_patch."""
    known: tuple[str, ...] | str = ()
    """Covariates known ahead."""
    past: tuple[str, ...] | str = ()
    """Covariates of the past."""
    channels: tuple[str, ...] | str = (VALUE,)
    """One channel."""
    head: int = 168
    """Steps that the scale is taken from, and that are not predicted [a week of hours]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.head, int) or not 1 <= self.head <= OPENING:
            raise ConfigError(f"tokenizer.head: got {self.head!r}, allowed: 1 to {OPENING}")
        if self.channels == "auto" or len(self.channels) != 1:
            raise ConfigError(
                f"tokenizer.channels: got {self.channels!r}, allowed: one name",
                hint="Bins and digits write one channel; data.channels=apart makes each a series of its own.",
            )


Config = TypeVar("Config", bound=ScaledConfig)


class ScaledTokenizer(SeriesTokenizer[Config]):
    """Scales a series, keeps the scale and the raw values beside the tokens, and masks the head's loss."""

    config_class: ClassVar[type[SeriesConfig]] = ScaledConfig

    def symbols_of(self, record: Series, scaled: NDArray[np.float64]) -> Sequence:
        """(T,) scaled values, NaN where missing -> the tokens, missing steps masked where they are not predicted."""
        raise NotImplementedError

    def check(self, record: Series) -> None:
        super().check(record)
        if record.whole_length <= self.config.head:
            raise RecordError(
                "shorter_than_head",
                f"series '{record.id}' has {record.whole_length} steps, expected more than {self.config.head}",
                record=record.id,
                hint="Take a smaller tokenizer.head=, or leave such series out.",
            )
        self.scale_of(record)

    def scale_of(self, record: Series) -> float:
        """The mean absolute value of the head of the record that this is, or is a piece of; 1 where all of it is 0.

        Raises RecordError where none of it is observed.
        """
        if record.scale is not None:
            return record.scale
        head = np.abs(record.opening[: self.config.head])
        if np.isnan(head).all():
            raise RecordError(
                "no_scale",
                f"series '{record.id}': none of its first {self.config.head} values is there to be scaled by",
                record=record.id,
                hint="Take a larger tokenizer.head=.",
            )
        return float(np.nanmean(head)) or 1.0

    def write(self, record: Series) -> Sequence:
        scale = self.scale_of(record)
        values = record.values[:, 0]
        sequence = self.symbols_of(record, values / scale)
        starts = self.step_starts(sequence)[:-1]
        raw = np.full(len(sequence), np.nan, np.float32)
        raw[starts] = values
        counted = self.per_token(sequence, np.arange(len(values)) + record.offset >= self.config.head)
        counted &= sequence.loss_mask.get("tokens", True)
        sequence.loss_mask = {} if counted.all() else {"tokens": counted}
        sequence.token_labels = {RAW: raw}
        sequence.labels = {SCALE: scale}
        return sequence

    def truth(self, sequence: Sequence) -> Series:
        """With the values that were kept beside the tokens; as decoded where none were."""
        series = self.decode(sequence)
        if RAW not in sequence.token_labels:
            return series
        raw = self.per_step(sequence, sequence.token_labels[RAW]).astype(np.float64)
        return replace(series, values=raw[:, None], scale=None)

    @staticmethod
    def kept_scale(labels: Mapping[str, Any]) -> float:
        """1 for a sequence that was drawn from nothing: it comes back in units of its scale."""
        return float(labels.get(SCALE, 1.0))
