"""What a model reads and predicts: `Batch`, its `Inputs`, and how rows of tokens become one.

Row position i *predicts* token i. There, target and given fields read token i-1 (BOS, or the learned start vector of a
real field, at i = 0); known-ahead fields read token i. With patches a token is `spec.patch` steps: `fold` comes first.
`make_row` and `collate` are the definition, in plain steps; core/batching/assembly.py builds the same batches out of
large arrays, fast. Nothing here knows stores or epochs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.sequence import Array, Field, Role, Sequence, TokenSpec
from core.vocabulary import BOS, EOS, PAD, UNK

PADDING_SEGMENT = -1
"""The segment of positions that belong to no document."""


@dataclass
class Inputs:
    """What the model reads, already shifted. Axes: B rows, T positions, W width of a real field, folded where there are
    patches: (patch, channels)."""

    fields: dict[str, Tensor]
    """Every field of the spec: (B, T) int64 for symbols, (B, T, W) float32 for real values."""
    observed: dict[str, Tensor] = field(default_factory=dict)
    """Bool of the field's shape, shifted like it; only for fields of which something in it is missing (False)."""
    start: Tensor | None = None
    """(B, T) bool, True where a real field has no value to read; None where the spec has no real field."""
    positions: Tensor | None = None
    """(B, T) int64, restarting with every packed document; None for 0..T-1 in every row."""
    segments: Tensor | None = None
    """(B, T) int32, the position's document in its row, -1 in padding; None where a row is one document."""
    lengths: Tensor | None = None
    """(B,) int64, positions before the padding at the right; None where every row is full."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """The same with `change` applied to every tensor."""

        def optional(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        return Inputs(
            {name: change(t) for name, t in self.fields.items()},
            {name: change(t) for name, t in self.observed.items()},
            optional(self.start),
            optional(self.positions),
            optional(self.segments),
            optional(self.lengths),
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Inputs:
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))


@dataclass
class Batch:
    """Inputs with what is to be predicted from them."""

    inputs: Inputs
    targets: dict[str, Tensor]
    """Per target field: (B, T) int64, PAD where there is none; or (B, T, W) float32, zeros where there is none."""
    loss_mask: dict[str, Tensor]
    """Per target field, bool: (B, T), or (B, T, W) for real values: True where the prediction counts."""
    rows: NDArray[np.int64]
    """(B, 3): store, sequence, first predicted token of each row; one line a document where rows are packed."""
    global_rows: NDArray[np.int64] | None = None
    """The rows of the whole global batch where this is one rank's slice of it; None where `rows` are all."""
    global_tokens: int = 0
    """Tokens (EOS counted) that the global batch predicts before any loss mask: the same on every rank."""
    patch: int = 1
    """Steps of a position."""

    def predicted(self) -> Tensor:
        """(B, T, patch) bool: the steps of which something is predicted."""
        return predicted_steps(self.loss_mask.values(), self.patch)

    @property
    def n_tokens(self) -> int:
        """How many steps of this batch are predicted, in at least one field."""
        return int(self.predicted().sum())

    def row_digest(self) -> str:
        """sha256 of the global batch's row ids: the same whatever the world size, workers or device."""
        rows = self.rows if self.global_rows is None else self.global_rows
        return hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest()

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with `change` applied to every tensor; the row ids stay."""
        return replace(
            self,
            inputs=self.inputs.map(change),
            targets={name: change(t) for name, t in self.targets.items()},
            loss_mask={name: change(t) for name, t in self.loss_mask.items()},
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return self.map(Tensor.pin_memory)


def predicted_steps(masks: Iterable[Tensor], patch: int) -> Tensor:
    """Masks (B, T) or (B, T, W) -> (B, T, patch) bool: True where any of them is, in any channel of the step."""
    by_step = [m.unsqueeze(-1) if m.dim() == 2 else m.unflatten(-1, (patch, -1)).any(-1) for m in masks]
    return torch.stack(by_step).any(0)


def fold(sequence: Sequence, spec: TokenSpec) -> Sequence:
    """Steps as the model's tokens, fields as `spec.folded` says; the last token is filled up with missing values.

    A patch's real values stand step by step, (patch, width) in one row; its symbol is that of its first step.
    """
    n, patch = spec.positions(len(sequence)), spec.patch
    whole = n * patch == len(sequence)
    if patch == 1:
        return sequence

    def folded(values: Array, fill: float = 0) -> Array:
        filled = np.full((n * patch, *values.shape[1:]), fill, values.dtype)
        filled[: len(values)] = values
        return filled.reshape(n, -1)

    arrays, observed, loss_mask = {}, {}, {}
    for f in spec.fields:
        values, there = sequence.arrays[f.name], sequence.observed.get(f.name)
        if f.is_symbol:
            arrays[f.name] = values[::patch]
            if there is not None:
                observed[f.name] = there[::patch]
            continue
        arrays[f.name] = folded(values)
        if there is not None or not whole:
            observed[f.name] = folded(np.ones(values.shape, bool) if there is None else there)
        counts = sequence.loss_mask.get(f.name)
        if counts is not None:
            loss_mask[f.name] = folded(np.repeat(counts[:, None], f.width, 1))
    return Sequence(arrays, sequence.id, observed, loss_mask)


@dataclass
class Row:
    """One row before padding, or one document of a packed row: numpy arrays over its positions."""

    fields: dict[str, Array]
    observed: dict[str, Array]
    start: NDArray[np.bool_]
    targets: dict[str, Array]
    loss_mask: dict[str, NDArray[np.bool_]]
    place: list[tuple[int, int, int]]
    """Store, sequence and first predicted token; one a document."""
    positions: NDArray[np.int64] | None = None
    segments: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.start)


def make_row(
    sequence: Sequence, spec: TokenSpec, *, eos: bool, context: int = 0, place: tuple[int, int, int] = (0, 0, 0)
) -> Row:
    """One row of a batch, step by step: the definition of the alignment.

    Args:
        sequence: the tokens of the row, those of its look-back included.
        eos: the row is a whole record, so a symbol target predicts EOS after its last token, at position T.
        context: how many steps at the front are look-back only, whole patches of them.
        place: where the row comes from, for `Batch.rows`.

    A missing real value reads as zero, a missing symbol as UNK. Of a real target the components that are there are
    predicted.
    """
    sequence, context, spec = fold(sequence, spec), context // spec.patch, spec.folded
    tokens = len(sequence)
    ends = eos and any(f.is_symbol for f in spec.targets)
    positions = tokens + ends
    row = Row({}, {}, np.zeros(positions, bool), {}, {}, [place])
    for f in spec.fields:
        shape = (positions, f.width) if f.width else (positions,)
        values = sequence.arrays[f.name].astype(np.float32 if f.width else np.int64)
        observed = sequence.observed.get(f.name, np.ones(values.shape, bool))
        known = np.where(observed, values, 0 if f.width else UNK)
        reads, seen = np.zeros(shape, known.dtype), np.ones(shape, bool)
        for i in range(positions):
            token = i if f.role is Role.KNOWN_AHEAD else i - 1
            if 0 <= token < tokens:
                reads[i], seen[i] = known[token], observed[token]
            elif f.is_symbol:
                reads[i] = BOS if token < 0 else EOS
            else:
                row.start[i] = True
        row.fields[f.name], row.observed[f.name] = reads, seen
        if f.is_target:
            truth, counts = np.zeros(shape, known.dtype), np.zeros(shape, bool)
            for i in range(positions):
                if i < tokens:
                    truth[i] = np.where(observed[i], values[i], 0 if f.width else PAD)
                    counts[i] = observed[i] & _wide(sequence.loss_mask.get(f.name), f, tokens)[i]
                elif f.is_symbol:
                    truth[i], counts[i] = EOS, True
                counts[i] &= i >= context
            row.targets[f.name], row.loss_mask[f.name] = truth, counts
    return row


def _wide(mask: Array | None, f: Field, tokens: int) -> Array:
    """A target field's loss mask with an entry for each component."""
    if mask is None:
        return np.ones((tokens, f.width) if f.width else tokens, bool)
    return np.repeat(mask[:, None], f.width, 1) if f.width and mask.ndim == 1 else mask


