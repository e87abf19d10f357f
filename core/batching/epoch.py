"""One epoch over one store: which rows there are, in which order, and which shards must be in memory for them.

A window or record belongs to the shard in which it starts. Shards are permuted, taken in buffers of at least
`buffer_shards`, and what starts in a buffer is permuted within it. All of it is a function of (seed, epoch): any item
can be asked for at any time. Nothing is read here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from core.batching.buckets import length_batches
from core.batching.config import BatchingConfig
from core.batching.packing import packed_rows
from core.batching.windows import Ints, Stretches, WindowGrid, chosen, spread
from core.errors import InputError
from core.order import permutation, rng
from core.sequence import Sequence, TokenSpec


class Tokens(Protocol):
    """What batches need of a TokenStore."""

    @property
    def spec(self) -> TokenSpec: ...

    @property
    def offsets(self) -> Ints: ...

    @property
    def shard_bounds(self) -> Ints: ...

    def spans(self, split: str | None = None) -> Ints: ...

    def read(self, start: int, stop: int) -> Sequence: ...


@dataclass(frozen=True)
class Portion:
    """What of a store is read, and how often in another way."""

    split: str = "train"
    seed: int = 0
    shuffled: bool = True
    """New order and phase every epoch; else the store's order and phase 0, the same for all time (validation)."""
    share: float = 1.0
    """The share of windows or records that is read, evenly spread over the split."""


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a split lie in a store."""

    has_eos: bool
    """Whether whole records end with EOS: there is a symbol target."""
    offsets: Ints
    """(N + 1,) where sequences begin."""
    spans: Ints
    """(S, 3) sequence, start, stop."""
    edges: Ints
    """(shards + 1,) where shards begin."""

    @classmethod
    def of(cls, store: Tokens, split: str) -> Layout:
        return cls(
            any(f.is_symbol for f in store.spec.targets),
            np.asarray(store.offsets, dtype=np.int64),
            np.asarray(store.spans(split), dtype=np.int64).reshape(-1, 3),
            np.asarray(store.shard_bounds, dtype=np.int64),
        )


@dataclass(frozen=True)
class PlanReport:
    """What an epoch does with the tokens of its spans, in tokens unless said: spans = read + left_out."""

    spans: int
    read: int
    """Predicted at least once."""
    left_out: int
    """In records that are refused, between windows whose stride is longer than they are, or outside the share."""
    predicted: int
    """Predictions made, EOS and overlaps counted."""
    positions: int
    """Positions computed, padding and look-back counted."""
    rows: int
    """Windows and records."""
    short: int
    """Rows shorter than `length` because their span is (windows)."""
    long: int
    """Spans longer than `length` that are cut into windows (buckets, packed)."""
    refused: int
    """Spans longer than `length` that are left out (buckets, packed)."""
    partial: int
    """Spans that are parts of records, and so get no EOS (buckets, packed)."""

    @property
    def padding(self) -> float:
        """Share of the positions that is padding or look-back."""
        return 1 - self.predicted / self.positions if self.positions else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "padding": self.padding}

    @property
    def sentence(self) -> str:
        """What a user should know before training: how much is read, and what is cut or left out."""
        said = [
            f"an epoch reads {self.read:,} of {self.spans:,} tokens in {self.rows:,} rows, "
            f"{100 * self.padding:.1f} % padding or context"
        ]
        if self.long:
            said.append(f"{self.long:,} long records are cut into windows")
        if self.refused:
            said.append(f"{self.refused:,} records longer than the context are left out")
        if self.left_out:
            said.append(f"{self.left_out:,} tokens are left out")
        return "; ".join(said)


@dataclass(frozen=True)
class Arrangement:
    """The items of one buffer: rows, which hold several documents where packed; with buckets, batches of rows."""

    stretches: Stretches
    numbers: Ints
    """(P,) the stretches' numbers in the grid: what a view is drawn by."""
    bounds: Ints
    """Item i holds stretches bounds[i]:bounds[i+1]."""


