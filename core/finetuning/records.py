"""Records of a store as batches that a gradient flows through, pooled by record.

What is pooled is what `Engine.embed` pools: the states that have read at least one token, long records in overlapping
windows, so that a head learns on the very numbers that prediction will give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.batching.assembly import Pieces, assemble
from core.batching.batch import Inputs
from core.embedding import one_more
from core.nn.model import SequenceModel
from core.order import permutation
from core.sequence import TokenSpec
from core.store import TokenStore
from core.window_policy import Stretch, Window, WindowPolicy, windows

_SORTED_BATCHES = 16
"""Batches' worth of records that are sorted by length before they are cut: a batch has rows of like length."""
MICRO_TOKENS = 8192
"""Positions that a forward pass reads at once, padding included: a step is made of as many passes as it takes."""


@dataclass(frozen=True)
class Part:
    """Records of one forward pass.

    Row r of the inputs is a window of record `owner[r]`; `weights` (R, T) says how much each position counts for it.
    """

    inputs: Inputs
    owner: Tensor
    weights: Tensor
    records: NDArray[np.int64]
    """Positions among the rows that were asked for."""
    begins: NDArray[np.int64]
    """(R,) the first step of each window in its record."""


class Records:
    """Rows of a store in memory.

    Args:
        rows: (n,) of the store.
        policy: resolved; how long rows are cut.
        pooling: mean, last or token.
    """

    def __init__(
        self, store: TokenStore, rows: NDArray[np.int64], spec: TokenSpec, policy: WindowPolicy, pooling: str
    ) -> None:
        self.spec, self.policy, self.pooling = spec, policy, pooling
        self._real = not any(f.is_symbol for f in spec.targets)
        source = store.read(0, store.n_tokens)
        lengths = np.diff(store.offsets)
        self.stretches = [Stretch(source, int(store.offsets[row]), int(lengths[row])) for row in rows.tolist()]

    def __len__(self) -> int:
        return len(self.stretches)

    def subset(self, chosen: NDArray[np.int64]) -> list[Stretch]:
        return [self.stretches[i] for i in chosen.tolist()]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each."""
        return np.array([s.tokens for s in self.stretches], dtype=np.int64)

    def parts(self, batch: NDArray[np.int64], device: torch.device) -> Iterator[Part]:
        """The records of a batch, all windows of a record in one part."""
        held: list[tuple[int, Stretch, list[Window]]] = []
        longest = rows = 0
        for i in sorted(batch.tolist(), key=lambda i: self.stretches[i].tokens):
            record = self._read(self.stretches[i])
            found = list(windows(record.tokens + (not self._real), self.policy, eos=True))
            longest = max(longest, max((w.stop - w.begin for w in found), default=1))
            if held and (rows + len(found)) * self.spec.positions(longest) > MICRO_TOKENS:
                yield self._part(held, device)
                held, rows = [], 0
            held.append((i, record, found))
            rows += len(found)
        if held:
            yield self._part(held, device)

    def _read(self, record: Stretch) -> Stretch:
        return one_more(record, self.spec.patch) if self._real else record

    def _part(self, held: list[tuple[int, Stretch, list[Window]]], device: torch.device) -> Part:
        rows = [(number, record, w) for number, (_, record, found) in enumerate(held) for w in found]
        begin = np.array([record.start + w.begin for _, record, w in rows], dtype=np.int64)
        stop = np.array([record.start + min(w.stop, record.tokens) for _, record, w in rows], dtype=np.int64)
        count = np.arange(len(rows), dtype=np.int64)
        pieces = Pieces(
            sources=[record.source for _, record, _ in rows],
            begin=begin,
            tokens=stop - begin,
            context=np.array([w.context for _, _, w in rows], dtype=np.int64),
            eos=np.array([not self._real and w.stop > record.tokens for _, record, w in rows], dtype=bool),
            row=count,
            offset=np.zeros_like(count),
            places=np.stack([np.zeros_like(count), count, begin], 1),
        )
        inputs = assemble(pieces, self.spec).inputs.to(device)
        width, patch = next(iter(inputs.fields.values())).shape[1], self.spec.patch
        steps = np.zeros((len(rows), width * patch), np.float32)
        for r, (_, record, w) in enumerate(rows):
            positions = record.tokens + (not self._real)
            first = w.begin + w.context
            if first == 0 and positions > patch:
                first = patch  # the first position has read nothing
            if self.pooling == "last":
                first = positions - 1 if w.stop == positions else w.stop
            steps[r, first - w.begin : w.stop - w.begin] = 1
        weights = torch.from_numpy(steps.reshape(len(rows), width, patch).sum(-1)).to(device)
        owner = torch.tensor([number for number, _, _ in rows], device=device)
        records = np.array([i for i, _, _ in held], dtype=np.int64)
        return Part(inputs, owner, weights, records, np.array([w.begin for _, _, w in rows], dtype=np.int64))


def epoch(
    lengths: NDArray[np.int64], chosen: NDArray[np.int64], size: int, *counters: int | str
) -> Iterator[NDArray[np.int64]]:
    """The chosen ones in batches of `size`, those of like length together; a function of the counters.

    Args:
        lengths: (n,) tokens of each, whether chosen or not.
    """
    order = chosen[permutation(len(chosen), "finetune", *counters)]
    batches = []
    for start in range(0, len(order), size * _SORTED_BATCHES):
        block = order[start : start + size * _SORTED_BATCHES]
        block = block[np.argsort(lengths[block], kind="stable")]
        batches += [block[i : i + size] for i in range(0, len(block), size)]
    yield from (batches[i] for i in permutation(len(batches), "finetune_batches", *counters))


def pooled(model: SequenceModel, part: Part) -> Tensor:
    """(records, D): the weighted mean of each record's hidden states."""
    hidden = model(part.inputs)[0].float()
    with torch.autocast(hidden.device.type, enabled=False):  # which would round what was widened
        sums = torch.einsum("rtd,rt->rd", hidden, part.weights)
    n = len(part.records)
    total = torch.zeros(n, hidden.shape[-1], device=hidden.device).index_add(0, part.owner, sums)
    weight = torch.zeros(n, device=hidden.device).index_add(0, part.owner, part.weights.sum(1))
    return total / weight.clamp(min=1)[:, None]


def by_token(model: SequenceModel, part: Part, tokens: list[int]) -> Tensor:
    """(all tokens of the part's records, D), in order: of each token the state that has read it.

    Args:
        tokens: of each record of the part.
    """
    hidden = model(part.inputs)[0].float()
    firsts = np.concatenate([[0], np.cumsum(tokens)])
    row, position = (t.cpu().numpy() for t in part.weights.nonzero(as_tuple=True))
    place = firsts[part.owner.cpu().numpy()[row]] + part.begins[row] + position - 1
    out = torch.zeros(int(firsts[-1]), hidden.shape[-1], device=hidden.device)
    where = torch.from_numpy(place).to(hidden.device)
    return out.index_copy(0, where, hidden[torch.from_numpy(row), torch.from_numpy(position)])
