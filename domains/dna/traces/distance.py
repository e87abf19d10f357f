"""Levenshtein distances of many pairs at once: one row of the table a step, for all pairs, in numpy."""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
from numpy.typing import NDArray

_CELLS = 2**20
"""Cells of a row of the table over all pairs that are worked on together: some 10 MB."""


def levenshtein(a: Many[str], b: Many[str]) -> NDArray[np.int64]:
    """(n,) insertions, deletions and substitutions of one base that turn a[i] into b[i], as few as possible.

    Args:
        a, b: ASCII texts, as many of each; some may be empty.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} texts against {len(b)}: expected pairs")
    widest = max(map(len, b), default=0) + 1
    step = max(1, _CELLS // widest)
    parts = [_distances(a[i : i + step], b[i : i + step]) for i in range(0, len(a), step)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _distances(a: Many[str], b: Many[str]) -> NDArray[np.int64]:
    """Wagner and Fischer 1974, row by row. D[i, j] - j is the running minimum of what comes from the row above."""
    lengths_a, lengths_b = np.array([len(t) for t in a]), np.array([len(t) for t in b])
    left, right = padded(a), padded(b)
    steps = np.arange(right.shape[1] + 1)
    row = np.tile(steps, (len(a), 1))
    found = np.where(lengths_a == 0, lengths_b, 0)
    for i in range(left.shape[1]):
        above = np.empty_like(row)
        above[:, 0] = i + 1
        np.minimum(row[:, 1:] + 1, row[:, :-1] + (left[:, i, None] != right), out=above[:, 1:])
        row = np.minimum.accumulate(above - steps, axis=1) + steps
        ends = np.flatnonzero(lengths_a == i + 1)
        found[ends] = row[ends, lengths_b[ends]]
    return found


def padded(texts: Many[str], fill: int = 0) -> NDArray[np.uint8]:
    """(n, longest) ASCII codes, `fill` behind the end of each text."""
    lengths = np.array([len(t) for t in texts], np.int64)
    table = np.full((len(texts), int(lengths.max(initial=0))), fill, np.uint8)
    inside = np.arange(table.shape[1]) < lengths[:, None]
    table[inside] = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    return table
