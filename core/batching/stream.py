"""One store as an endless stream of items, epoch after epoch, with one shuffle buffer of whole shards in memory.

`take(first, stop)` gives any stretch of the stream. Asked in order, each shard is read once an epoch; asked at random
it gives the same, slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from core.batching.config import BatchingConfig
from core.batching.epoch import EpochPlan, Layout, Portion, Tokens
from core.batching.windows import Ints
from core.sequence import Array, Sequence


@dataclass(frozen=True)
class Items:
    """Consecutive items of one buffer, with P stretches of tokens in them."""

    tokens: Sequence
    """The buffer."""
    table: Ints
    """(P, 7): where the stretch begins in `tokens`, how many tokens it has, how many of them are look-back, whether EOS
    follows, its number in the epoch, its sequence, its first predicted token in that."""
    sizes: Ints
    """Stretches of each item."""
    epoch: int


@dataclass
class _Buffer:
    key: tuple[int, int]
    tokens: Sequence
    table: Ints
    bounds: Ints


class StoreStream:
    """The items of a store's split, numbered through all epochs.

    Args:
        store: where tokens are read.
        config: rows and batches.
        portion: split, seed, share.
        number: which of several stores it is: a counter of its random order.
    """

    def __init__(self, store: Tokens, config: BatchingConfig, portion: Portion, number: int = 0) -> None:
        self.store, self.config, self.portion, self.number = store, config, portion, number
        self._layout = Layout.of(store, portion.split)
        self._plans: dict[int, EpochPlan] = {}
        self._epoch_ends: list[int] = []
        self._buffer: _Buffer | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without what a worker can make again."""
        return {**self.__dict__, "_plans": {}, "_buffer": None}

    def plan(self, epoch: int) -> EpochPlan:
        """The plan of an epoch; the last two are kept."""
        if epoch not in self._plans:
            self._plans = {e: p for e, p in self._plans.items() if e == epoch - 1}
            self._plans[epoch] = EpochPlan(self._layout, self.config, self.portion, epoch, "store", self.number)
        return self._plans[epoch]

    def epoch_of(self, item: int) -> tuple[int, int]:
        """The epoch of an item of the stream, and its number in it."""
        while not self._epoch_ends or self._epoch_ends[-1] <= item:
            ends = self._epoch_ends
            ends.append((ends[-1] if ends else 0) + len(self.plan(len(ends))))
        epoch = int(np.searchsorted(self._epoch_ends, item, side="right"))
        return epoch, item - (self._epoch_ends[epoch - 1] if epoch else 0)

    def take(self, first: int, stop: int) -> Iterator[Items]:
        """Items [first, stop) of the stream, in one group a buffer. A group is to be used up before the next is asked
        for: the buffer of the last is given up then."""
        while first < stop:
            epoch, item = self.epoch_of(first)
            first_items = self.plan(epoch).first_items
            number = int(np.searchsorted(first_items, item, side="right")) - 1
            n = min(stop - first, int(first_items[number + 1]) - item)
            buffer = self._load(epoch, number)
            inside = item - int(first_items[number])
            bounds = buffer.bounds[inside : inside + n + 1]
            yield Items(buffer.tokens, buffer.table[bounds[0] : bounds[-1]], np.diff(bounds), epoch)
            del buffer
            first += n

    def _load(self, epoch: int, number: int) -> _Buffer:
        """The tokens of a buffer's shards, as far as its items reach."""
        if self._buffer is None or self._buffer.key != (epoch, number):
            self._buffer = None
            plan, edges = self.plan(epoch), self._layout.edges
            arrangement = plan.arrangement(number)
            s = arrangement.stretches
            shard = np.searchsorted(edges, s.flat, side="right") - 1
            low = np.full(len(edges), np.iinfo(np.int64).max)
            high = np.zeros(len(edges), np.int64)
            np.minimum.at(low, shard, s.flat - s.context)
            np.maximum.at(high, shard, s.flat + s.tokens)
            shards = np.sort(plan.buffers[number])
            room = np.concatenate(([0], np.cumsum((high - low)[shards])))
            shift = np.zeros(len(edges), np.int64)
            shift[shards] = room[:-1] - low[shards]
            tokens = gathered(
                (
                    (int(at), self.store.read(int(low[j]), int(high[j])))
                    for at, j in zip(room[:-1], shards, strict=True)
                ),
                int(room[-1]),
            )
            begin = s.flat - s.context + shift[shard]
            columns = (begin, s.tokens + s.context, s.context, s.eos, arrangement.numbers, s.sequence, s.start)
            self._buffer = _Buffer((epoch, number), tokens, np.stack(columns, axis=1), arrangement.bounds)
        return self._buffer


def gathered(parts: Iterator[tuple[int, Sequence]], length: int) -> Sequence:
    """Parts of a store side by side in one Sequence of `length` tokens; each is (where it begins, its tokens)."""
    whole = Sequence({})

    def put(into: dict[str, Array], of: dict[str, Array], at: int, empty: Callable[[Array], Array]) -> None:
        for name, array in of.items():
            if name not in into:
                into[name] = empty(array)
            into[name][at : at + len(array)] = array

    for at, part in parts:
        put(whole.arrays, part.arrays, at, lambda a: np.zeros((length, *a.shape[1:]), _narrow(a)))
        put(whole.observed, part.observed, at, lambda a: np.ones((length, *a.shape[1:]), bool))
        put(whole.loss_mask, part.loss_mask, at, lambda a: np.ones(length, bool))
    return whole


def _narrow(array: Array) -> np.dtype:
    """Batches are float32, so a buffer need not be wider."""
    return np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype
