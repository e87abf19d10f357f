"""k-mers of letter sequences as 64-bit hashes, and a sample of them that stays consistent between records.

The sample keeps the hashes below a threshold (FracMinHash: Irber et al. 2022, bioRxiv 2022.01.11.475838), so that a
k-mer is kept in every record or in none, and shares of common k-mers are estimated without bias. It starts with all of
them and halves the threshold whenever more than `limit` are held: small data are exact, memory is bounded. Letters are
bytes; which letters pair as complements is told by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Letters = NDArray[np.uint8]
Hashes = NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 2**16
"""Windows hashed at once: 512 KB an array, which stays in a core's second-level cache."""


def _mix(h: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014), in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h ^= h >> np.uint64(shift)
        h *= np.uint64(factor)
    h ^= h >> np.uint64(31)
    return h


_LETTER = _mix(np.arange(1, 257, dtype=np.uint64) * _BASE)


def kmer_hashes(letters: Letters, k: int, complement: Letters | None = None) -> Hashes:
    """(n - k + 1,) hash of every window of k letters; empty where n < k.

    With `complement` (256,), a table from letter to letter, a window and its reverse complement have the same hash.
    """
    n = len(letters) - k + 1
    if n < 1:
        return np.empty(0, np.uint64)
    forward = _windows(_LETTER[letters], k, reverse=False)
    if complement is not None:
        np.minimum(forward, _windows(_LETTER[complement[letters]], k, reverse=True), out=forward)
    return _mix(forward)


def _windows(h: Hashes, k: int, *, reverse: bool) -> Hashes:
    """Polynomial hash of all windows of k, by doubling: window(a + b)[i] = window(a)[i] * B^b + window(b)[i + a].

    `reverse` reads each window from its end, as its reverse complement is read.
    """
    total: Hashes | None = None
    done, size, power, done_power = 0, 1, _BASE, np.uint64(1)
    with np.errstate(over="ignore"):
        while True:
            if k & size:
                if total is None:
                    total = h[: len(h)].copy()
                else:
                    n = len(h) - done
                    total = total[:n] + h[done:] * done_power if reverse else total[:n] * power + h[done:]
                done += size
                done_power = done_power * power
            if done == k:
                return total[: len(total)] if total is not None else h
            n = len(h) - size
            h = h[:n] + h[size:] * power if reverse else h[:n] * power + h[size:]
            power = power * power
            size *= 2


class KmerSample:
    """A consistent sample of the k-mers of many records.

    Args:
        k: letters a k-mer.
        limit: at most this many k-mers are held.
        complement: (256,) letter to letter; None where strands are not equivalent.
        positions: keep where in its record each k-mer starts.
    """

    def __init__(self, k: int, limit: int, complement: Letters | None = None, *, positions: bool = False) -> None:
        self.k, self.limit, self.complement, self._with_positions = k, limit, complement, positions
        self._threshold = 2**64 - 1
        self._hashes: list[Hashes] = []
        self._records: list[NDArray[np.int64]] = []
        self._positions: list[NDArray[np.int64]] = []
        self._held = 0
        self._pending: list[Letters] = []
        self._pending_letters = 0
        self._n_records = 0

    @property
    def fraction(self) -> float:
        """The share of all k-mers that is in the sample."""
        return (self._threshold + 1) / 2**64

    def add(self, letters: Letters) -> None:
        """The next record's letters (n,)."""
        self._pending.append(letters if len(letters) >= BLOCK else letters.copy())
        self._pending_letters += len(letters)
        self._n_records += 1
        if self._pending_letters >= BLOCK:
            self._flush()

    def entries(self) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]:
        """(M,) hash, record and position of each sampled k-mer; positions are empty where they are not kept."""
        self._flush()
        self._consolidate()
        return self._hashes[0], self._records[0], self._positions[0]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The sample as arrays: `entries`, the threshold and the number of records."""
        hashes, records, positions = self.entries()
        facts = np.array([self._threshold, self._n_records], np.uint64)
        return {"kmers": hashes, "kmer_records": records, "kmer_positions": positions, "kmer_facts": facts}

    def join(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The records of another sample of the same kind, as `to_arrays` gives it, behind those there are.

        What is held then is what one sample of all of them would hold: both keep a k-mer by its hash alone.
        """
        self._flush()
        threshold, records = (int(fact) for fact in arrays["kmer_facts"])
        self._threshold = min(self._threshold, threshold)
        self._hashes.append(arrays["kmers"])
        self._records.append(arrays["kmer_records"] + self._n_records)
        self._positions.append(arrays["kmer_positions"])
        self._n_records += records
        self._consolidate(thin=True)

    def _flush(self) -> None:
        """Hashes the letters that wait. Short records are hashed end to end; windows over a border are dropped."""
        if not self._pending_letters:
            self._pending = []
            return
        letters = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        ends = np.cumsum([len(piece) for piece in self._pending])
        first_record = self._n_records - len(self._pending)
        self._pending, self._pending_letters = [], 0
        for start in range(0, len(letters) - self.k + 1, BLOCK):
            hashes = kmer_hashes(letters[start : start + BLOCK + self.k - 1], self.k, self.complement)
            at = np.flatnonzero(hashes <= np.uint64(self._threshold))
            hashes = hashes[at]
            # a run of one letter, such as the N of a gap in an assembly, counts once
            kept = np.ones(len(at), bool)
            kept[1:] = (hashes[1:] != hashes[:-1]) | (np.diff(at) != 1)
            at += start
            record = np.searchsorted(ends, at, side="right")
            kept &= at + self.k <= ends[record]
            self._hashes.append(hashes[kept])
            self._records.append(record[kept] + first_record)
            if self._with_positions:
                begins = np.concatenate([[0], ends[:-1]])
                self._positions.append((at - begins[record])[kept])
            self._held += len(self._hashes[-1])
            if self._held > self.limit:
                self._consolidate()

    def _consolidate(self, *, thin: bool = False) -> None:
        """One array of each; `thin`: some of it was sampled under another threshold."""
        hashes = np.concatenate([*self._hashes, np.empty(0, np.uint64)])
        records = np.concatenate([*self._records, np.empty(0, np.int64)])
        positions = np.concatenate([*self._positions, np.empty(0, np.int64)])
        while thin or len(hashes) > self.limit:
            if not thin:
                self._threshold >>= 1
            thin = False
            kept = hashes <= np.uint64(self._threshold)
            hashes, records = hashes[kept], records[kept]
            positions = positions[kept] if self._with_positions else positions
        self._hashes, self._records, self._positions = [hashes], [records], [positions]
        self._held = len(hashes)


