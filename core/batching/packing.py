"""Documents into rows of a fixed number of positions: best fit, longest first (Ding et al. 2024, arXiv 2404.10830).

Documents are packed in random pools, so that every epoch packs others together. None is cut.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from core.order import permutation

Ints = NDArray[np.int64]

POOL = 4096
"""Documents packed together. [Log-normal lengths of sigma 0.6, rows of about five mean lengths: 0.3 % of the positions
stay empty; 400,000 documents/s.]"""


def packed_rows(positions: Ints, *counters: int | str, length: int) -> tuple[Ints, Ints]:
    """Documents into rows.

    Args:
        positions: (P,) of each document, none above `length`.
        counters: of the random order.

    Returns: order (P,) of the documents, and bounds: row i has the documents order[bounds[i]:bounds[i+1]].
    """
    shuffled = permutation(len(positions), *counters, "pools")
    row = np.zeros(len(positions), dtype=np.int64)
    rows = 0
    for first in range(0, len(positions), POOL):
        pool = slice(first, first + POOL)
        row[pool] = rows + best_fit(positions[shuffled[pool]], length)
        rows = int(row[pool].max()) + 1
    row = permutation(rows, *counters, "rows")[row] if rows else row
    by_row = np.argsort(row, kind="stable")
    return shuffled[by_row], np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows))))


def best_fit(positions: Ints, length: int) -> Ints:
    """(P,) the row of each document: longest first, each into the fullest row that has room for it."""
    row = np.zeros(len(positions), dtype=np.int64)
    open_rows: dict[int, list[int]] = defaultdict(list)  # free positions -> rows
    free_sizes = 0  # bit n is set where some row has n free positions
    rows = 0
    for document in np.argsort(-positions, kind="stable").tolist():
        size = int(positions[document])
        fitting = free_sizes >> size
        if fitting:
            free = size + (fitting & -fitting).bit_length() - 1
            place = open_rows[free].pop()
            if not open_rows[free]:
                free_sizes ^= 1 << free
        else:
            free, place, rows = length, rows, rows + 1
        row[document] = place
        open_rows[free - size].append(place)
        free_sizes |= 1 << (free - size)
    return row
