"""Values in bins: one symbol a channel and step, all channels of a step in one token.

Lossy, with a stated bound: a value inside the range comes back within half the width of its bin; a value outside, which
only later data can have, comes back as the centre of the outermost bin and is counted in the label `clipped`.
[256 bins hold a perfect model of Lorenz-63 at 1.9 Lyapunov times, 4096 at 4.2: benchmarks/quantisation.py.]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from core.sequence import Sequence, TokenSpec, symbol
from core.vocabulary import MASK, SPECIALS, Vocabulary
from domains.chaos.source.trajectory import Trajectory, Values
from domains.chaos.tokenizer.shared import ChaosConfig, ChaosTokenizer, check_whole

METHODS = ("uniform", "quantile")
LEAST_BINS, MOST_BINS = 16, 4096
RAW = "raw_"
"""Token labels raw_1, raw_2 ... keep the values themselves, so that every tokenizer is measured on the same truth."""


@dataclass(frozen=True)
class BinsConfig(ChaosConfig):
    """Of `chaos_bins`."""

    bins: int = 256
    """Bins a channel, 16 to 4096. 256 is smoke size."""
    method: str = "uniform"
    """`uniform`: bins of equal width; `quantile`: bins of equal share of the training data."""
    margin: float = 0.05
    """Share of the training range that is added at either end."""
    edges: tuple[tuple[float, ...], ...] = ()
    """Learned, per channel: both ends of the range (uniform), or the bins + 1 borders (quantile)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("bins", self.bins, LEAST_BINS, MOST_BINS)
        if self.method not in METHODS:
            raise ConfigError(
                f"tokenizer.method: got {self.method!r}{nearest(str(self.method), METHODS)}",
                hint=f"Allowed: {', '.join(METHODS)}.",
            )
        if isinstance(self.margin, bool) or not isinstance(self.margin, int | float) or not 0 <= self.margin <= 10:
            raise ConfigError(f"tokenizer.margin: got {self.margin!r}, allowed: a share from 0 to 10")
        for edges in self.edges:
            if not (np.diff(edges) > 0).all() or len(edges) < 2:
                raise ConfigError("tokenizer.edges: the borders of bins must grow")


