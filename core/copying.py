"""The longest exact copy: how much of a generated sequence stands letter for letter in the training data.

A score on samples means little without it. Matches are grown by doubling: two matches of L letters that lie side by
side, or overlap, in both texts are one longer match. Only positions that match at all are kept, so the memory follows
the samples, not the corpus. Letters are small integers; the module knows neither tokenizers nor stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.baselines import BLOCK, Letters
from core.errors import ConfigError

_SEEDS = 2**24
"""Cells of the table of seeds: 12 letters of DNA, 5 residues. A random seed of 100,000 bases hits 1 % of a genome."""
_GAP = 255


@dataclass(frozen=True)
class _Matches:
    """Where mers of one length stand in both texts; equal ids are equal mers."""

    length: int
    query_ids: NDArray[np.int64]
    """(N,) id of the mer that starts at each position of the queries, -1 where it is not in the corpus."""
    corpus_at: NDArray[np.int64]
    """(A,) rising positions in the corpus whose mer is in the queries."""
    corpus_ids: NDArray[np.int64]
    """(A,) their ids."""

    def joined(self, shift: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys of the mers of `length + shift` letters (shift <= length): (N,) of the queries, (A,) of the corpus.

        -1 where one of the two overlapping mers is missing.
        """
        base = max(self.query_ids.max(initial=0), self.corpus_ids.max(initial=0)) + 1
        ahead = np.full(len(self.query_ids), -1, np.int64)
        ahead[: len(ahead) - shift] = self.query_ids[shift:]
        slot = np.minimum(np.searchsorted(self.corpus_at, self.corpus_at + shift), len(self.corpus_at) - 1)
        there = self.corpus_at[slot] == self.corpus_at + shift
        corpus_ahead = np.where(there, self.corpus_ids[slot], -1)
        queries = np.where((self.query_ids >= 0) & (ahead >= 0), self.query_ids * base + ahead, -1)
        return queries, np.where(corpus_ahead >= 0, self.corpus_ids * base + corpus_ahead, -1)

    def doubled(self) -> _Matches | None:
        """The matches of twice the length, or None where there are none."""
        queries, corpus = self.joined(self.length)
        common = np.intersect1d(queries[queries >= 0], corpus[corpus >= 0])
        if not len(common):
            return None
        keep = np.isin(corpus, common)
        ids = np.where(np.isin(queries, common), np.searchsorted(common, queries), -1)
        return _Matches(2 * self.length, ids, self.corpus_at[keep], np.searchsorted(common, corpus[keep]))


def longest_copies(
    queries: Sequence[Letters], corpus: Iterable[Letters], size: int, *, complement: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """(Q,) letters of the longest run of each query that stands in the corpus, letter for letter.

    Args:
        queries: the sequences (T,) to look for; what is no letter (>= size) matches nothing.
        corpus: the pieces to look in. It is read more than once and must give the same pieces each time.
        size: V, letters of the alphabet, at least 2.
        complement: (V,) the complement of each letter; given, the other strand counts as well.

    Raises ConfigError for an alphabet of fewer than 2 or more than 250 letters.
    """
    if not 2 <= size <= 250:
        raise ConfigError(f"copies are looked for over 2 to 250 letters, got {size}")
    seed = 1
    while size ** (seed + 1) <= _SEEDS:
        seed += 1
    return _search(list(queries), corpus, size, complement, seed)


def _search(
    queries: list[Letters], corpus: Iterable[Letters], size: int, complement: Sequence[int] | None, seed: int
) -> NDArray[np.int64]:
    """As `longest_copies`; a query without a match of `seed` letters is looked for again with shorter seeds."""
    text, owner = _joined_text(queries, size, complement)
    found = np.zeros(len(queries), np.int64)
    level = _seed_matches(text, corpus, size, seed)
    while level is not None:
        owners = owner[level.query_ids >= 0]
        found[owners] = level.length
        following = level.doubled()
        done = np.unique(owners)
        if following is not None:
            done = np.setdiff1d(done, owner[following.query_ids >= 0])
        _refine(level, owner, done, found)
        level = following
    if seed > 1 and (missing := np.flatnonzero(found == 0)).size:
        found[missing] = _search([queries[i] for i in missing], corpus, size, complement, seed // 2)
    return found


def _refine(level: _Matches, owner: NDArray[np.int64], queries: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Bisects the longest copy of `queries`, known to lie in [length, 2 length), and writes it to `found`."""
    low = np.zeros(len(queries), np.int64)
    high = np.full(len(queries), level.length, np.int64)
    while (open_ := high - low > 1).any():
        middle = (low + high) // 2
        for shift in np.unique(middle[open_]):
            asked = np.flatnonzero(open_ & (middle == shift))
            mine, theirs = level.joined(int(shift))
            rows = np.flatnonzero((mine >= 0) & np.isin(owner, queries[asked]))
            hit = np.isin(queries[asked], owner[rows[np.isin(mine[rows], theirs)]])
            low[asked[hit]] = shift
            high[asked[~hit]] = shift
    found[queries] = level.length + low


def _seed_matches(text: Letters, corpus: Iterable[Letters], size: int, seed: int) -> _Matches | None:
    """Every `seed`-letter mer of the text that stands in the corpus, or None."""
    codes = mer_codes(text, size, seed)
    wanted = np.zeros(size**seed, bool)
    wanted[codes[codes >= 0]] = True
    places, ids, offset = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for piece in corpus:
        for start in range(0, len(piece), BLOCK):
            block = mer_codes(piece[start : start + BLOCK + seed - 1], size, seed)[:BLOCK]
            at = np.flatnonzero((block >= 0) & wanted[block])
            places.append(offset + start + at)
            ids.append(block[at])
        offset += len(piece) + 1
    corpus_at, corpus_ids = np.concatenate(places), np.concatenate(ids)
    if not len(corpus_at):
        return None
    wanted[:] = False
    wanted[corpus_ids] = True
    return _Matches(seed, np.where((codes >= 0) & wanted[codes], codes, -1), corpus_at, corpus_ids)


def mer_codes(letters: Letters, size: int, length: int) -> NDArray[np.int64]:
    """(T,) the mer that starts at each position as one number, -1 where it is cut short or has something else in it."""
    window = letters.astype(np.int64)
    codes = np.full(len(window), -1, np.int64)
    n = len(window) - length + 1
    if n <= 0:
        return codes
    number, broken = np.zeros(n, np.int64), np.zeros(n, bool)
    for j in range(length):
        number = number * size + window[j : j + n]
        broken |= window[j : j + n] >= size
    codes[:n] = np.where(broken, -1, number)
    return codes


def _joined_text(
    queries: list[Letters], size: int, complement: Sequence[int] | None
) -> tuple[Letters, NDArray[np.int64]]:
    """All queries, each followed by a gap, then their other strands; and per position whose it is."""
    table = np.arange(256, dtype=np.uint8)
    strands = list(enumerate(queries))
    if complement is not None:
        table[:size] = complement
        strands += [(i, table[q][::-1]) for i, q in enumerate(queries)]
    gap = np.array([_GAP], np.uint8)
    parts = [part for _, q in strands for part in (q.astype(np.uint8), gap)]
    owner = np.repeat([i for i, _ in strands], [len(q) + 1 for _, q in strands])
    return np.concatenate(parts or [gap]), owner if len(owner) else np.zeros(1, np.int64)
