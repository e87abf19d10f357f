"""An integer series as symbols, one a step, without loss: the laser's 256 levels are an alphabet of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from core.errors import ConfigError, RecordError
from core.sequence import Sequence, Symbols, TokenSpec
from core.vocabulary import MASK, SPECIALS, Vocabulary
from domains.chaos.source.trajectory import Trajectory, Values
from domains.chaos.tokenizer.shared import ChaosConfig, ChaosTokenizer, check_whole, refuse

FIELD = "tokens"
MOST_LEVELS = 2**16


@dataclass(frozen=True)
class SymbolsConfig(ChaosConfig):
    """Of `chaos_symbols`."""

    channels: int = 1
    low: int = 0
    """The lowest integer that has a symbol."""
    high: int = 255
    """The highest; 0 to 255 are the levels of an 8-bit converter, as the Santa Fe laser was recorded with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels != 1:
            raise ConfigError(f"tokenizer.channels: got {self.channels!r}, allowed: 1, a symbol a step")
        check_whole("low", self.low, -(2**31))
        check_whole("high", self.high, self.low + 1, self.low + MOST_LEVELS - 1)


class SymbolsTokenizer(ChaosTokenizer[SymbolsConfig]):
    """One symbol a step. Nothing is learned."""

    kind: ClassVar[str] = "chaos_symbols"
    config_class: ClassVar[type[SymbolsConfig]] = SymbolsConfig

    def fit(self, train_records: Iterable[Trajectory]) -> Self:
        return self

    @cached_property
    def vocabulary(self) -> Vocabulary:
        levels = (str(level) for level in range(self.config.low, self.config.high + 1))
        return Vocabulary((*levels, *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def rounded(self, values: Values) -> Values:
        return values

    def read(self, record: Trajectory) -> Trajectory:
        """Raises RecordError also for several channels, a value that is no integer, or one outside low..high."""
        one = super().read(record)
        values = one.values[:, 0]
        seen = ~np.isnan(values)
        for wrong, reason, trouble in (
            (seen & (values != np.round(values)), "not_integer", "which is no integer; take chaos_state or chaos_bins"),
            (
                seen & ((values < self.config.low) | (values > self.config.high)),
                "out_of_range",
                f"outside {self.config.low}..{self.config.high} (tokenizer.low, tokenizer.high)",
            ),
        ):
            if wrong.any():
                step = int(wrong.argmax())
                refuse(one, reason, f"is {values[step]:g} at step {step}, {trouble}", step)
        return one

    def encode(self, record: Trajectory) -> Sequence:
        """Missing values are MASK and are not predicted."""
        one = self.read(record)
        values = one.values[:, 0]
        seen = ~np.isnan(values)
        ids = np.where(seen, np.nan_to_num(values) - self.config.low + len(SPECIALS), MASK)
        masks = {} if seen.all() else {FIELD: seen}
        return Sequence({FIELD: ids.astype(self.vocabulary.dtype)}, one.id, loss_mask=masks, labels=one.labels())

    def decode(self, sequence: Sequence) -> Trajectory:
        """Raises RecordError where a special other than MASK, or a symbol of `extend`, stands."""
        ids = sequence.arrays[FIELD].astype(np.int64)
        values = (ids - len(SPECIALS) + self.config.low).astype(np.float64)
        odd = (ids != MASK) & ((ids < len(SPECIALS)) | (values > self.config.high))
        if odd.any():
            position = int(odd.argmax())
            said = self.vocabulary.symbol(int(ids[position]))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': {said} at step {position} is no level",
                record=sequence.id,
                position=position,
            )
        return Trajectory.from_labels(sequence.id, np.where(ids == MASK, np.nan, values)[:, None], sequence.labels)