def distinct(hashes: Hashes) -> Hashes:
    """Each value once, in order. [numpy 2.4: np.unique takes 6 s for 8 M of a sample, sorting .8.]"""
    ordered = np.sort(hashes)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def among(hashes: Hashes, known: Hashes) -> NDArray[np.bool_]:
    """(M,) whether each value is one of `known`, which is the outcome of `distinct`."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return known[at] == hashes


def shared(test: Hashes, train: Hashes) -> float | None:
    """The share of distinct k-mers of `test` that are in `train`; None where `test` has none."""
    single = distinct(test)
    return float(among(single, distinct(train)).mean()) if len(single) else None


def containment_pairs(
    hashes: Hashes, records: NDArray[np.int64], n: int, least: float, *, neighbours: int = 64, limit: int = 2**26
) -> NDArray[np.int64]:
    """(P, 2) pairs of records of which one holds at least `least` of the other's distinct k-mers (the smaller set's).

    A k-mer found in more than `neighbours` records is compared between the nearest ones in record order only, which
    still links families of near-copies into chains. Where more than `limit` comparisons were needed, the sample is
    thinned (by halves) until they are fewer.
    """
    order = np.lexsort((records, hashes))
    hashes, records = hashes[order], records[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (records[1:] != records[:-1])
    hashes, records = hashes[new], records[new]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])) if len(hashes) else np.empty(0, int)
    sizes = np.diff(np.append(starts, len(hashes)))
    work = np.cumsum(sizes * np.minimum(sizes - 1, neighbours))  # hashes are sorted: a prefix is a thinner sample
    while len(work) and work[-1] > 2 * limit:
        half = np.searchsorted(hashes, hashes[-1] >> np.uint64(1))
        hashes, records, work = hashes[:half], records[:half], work[: int(np.searchsorted(starts, half))]
    size = np.bincount(records, minlength=n)
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    waiting: list[NDArray[np.int64]] = []
    for distance in range(1, neighbours + 1):
        same = np.flatnonzero(hashes[distance:] == hashes[:-distance])
        waiting.append(records[same] * n + records[same + distance])
        if sum(map(len, waiting)) > 2**22 or not len(same) or distance == neighbours:
            found, number = np.unique(np.concatenate(waiting), return_counts=True)
            keys, back = np.unique(np.concatenate([keys, found]), return_inverse=True)
            counts = np.bincount(back, np.concatenate([counts, number]), minlength=len(keys)).astype(np.int64)
            waiting = []
        if not len(same):
            break
    a, b = keys // n, keys % n
    return np.stack([a, b], axis=1)[counts >= least * np.minimum(size[a], size[b])]
