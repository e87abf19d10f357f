"""Records that the split cuts: pieces put end to end as tokens, and borders in natural units as borders in tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.sequence import Array, Sequence
from core.tokenizer import Tokenizer

_UNIT_BLOCK = 2**16


def end_to_end(pieces: list[Sequence]) -> Sequence:
    """Pieces of one record as one Sequence; where only some have a mask, the others count as all True."""
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0]

    def joined(masks: str) -> dict[str, Array]:
        names = {name for piece in pieces for name in getattr(piece, masks)}
        return {
            name: np.concatenate(
                [
                    getattr(p, masks).get(name, np.ones(p.arrays[name].shape[: 1 if masks == "loss_mask" else 2], bool))
                    for p in pieces
                ]
            )
            for name in names
        }

    return Sequence(
        {name: np.concatenate([piece.arrays[name] for piece in pieces]) for name in first.arrays},
        observed=joined("observed"),
        loss_mask=joined("loss_mask"),
        group=first.group,
        labels=first.labels,
        token_labels={n: np.concatenate([piece.token_labels[n] for piece in pieces]) for n in first.token_labels},
    )


def token_parts(
    tokenizer: Tokenizer[Any], sequence: Sequence, parts: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """`parts` (start, stop, split) of a record in natural units as parts in tokens.

    A border inside a token moves to the token's start. Units are counted from the record's end, where borders usually
    are, and in blocks: those of a genome would not fit a cache.
    """
    length, total = len(sequence), parts[-1][1]
    borders: list[int] = []
    wanted = [float(total - start) for start, _, _ in parts[:0:-1]]  # units behind each border, the last border first
    behind = 0.0
    for stop in range(length, 0, -_UNIT_BLOCK):
        if len(borders) == len(wanted):
            break
        start = max(stop - _UNIT_BLOCK, 0)
        units = tokenizer.units({name: a[start:stop] for name, a in sequence.arrays.items()})
        after = behind + float(units.sum())
        sums = None
        while len(borders) < len(wanted) and wanted[len(borders)] <= after:
            sums = behind + np.cumsum(units[::-1]) if sums is None else sums
            borders.append(stop - 1 - int(np.searchsorted(sums, wanted[len(borders)])))
        behind = after
    borders += [0] * (len(wanted) - len(borders))
    edges = [0, *borders[::-1], length]
    return [(a, b, split) for a, b, (_, _, split) in zip(edges[:-1], edges[1:], parts, strict=True)]
