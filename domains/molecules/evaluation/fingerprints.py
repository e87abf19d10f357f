"""Morgan fingerprints as packed bits, and Tanimoto similarities between many of them by matrix products.

Radius 2, 1,024 bits, as MOSES has them (Rogers and Hahn 2010). Products of 0 and 1 in float32 are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS, RADIUS = 1024, 2
_BLOCK = 4096
"""Fingerprints compared at once: 64 MB of similarities."""

Packed = NDArray[np.uint8]
"""(N, BITS / 8)"""


def fingerprints(mols: Sequence[Any]) -> Packed:
    """One row a molecule."""
    rows = np.zeros((len(mols), BITS // 8), np.uint8)
    generator = _generator()
    for row, mol in zip(rows, mols, strict=True):
        row[:] = np.packbits(generator.GetFingerprintAsNumPy(mol))
    return rows


def counts(mols: Sequence[Any], bits: int = 2048) -> NDArray[np.float64]:
    """(N, bits) how often each fragment occurs, hashed: what regressions read."""
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=bits)
    rows = [generator.GetCountFingerprintAsNumPy(mol) for mol in mols]
    return np.array(rows, dtype=np.float64).reshape(len(mols), bits)


def nearest(queries: Packed, known: Packed) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(Q,) similarity of each query to the most similar known one, and which that is; -1 where there is none."""
    best, which = np.zeros(len(queries)), np.full(len(queries), -1, np.int64)
    for start, block in _similarities(queries, known):
        at = block.argmax(axis=1)
        value = block[np.arange(len(block)), at]
        better = value > best
        best[better], which[better] = value[better], start + at[better]
    return best, which


def mean_similarity(packed: Packed) -> float:
    """The mean over all pairs (x, y), x = y among them: 1 - IntDiv1 of MOSES. NaN where there are none."""
    if not len(packed):
        return float("nan")
    return float(sum(block.sum(dtype=np.float64) for _, block in _similarities(packed, packed)) / len(packed) ** 2)


def _similarities(queries: Packed, known: Packed) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first known, (Q, k) Tanimoto similarities) of one block of known ones after the other. Two without bits are
    equal.
    """
    mine = _floats(queries)
    size = mine.sum(axis=1)
    for start in range(0, len(known), _BLOCK):
        theirs = _floats(known[start : start + _BLOCK])
        both = mine @ theirs.T
        either = size[:, None] + theirs.sum(axis=1) - both
        yield start, np.divide(both, either, out=np.ones_like(both), where=either > 0)


def _floats(packed: Packed) -> NDArray[np.float32]:
    return np.unpackbits(packed, axis=1).astype(np.float32)


@cache
def _generator() -> Any:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return GetMorganGenerator(radius=RADIUS, fpSize=BITS)
