"""The global batch of any step, or one rank's part of it: `feed[step]` is a pure function of (seed, step).

A step takes items out of the streams of one or several stores; rank r of a world of W gets rows r, r + W, ... of them.
A worker of a DataLoader holds its own copy with its own buffers, so nothing depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from core.batching.assembly import Pieces, assemble
from core.batching.batch import Batch
from core.batching.config import BatchingConfig
from core.batching.mixture import Mixture
from core.batching.stream import Items, StoreStream
from core.batching.windows import Ints
from core.errors import ConfigError
from core.order import rng
from core.sequence import Array, Sequence, TokenSpec
from core.tokenizer import Tokenizer

Ranges = list[tuple[int, int, int]]
"""(stream, first item, stop item) of one step."""


class TrainingSteps:
    """Endless steps over all epochs; several stores are mixed by weight. A batch in buckets is of one store."""

    def __init__(self, streams: list[StoreStream], weights: list[float], config: BatchingConfig) -> None:
        self.streams, self.mixture = streams, Mixture(weights)
        self.items = 1 if config.kind == "buckets" else config.batch_size

    def __call__(self, step: int) -> Ranges:
        ranges = self.mixture.ranges(step * self.items, (step + 1) * self.items)
        return [(k, first, stop) for k, (first, stop) in enumerate(ranges) if first < stop]

    def per_epoch(self, epoch: int) -> int:
        """Steps after which every store has been read once."""
        shares = self.mixture.weights * self.items
        return max(
            int(np.ceil(len(s.plan(epoch)) / share)) for s, share in zip(self.streams, shares.tolist(), strict=True)
        )

    @property
    def tokens_per_step(self) -> float:
        """Tokens that a step predicts, EOS counted, on average over the first epoch."""
        per_item = [s.plan(0).report().predicted / len(s.plan(0)) for s in self.streams]
        return float(np.dot(self.mixture.weights, per_item)) * self.items


class ValidationSteps:
    """One pass over every stream, one after the other; the last batch of each may be smaller."""

    def __init__(self, streams: list[StoreStream], config: BatchingConfig) -> None:
        items = 1 if config.kind == "buckets" else config.batch_size
        self._steps = [
            [(k, first, min(first + items, n))]
            for k, n in enumerate(len(stream.plan(0)) for stream in streams)
            for first in range(0, n, items)
        ]

    def __len__(self) -> int:
        return len(self._steps)

    def __call__(self, step: int) -> Ranges:
        return self._steps[step]


class BatchFeed(Dataset[Batch]):
    """Batches by step.

    Args:
        streams: one a store.
        steps: which items belong to a step.
        spec: the fields of a token.
        config: rows and batches.
        rank, world: which rows of the global batch are given.
        tokenizer: its `view_window` re-reads every row, drawn by (seed, epoch, number of the row); None for no views.
    """

    def __init__(
        self,
        streams: list[StoreStream],
        steps: Callable[[int], Ranges],
        spec: TokenSpec,
        config: BatchingConfig,
        *,
        rank: int = 0,
        world: int = 1,
        tokenizer: Tokenizer[Any] | None = None,
    ) -> None:
        self.streams, self.steps, self.spec, self.config = streams, steps, spec, config
        self.rank, self.world, self.tokenizer = rank, world, tokenizer
        self.has_eos = any(f.is_symbol for f in spec.targets)

    def __getitem__(self, step: int) -> Batch:
        """This rank's rows of the step's batch.

        A rank for which there is no row reads the batch's first one with every loss mask False and has empty `rows`, so
        that all ranks take part in the step.
        """
        pieces, places, tokens = self._pieces(step, self.rank, self.world)
        idle = not len(pieces)
        if idle:
            pieces, _, _ = self._pieces(step, 0, len(places))
        packed = self.config.kind == "packed"
        batch = assemble(pieces, self.spec, packed=packed, width=self.config.length if packed else None)
        if idle:
            batch.loss_mask = {name: torch.zeros_like(mask) for name, mask in batch.loss_mask.items()}
            batch.rows = places[:0]
        batch.global_rows, batch.global_tokens = places, tokens
        return batch

    def _pieces(self, step: int, rank: int, world: int) -> tuple[Pieces, Ints, int]:
        """The pieces of a rank's rows, the places of all rows, and how many tokens all rows predict."""
        groups: list[Pieces] = []
        all_places: list[Ints] = []
        predicted = row = 0
        for number, first, stop in self.steps(step):
            for items in self.streams[number].take(first, stop):
                rows, offsets = self._layout(items)
                rows += row
                row = int(rows[-1]) + 1
                places = np.full((len(items.table), 3), number)
                places[:, 1:] = items.table[:, 5:]
                all_places.append(places)
                table = items.table
                predicted += int((table[:, 1] - table[:, 2] + self.has_eos * table[:, 3]).sum())
                if world > 1:
                    mine = rows % world == rank
                    table, places, rows, offsets = table[mine], places[mine], rows[mine] // world, offsets[mine]
                begin, tokens, context, eos, draws = table[:, :5].T
                sources = [items.tokens] * len(table)
                leaves = len(items.sizes) < stop - first  # the buffer is given up before the batch is made
                if self.tokenizer is not None or leaves:
                    cuts = zip(begin.tolist(), (begin + tokens).tolist(), draws.tolist(), strict=True)
                    sources = [self._window(items.tokens.slice(a, b), number, items.epoch, n) for a, b, n in cuts]
                    begin = np.zeros_like(begin)
                ends = (eos > 0) & self.has_eos
                groups.append(Pieces(sources, begin, tokens, context, ends, rows, offsets, places))
        return Pieces.joined(groups), np.concatenate(all_places), predicted

    def _layout(self, items: Items) -> tuple[Ints, Ints]:
        """The row of each stretch of the items, counted from 0, and the position where it starts there."""
        if self.config.kind != "packed":
            return np.arange(len(items.table)), np.zeros(len(items.table), np.int64)
        ends = np.cumsum(items.table[:, 1] + self.has_eos * items.table[:, 3])
        begins = np.insert(ends[:-1], 0, 0)
        row_begins = begins[np.cumsum(items.sizes) - items.sizes]
        return np.repeat(np.arange(len(items.sizes)), items.sizes), begins - np.repeat(row_begins, items.sizes)

    def _window(self, window: Sequence, number: int, epoch: int, draw: int) -> Sequence:
        """A window of its own, in another reading where there are views.

        A window's masks go with it to the tokenizer, as arrays called observed/NAME and loss_mask/NAME. Raises
        ConfigError for a view that changes the number of tokens, or tokens but not their masks.
        """
        window, tokenizer = _copied(window), self.tokenizer
        if tokenizer is None:
            return window
        masks = {f"observed/{name}": a for name, a in window.observed.items()}
        masks |= {f"loss_mask/{name}": a for name, a in window.loss_mask.items()}
        seed = self.streams[number].portion.seed
        arrays = tokenizer.view_window({**window.arrays, **masks}, rng(seed, "view", number, epoch, draw))
        if any(len(a) != len(window) for a in arrays.values()):
            raise ConfigError(f"view_window of tokenizer '{tokenizer.kind}' changed the number of tokens of a window")
        changed = any(arrays[name] is not a for name, a in window.arrays.items())
        if changed and not masks.keys() <= arrays.keys():
            raise ConfigError(
                f"view_window of tokenizer '{tokenizer.kind}' does not return the masks that were in its arrays: "
                f"{', '.join(sorted(masks))}",
                hint="Turn views off for this store, or let view_window treat masks like the field they belong to.",
            )
        masks |= {name: a for name, a in arrays.items() if name in masks}
        return Sequence(
            {name: arrays[name] for name in window.arrays},
            observed={name: masks[f"observed/{name}"] for name in window.observed},
            loss_mask={name: masks[f"loss_mask/{name}"] for name in window.loss_mask},
        )


def _copied(window: Sequence) -> Sequence:
    """A window that does not keep its buffer alive, and can be changed."""

    def copies(arrays: dict[str, Array]) -> dict[str, Array]:
        return {name: a.copy() for name, a in arrays.items()}

    return Sequence(copies(window.arrays), "", copies(window.observed), copies(window.loss_mask))