class EpochPlan:
    """The items of one epoch over one store.

    Raises InputError where the split holds no token that can be read.
    """

    def __init__(
        self, layout: Layout, config: BatchingConfig, portion: Portion, epoch: int, *counters: int | str
    ) -> None:
        self.layout, self.config, self.portion, self.has_eos = layout, config, portion, layout.has_eos
        self._counters = (portion.seed, *counters, epoch) if portion.shuffled else (*counters, "fixed")
        spans = layout.spans
        fits = config.length - (self.has_eos and config.kind == "packed")
        if config.kind != "windows" and config.long == "refuse":
            spans = spans[spans[:, 2] - spans[:, 1] <= fits]
        jitter = portion.shuffled and config.jitter
        self.grid = WindowGrid(
            spans,
            layout.offsets,
            length=config.length,
            stride=config.stride or config.length,
            phase=rng(*self._counters, "phase").random() if jitter else 0.0,
            look_back=config.look_back,
            whole=-1 if config.kind == "windows" else fits,
            fixed_context=not portion.shuffled,
        )
        if not len(self.grid):
            lengths = np.diff(layout.spans[:, 1:])
            found = f"{len(lengths)} of {lengths.min()} to {lengths.max()} tokens" if len(lengths) else "there are none"
            raise InputError(
                f"no row can be made of the {portion.split} spans: {found}; batching.length is {config.length}, "
                f"batching.long '{config.long}'",
                hint="Check the split that prepare printed, or raise batching.length.",
            )
        self._numbers = self.grid.before(layout.edges)
        kept = np.flatnonzero(np.diff(spread(self._numbers, portion.share)))
        if portion.shuffled:
            kept = kept[permutation(len(kept), *self._counters, "shards")]
        self.buffers: list[Ints] = np.array_split(kept, max(1, len(kept) // config.buffer_shards))
        """The shards of each buffer: at least buffer_shards, fewer than twice as many; all where there are too few."""

    def shard_numbers(self, shard: int) -> Ints:
        """The windows that start in a shard and are read."""
        return chosen(np.arange(self._numbers[shard], self._numbers[shard + 1]), self.portion.share)

    def arrangement(self, buffer: int) -> Arrangement:
        """The items of a buffer, in order."""
        numbers = np.concatenate([self.shard_numbers(shard) for shard in np.sort(self.buffers[buffer])])
        stretches = self.grid.stretches(numbers)
        order, bounds = self._order(stretches, buffer)
        return Arrangement(stretches.take(order), numbers[order], bounds)

    def _order(self, stretches: Stretches, buffer: int) -> tuple[Ints, Ints]:
        config, counters = self.config, (*self._counters, "buffer", buffer)
        if config.kind == "buckets":
            positions = stretches.positions(self.has_eos)
            return length_batches(positions, *counters, batch_size=config.batch_size, batch_tokens=config.batch_tokens)
        if config.kind == "packed":
            return packed_rows(stretches.positions(self.has_eos), *counters, length=config.length)
        rows = np.arange(len(stretches))
        return (permutation(len(rows), *counters) if self.portion.shuffled else rows), np.arange(len(rows) + 1)

    @cached_property
    def first_items(self) -> Ints:
        """(buffers + 1,) the first item of each buffer, and how many there are in all."""
        if self.config.kind == "windows":
            read = np.diff(spread(self._numbers, self.portion.share))
            sizes = [int(read[shards].sum()) for shards in self.buffers]
        else:
            sizes = [len(self.arrangement(buffer).bounds) - 1 for buffer in range(len(self.buffers))]
        return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)

    def __len__(self) -> int:
        return int(self.first_items[-1])

    def report(self) -> PlanReport:
        """Counted over the rows themselves, not derived from the rules that made them."""
        read = predicted = rows = short = reached = 0
        for shard in range(len(self._numbers) - 1):
            s = self.grid.stretches(self.shard_numbers(shard))
            stops = s.flat + s.tokens
            before = np.concatenate(([reached], stops[:-1]))[: len(s)]
            read += int((stops - np.maximum(s.flat, before)).sum())
            reached = int(stops[-1]) if len(s) else reached
            predicted += int((s.tokens + (s.eos & self.has_eos)).sum())
            rows += len(s)
            short += int((s.tokens < self.config.length).sum())
        records = self.config.kind != "windows"
        if self.config.kind == "packed":
            positions = len(self) * self.config.length
        elif short or records or self.config.look_back:
            positions = sum(self._padded(self.arrangement(buffer)) for buffer in range(len(self.buffers)))
        else:
            positions = rows * self.config.length
        lengths = np.diff(self.layout.spans[:, 1:])
        tokens = int(lengths.sum())
        return PlanReport(
            spans=tokens,
            read=read,
            left_out=tokens - read,
            predicted=predicted,
            positions=positions,
            rows=rows,
            short=0 if records else short,
            long=int((self.grid.tokens > self.grid.length).sum()) if records else 0,
            refused=int((lengths > 0).sum()) - len(self.grid.low),
            partial=int((~self.grid.is_record).sum()) if records else 0,
        )

    def _padded(self, arrangement: Arrangement) -> int:
        """Positions of a buffer's batches, padding included; a batch of windows that ends in the next one is cut."""
        positions, bounds = arrangement.stretches.positions(self.has_eos), arrangement.bounds
        if self.config.kind == "windows":
            bounds = np.append(np.arange(0, len(positions), self.config.batch_size), len(positions))
        return int((np.maximum.reduceat(positions, bounds[:-1]) * np.diff(bounds)).sum())
