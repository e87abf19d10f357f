"""A symbol a step: the bin that the scaled value falls into, as Chronos writes series (arXiv 2403.07815).

Lossy: a value comes back as its bin's centre, off by at most half the bin's width times the series' scale; a value
beyond `limit` scales comes back as the outermost bin and is counted by `clipped`. Missing steps are UNK.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError, nearest
from core.sequence import Field, Sequence, symbol
from core.vocabulary import SPECIALS, UNK, Vocabulary
from domains.formats.series import Series
from domains.time_series.tokenizer.scale import RAW, ScaledConfig, ScaledTokenizer

METHODS = ("uniform", "quantile")
_FIT_VALUES = 2_000_000
"""Training values that quantile bins are learned from at most, from the first records on: 16 MB."""


@dataclass(frozen=True)
class BinsConfig(ScaledConfig):
    """How values are binned."""

    bins: int = 1024
    """How many [Chronos 4,094; 1,024 are 0.03 of a scale wide and leave less to learn]."""
    limit: float = 15.0
    """Bins lie between -limit and limit scales [Chronos]."""
    method: str = "uniform"
    """"uniform": of equal width; "quantile": of equal mass in the training part."""
    edges: tuple[float, ...] = ()
    """Borders between quantile bins, learned by `fit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bins, int) or not 2 <= self.bins <= 60_000:
            raise ConfigError(f"tokenizer.bins: got {self.bins!r}, allowed: 2 to 60,000")
        if not self.limit > 0:
            raise ConfigError(f"tokenizer.limit: got {self.limit!r}, allowed: a positive number")
        if self.method not in METHODS:
            raise ConfigError(
                f"tokenizer.method: got {self.method!r}{nearest(self.method, METHODS)}",
                hint=f"Allowed: {', '.join(METHODS)}.",
            )
        if self.edges and (self.method != "quantile" or (np.diff(self.edges) <= 0).any()):
            raise ConfigError("tokenizer.edges: allowed are rising numbers, with method=quantile")


class BinsTokenizer(ScaledTokenizer[BinsConfig]):
    """One symbol field `tokens`; `bins` ids after the specials."""

    kind: ClassVar[str] = "ts_bins"
    config_class = BinsConfig

    def __init__(self, config: BinsConfig | None = None) -> None:
        super().__init__(config or BinsConfig())

    @property
    def needs_fit(self) -> bool:
        return super().needs_fit or (self.config.method == "quantile" and not self.config.edges)

    def fit(self, train_records: Iterable[Series]) -> Self:
        """Learns quantile bins from the scaled values of the training part, and what the config leaves open.

        Raises InputError where no training value is there.
        """
        if not self.needs_fit:
            return self
        records = iter(train_records)
        first = next(records, None)
        if first is None:
            raise InputError("there is no training record to learn bins from")
        config = self._fixed(first)
        if self.config.method == "quantile" and not self.config.edges:
            config = replace(config, edges=self._quantiles(first, records))
        return self._fitted(config)

    def _quantiles(self, first: Series, others: Iterable[Series]) -> tuple[float, ...]:
        kept: list[NDArray[np.float64]] = []
        room = _FIT_VALUES
        for record in (first, *others):
            scaled = (record.values[:, 0] / self.scale_of(record))[:room]
            kept.append(scaled[np.isfinite(scaled)])
            room -= len(kept[-1])
            if room <= 0:
                break
        values = np.concatenate(kept)
        if len(np.unique(values)) < 2:
            raise InputError("quantile bins need at least two different values in the training part")
        # Data of few distinct values give equal quantiles: those bins fall together, and there are fewer.
        return tuple(np.unique(np.quantile(values, np.arange(1, self.config.bins) / self.config.bins)).tolist())

    @cached_property
    def borders(self) -> NDArray[np.float64]:
        """(bins + 1,) where bins begin and end; the outermost also take what lies beyond."""
        config = self.config
        if config.method == "uniform":
            return np.linspace(-config.limit, config.limit, config.bins + 1)
        edges = np.array(config.edges or (-1.0, 0.0, 1.0))
        outer = (edges[-1] - edges[0]) / len(edges) or 1.0
        return np.concatenate([[edges[0] - outer], edges, [edges[-1] + outer]])

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """(bins,) what a symbol comes back as, in scales."""
        return (self.borders[:-1] + self.borders[1:]) / 2

    @cached_property
    def vocabulary(self) -> Vocabulary:
        numbers = (f"bin {i}" for i in range(len(self.centres)))
        return Vocabulary((*numbers, *self.config.extension))

    def target_field(self) -> Field:
        return symbol("tokens", self.vocabulary)

    def symbols_of(self, record: Series, scaled: NDArray[np.float64]) -> Sequence:
        there = np.isfinite(scaled)
        which = np.searchsorted(self.borders[1:-1], np.where(there, scaled, 0.0), side="right")
        tokens = np.where(there, which + len(SPECIALS), UNK).astype(self.vocabulary.dtype)
        return Sequence({"tokens": tokens}, loss_mask={} if there.all() else {"tokens": there})

    def read(self, sequence: Sequence) -> tuple[NDArray[np.float64], float | None]:
        scale = self.kept_scale(sequence.labels)
        return self._values(sequence)[:, None] * scale, scale

    def _values(self, sequence: Sequence) -> NDArray[np.float64]:
        """(T,) in scales; NaN for what is no bin."""
        which = sequence.arrays["tokens"].astype(np.int64) - len(SPECIALS)
        known = (which >= 0) & (which < len(self.centres))
        return np.where(known, self.centres[np.where(known, which, 0)], np.nan)

    def clipped(self, sequence: Sequence) -> int:
        """Steps whose value lies beyond the outermost bins."""
        scaled = sequence.token_labels[RAW] / self.kept_scale(sequence.labels)
        return int(((scaled < self.borders[0]) | (scaled > self.borders[-1])).sum())

    def log_volume(self, sequence: Sequence) -> NDArray[np.float64]:
        """(T,) log of each token's width in raw values: nats of a symbol plus this are nats of a density."""
        which = sequence.arrays["tokens"].astype(np.int64) - len(SPECIALS)
        known = (which >= 0) & (which < len(self.centres))
        widths = np.diff(self.borders)[np.where(known, which, 0)]
        return np.where(known, np.log(widths * self.kept_scale(sequence.labels)), np.nan)

    def tokens_ahead(self, horizon: int) -> int:
        return horizon

    def last_tokens(self, context: Sequence, room: int) -> Sequence:
        return context.slice(max(0, len(context) - room), len(context))

    def continuation(self, drawn: Sequence, context: Sequence, horizon: int) -> NDArray[np.float64]:
        return self._values(drawn)[:horizon] * self.kept_scale(context.labels)
