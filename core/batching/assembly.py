"""Batches by copying slices: what `make_row` and `collate` define, at the speed of memory.

A piece is a stretch of a large array (a shuffle buffer) and its place in the batch. Tokens are copied once a field, to
the positions that predict them; what the model reads is that array one position further. A test holds it equal to the
definition.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.batching.batch import PADDING_SEGMENT, Batch, Inputs
from core.sequence import Array, Field, Role, Sequence, TokenSpec
from core.vocabulary import BOS, EOS, UNK

Ints = NDArray[np.int64]


@dataclass
class Pieces:
    """P stretches of tokens and where they go, by row, and within a row by offset; columns (P,)."""

    sources: list[Sequence]
    """What each is a stretch of: a shuffle buffer, or a single window that a view has changed."""
    begin: Ints
    """Its first token (with patches: step) in its source, look-back included."""
    tokens: Ints
    """How many tokens it has, look-back included; with EOS at least one position."""
    context: Ints
    """How many of them are look-back; with patches whole ones."""
    eos: NDArray[np.bool_]
    """Whether EOS is predicted after it."""
    row: Ints
    offset: Ints
    """The position in the row where it starts: 0 unless rows are packed. Rows have no gaps."""
    places: Ints
    """(P, 3): store, sequence, first predicted token."""

    @classmethod
    def joined(cls, groups: list[Pieces]) -> Pieces:
        if len(groups) == 1:
            return groups[0]
        columns = (np.concatenate([getattr(g, f.name) for g in groups]) for f in fields(cls)[1:])
        return cls([source for g in groups for source in g.sources], *columns)

    def __len__(self) -> int:
        return len(self.sources)


def assemble(pieces: Pieces, spec: TokenSpec, *, packed: bool = False, width: int | None = None) -> Batch:
    """The batch that `collate` makes of the same rows.

    Args:
        packed: rows hold several documents.
        width: positions of the batch; None for the longest row's.

    A piece has EOS only where the spec has a symbol target. With patches, pieces count steps and positions hold
    `spec.patch` of them; rows hold one piece each then.
    """
    patch = spec.patch
    ends = pieces.offset - (-pieces.tokens // patch)
    stops = ends + pieces.eos
    lengths = np.zeros(int(pieces.row[-1]) + 1, np.int64)
    np.maximum.at(lengths, pieces.row, stops)
    width = int(lengths.max()) if width is None else width
    shape = (len(lengths), width)
    first = (pieces.row, pieces.offset)
    last = (pieces.row[pieces.eos], ends[pieces.eos])
    padded = np.flatnonzero(lengths < width)
    after = (padded, lengths[padded])
    step_ends = pieces.offset + pieces.tokens if patch == 1 else pieces.tokens
    stretches = list(
        zip(
            *(c.tolist() for c in (pieces.row, pieces.offset, step_ends, pieces.begin, pieces.begin + pieces.tokens)),
            strict=True,
        )
    )
    partial = patch > 1 and bool((pieces.tokens % patch).any())

    def laid_out(arrays: list[Array | None], out: Array) -> Array:
        """Each piece's stretch of its array at the steps that are predicted; (rows, steps, ...)."""
        for array, (row, offset, end, begin, stop) in zip(arrays, stretches, strict=True):
            if array is not None:
                out[row, offset:end] = array[begin:stop]
        return out

    def folded(values: Array, f: Field) -> Array:
        """Steps as positions: patches of a real field side by side, of a symbol field the first step."""
        if patch == 1:
            return values
        return values[:, ::patch] if f.is_symbol else values.reshape(*shape, -1)

    def one_further(values: Array, nothing: float) -> Array:
        """The same at the positions that read it; `nothing` where a piece starts and after the end of a row."""
        out = np.empty_like(values)
        out[:, 1:] = values[:, :-1]
        out[first] = nothing
        out[after] = nothing
        return out

    due = np.zeros(shape, bool)  # predicted, unless a loss mask or a missing value says otherwise
    for row, offset, stop in zip(
        *(c.tolist() for c in (pieces.row, pieces.offset + pieces.context // patch, stops)), strict=True
    ):
        due[row, offset:stop] = True
    inputs, targets, loss_mask = Inputs({}), {}, {}
    start = np.zeros(shape, bool)
    for f in spec.fields:
        ahead = f.role is Role.KNOWN_AHEAD
        steps = (shape[0], shape[1] * patch)
        whole = (*steps, f.width) if f.width else steps
        laid = laid_out(
            [s.arrays[f.name] for s in pieces.sources], np.zeros(whole, np.float32 if f.width else np.int64)
        )
        truth = folded(laid, f)
        reads = truth.copy() if ahead else one_further(truth, 0)
        masks = [s.observed.get(f.name) for s in pieces.sources]
        there = None
        if any(mask is not None for mask in masks) or (partial and f.width):
            seen_steps = laid_out(masks, np.ones(whole, bool))
            for row, _, end, _, _ in stretches if partial and f.width else ():
                seen_steps[row, end : -(-end // patch) * patch] = False  # what fills up the last patch
            there = folded(seen_steps, f)
        if there is not None:
            seen = there if ahead else one_further(there, True)
            if not seen.all():
                reads[~seen] = 0 if f.width else UNK
                inputs.observed[f.name] = torch.from_numpy(seen)
        nothing = last if ahead else first
        if f.is_symbol:
            reads[nothing] = EOS if ahead else BOS
        else:
            start[nothing] = True
        inputs.fields[f.name] = torch.from_numpy(reads)
        if f.is_target:
            counts = np.repeat(due[..., None], truth.shape[-1], -1) if f.width else due.copy()
            if f.is_symbol:
                truth[last] = EOS
            else:
                counts[last] = False
            if there is not None:
                truth = np.where(there, truth, truth.dtype.type(0))
                counts &= there
            chosen = [s.loss_mask.get(f.name) for s in pieces.sources]
            if any(mask is not None for mask in chosen):
                allowed = laid_out(chosen, np.ones(steps, bool))
                counts &= np.repeat(allowed, f.width, -1).reshape(truth.shape) if f.width else folded(allowed, f)
            targets[f.name], loss_mask[f.name] = torch.from_numpy(truth), torch.from_numpy(counts)
    if any(f.width for f in spec.fields):
        inputs.start = torch.from_numpy(start)
    if packed:
        inputs.positions, inputs.segments = _documents(pieces, stops, shape)
    if len(padded):
        inputs.lengths = torch.from_numpy(lengths)
    return Batch(inputs, targets, loss_mask, pieces.places, patch=patch)


def _documents(pieces: Pieces, stops: Ints, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Positions (B, T) int64 and segments (B, T) int32 of packed rows."""
    positions, segments = np.zeros(shape, np.int64), np.full(shape, PADDING_SEGMENT, np.int32)
    before, document = -1, 0
    for row, offset, stop in zip(*(c.tolist() for c in (pieces.row, pieces.offset, stops)), strict=True):
        before, document = row, document + 1 if row == before else 0
        positions[row, offset:stop] = np.arange(stop - offset)
        segments[row, offset:stop] = document
    return torch.from_numpy(positions), torch.from_numpy(segments)