class BinsTokenizer(ChaosTokenizer[BinsConfig]):
    """One symbol field a channel, called channel_1, channel_2 ..."""

    kind: ClassVar[str] = "chaos_bins"
    config_class: ClassVar[type[BinsConfig]] = BinsConfig

    @property
    def needs_fit(self) -> bool:
        return not self.config.edges

    def fit(self, train_records: Iterable[Trajectory]) -> Self:
        """A tokenizer with bins over the training records' range. Raises RecordError."""
        if not self.needs_fit:
            return self
        whole = np.concatenate([one.values for one in self.readable(train_records)])
        edges = tuple(self._edges(column[~np.isnan(column)]) for column in whole.T)
        return type(self)(replace(self.config, channels=whole.shape[1], edges=edges))

    def _edges(self, values: NDArray[np.float64]) -> tuple[float, ...]:
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        room = self.config.margin * (high - low) or max(abs(low), 1.0) * 1e-3  # a constant channel has bins too
        ends = low - room, high + room
        if self.config.method == "uniform" or not len(values):
            return ends
        inner = np.quantile(values, np.arange(1, self.config.bins) / self.config.bins)
        return tuple(np.unique([ends[0], *inner.tolist(), ends[1]]).tolist())

    @cached_property
    def borders(self) -> list[NDArray[np.float64]]:
        """Per channel (bins + 1,), growing; fewer bins where quantiles fall together. Raises ConfigError before fit."""
        if self.needs_fit:
            raise ConfigError(f"tokenizer {self.kind} has not learned its bins yet", hint="Call fit first.")
        if self.config.method == "uniform":
            return [np.linspace(low, high, self.config.bins + 1) for low, high in self.config.edges]
        return [np.asarray(edges) for edges in self.config.edges]

    @cached_property
    def centres(self) -> list[NDArray[np.float64]]:
        """Per channel (bins,): what decode gives, in float32's numbers."""
        return [((b[1:] + b[:-1]) / 2).astype(np.float32).astype(np.float64) for b in self.borders]

    @property
    def error_bound(self) -> NDArray[np.float64]:
        """(C,) how far a value inside the range may come back from where it was: half the widest bin."""
        return np.array([np.diff(borders).max() / 2 for borders in self.borders]) * (1 + 1e-6)

    @cached_property
    def spec(self) -> TokenSpec:
        names = (f"channel_{i + 1}" for i in range(self.config.channels))
        return TokenSpec(tuple(symbol(n, self._vocabulary(len(c))) for n, c in zip(names, self.centres, strict=True)))

    def _vocabulary(self, bins: int) -> Vocabulary:
        return Vocabulary((*(f"b{i}" for i in range(bins)), *self.config.extension))

    def bins_of(self, values: Values) -> NDArray[np.int64]:
        """(T, C) the bin of each value, the outermost for what lies outside, -1 for what is missing."""
        found = np.empty(values.shape, np.int64)
        for channel, borders in enumerate(self.borders):
            inside = np.searchsorted(borders, values[:, channel], side="right") - 1
            found[:, channel] = np.clip(inside, 0, len(borders) - 2)
        return np.where(np.isnan(values), -1, found)

    def rounded(self, values: Values) -> Values:
        bins = self.bins_of(values)
        centred = [centres[bins[:, channel]] for channel, centres in enumerate(self.centres)]
        return np.where(bins < 0, np.nan, np.stack(centred, axis=1))

    def canonical(self, record: Trajectory) -> Trajectory:
        """Bin centres, once there are bins; before `fit`, the record itself if it can be read."""
        return self.read(record) if self.needs_fit else super().canonical(record)

    def encode(self, record: Trajectory) -> Sequence:
        """Missing values are MASK and are not predicted. Raises RecordError as `read`."""
        one = self.read(record)
        bins = self.bins_of(one.values)
        arrays, masks, clipped = {}, {}, 0
        for channel, field in enumerate(self.spec.fields):
            assert field.vocabulary is not None
            seen, borders = bins[:, channel] >= 0, self.borders[channel]
            ids = np.where(seen, bins[:, channel] + len(SPECIALS), MASK)
            arrays[field.name] = ids.astype(field.vocabulary.dtype)
            values = one.values[seen, channel]
            clipped += int(((values < borders[0]) | (values > borders[-1])).sum())
            if not seen.all():
                masks[field.name] = seen
        raw = {f"{RAW}{i + 1}": column for i, column in enumerate(one.values.T.astype(np.float32))}
        labels = {**one.labels(), "clipped": clipped}
        return Sequence(arrays, one.id, loss_mask=masks, labels=labels, token_labels=raw)

    def decode(self, sequence: Sequence) -> Trajectory:
        """Bin centres, NaN for MASK. Raises RecordError where another special, or a symbol of `extend`, stands."""
        columns = []
        for channel, field in enumerate(self.spec.fields):
            ids = sequence.arrays[field.name].astype(np.int64)
            bins, centres = ids - len(SPECIALS), self.centres[channel]
            odd = (ids != MASK) & ((bins < 0) | (bins >= len(centres)))
            if odd.any():
                assert field.vocabulary is not None
                position = int(odd.argmax())
                said = field.vocabulary.symbol(int(ids[position]))
                raise RecordError(
                    "special_symbol",
                    f"sequence '{sequence.id}': {field.name} is {said} at step {position}, no bin",
                    record=sequence.id,
                    position=position,
                )
            columns.append(np.where(ids == MASK, np.nan, centres[np.clip(bins, 0, len(centres) - 1)]))
        return Trajectory.from_labels(sequence.id, np.stack(columns, axis=1), sequence.labels)