def pack_rows(documents: Iterable[Row]) -> Row:
    """Documents one after the other in one row, with positions and segments that keep them apart."""
    rows = list(documents)

    def joined(arrays: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
        listed = list(arrays)
        return {name: np.concatenate([a[name] for a in listed]) for name in listed[0]}

    return Row(
        joined(r.fields for r in rows),
        joined(r.observed for r in rows),
        np.concatenate([r.start for r in rows]),
        joined(r.targets for r in rows),
        joined(r.loss_mask for r in rows),
        [place for r in rows for place in r.place],
        np.concatenate([np.arange(len(r), dtype=np.int64) for r in rows]),
        np.concatenate([np.full(len(r), i, np.int32) for i, r in enumerate(rows)]),
    )


def collate(rows: list[Row], spec: TokenSpec, *, width: int | None = None) -> Batch:
    """Rows as one batch, padded at the right to the longest of them or to `width` positions.

    spec: of the sequences that the rows were made of.
    """
    lengths = np.array([len(r) for r in rows], dtype=np.int64)
    width = int(lengths.max()) if width is None else width

    def padded(arrays: Iterable[Array], fill: float = 0) -> Tensor:
        listed = list(arrays)
        out = np.full((len(listed), width, *listed[0].shape[1:]), fill, listed[0].dtype)
        for slot, array in zip(out, listed, strict=True):
            slot[: len(array)] = array
        return torch.from_numpy(out)

    observed = {f.name: padded((r.observed[f.name] for r in rows), fill=True) for f in spec.fields}
    packed = rows[0].segments is not None
    inputs = Inputs(
        fields={f.name: padded(r.fields[f.name] for r in rows) for f in spec.fields},
        observed={name: mask for name, mask in observed.items() if not mask.all()},
        start=padded(r.start for r in rows) if any(f.width for f in spec.fields) else None,
        positions=padded(r.positions for r in rows if r.positions is not None) if packed else None,
        segments=padded((r.segments for r in rows if r.segments is not None), PADDING_SEGMENT) if packed else None,
        lengths=torch.from_numpy(lengths) if (lengths < width).any() else None,
    )
    return Batch(
        inputs,
        targets={f.name: padded(r.targets[f.name] for r in rows) for f in spec.targets},
        loss_mask={f.name: padded(r.loss_mask[f.name] for r in rows) for f in spec.targets},
        rows=np.array([place for r in rows for place in r.place], dtype=np.int64).reshape(-1, 3),
        patch=spec.patch,
    )
