"""Learning byte-pair pieces from sequences: join the most frequent pair of neighbouring pieces, again and again.

Sennrich et al. 2016 (arXiv 1508.07909), without words: DNA and proteins have none. Pairs do not reach over a letter
outside the alphabet or the end of a chunk, and no piece gets longer than a limit, so that repeats cannot fill the
vocabulary. Deterministic: ties go to the pair learned first. Which letters there are is told by the caller.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.order import rng

_CHUNK = 4096
_BREAK = -1


def sample_codes(records: Iterable[NDArray[Any]], letters: int, size: int, *counters: int | str) -> NDArray[np.int32]:
    """About `letters` letters out of all records, in chunks drawn evenly, each followed by a break.

    Args:
        records: per record (n,) unsigned, below `size` for letters of the alphabet, larger for anything else.
        letters: how many to keep; memory is bounded by it.
        size: letters of the alphabet.
        counters: which chunks are drawn.

    Returns (n,) int32: below `size`, or -1 for a break.
    """
    draw = rng(*counters)
    kept: list[tuple[float, int, NDArray[Any]]] = []
    held, seen = 0, 0
    for codes in records:
        for start in range(0, len(codes), _CHUNK):
            chunk = codes[start : start + _CHUNK]
            # The chunks with the smallest draws stay; the heap's first is the one to go next.
            heapq.heappush(kept, (-draw.random(), seen, chunk.copy()))
            held, seen = held + len(chunk), seen + 1
            while held - len(kept[0][2]) >= letters:
                held -= len(heapq.heappop(kept)[2])
    parts: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    for _, _, chunk in sorted(kept, key=lambda item: item[1]):
        part = chunk.astype(np.int32)
        part[part >= size] = _BREAK
        parts += [part, np.array([_BREAK], np.int32)]
    return np.concatenate(parts)


def learn_pieces(codes: NDArray[np.int32], alphabet: str, count: int, max_length: int) -> list[str]:
    """Up to `count` pieces of 2 to `max_length` letters of `alphabet`, most useful first; fewer where no pair occurs
    twice any more.

    Counts are kept from join to join and corrected around the places that changed.
    """
    codes = codes.copy()
    spelled = list(alphabet)
    size = len(alphabet) + count
    lengths = np.ones(size, np.int64)
    counts = np.zeros(size * size, np.int64)

    def pairs(places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The pairs that start at `places` as left * size + right; those with a break or too long are left out."""
        left, right = codes[places], codes[places + 1]
        fit = (left >= 0) & (right >= 0) & (lengths[left] + lengths[right] <= max_length)
        return left[fit].astype(np.int64) * size + right[fit]

    counts += np.bincount(pairs(np.arange(len(codes) - 1)), minlength=size * size)
    while len(spelled) < size:
        best = int(counts.argmax())
        if counts[best] < 2:
            break
        first, second = divmod(best, size)
        joined = spelled[first] + spelled[second]
        new = spelled.index(joined) if joined in spelled else len(spelled)
        if new == len(spelled):
            spelled.append(joined)
            lengths[new] = len(joined)
        places = _occurrences(codes, first, second)
        np.subtract.at(counts, pairs(_around(places, (-1, 0, 1), len(codes) - 1)), 1)
        codes[places] = new
        keep = np.ones(len(codes), bool)
        keep[places + 1] = False
        codes = codes[keep]
        places = places - np.arange(len(places))
        np.add.at(counts, pairs(_around(places, (-1, 0), len(codes) - 1)), 1)
    return spelled[len(alphabet) :]


def _occurrences(codes: NDArray[np.int32], first: int, second: int) -> NDArray[np.int64]:
    """Where (first, second) stands; of occurrences that overlap (AAAA) the first, third ... of a run."""
    places = np.flatnonzero((codes[:-1] == first) & (codes[1:] == second))
    if first == second and len(places):
        run_starts = np.concatenate([[True], np.diff(places) != 1])
        run = np.maximum.accumulate(np.where(run_starts, places, 0))
        places = places[(places - run) % 2 == 0]
    return places


def _around(places: NDArray[np.int64], steps: tuple[int, ...], stop: int) -> NDArray[np.int64]:
    """The places at `steps` from any of `places`, each once, from 0 to `stop` - 1."""
    near = np.zeros(stop, bool)
    for step in steps:
        moved = places + step
        near[moved[(moved >= 0) & (moved < stop)]] = True
    return np.flatnonzero(near)
