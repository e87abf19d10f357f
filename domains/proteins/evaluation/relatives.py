"""How well training knows a protein already: the share of its 8-mers that stand in the training part.

Proteins below 2 % are the *honest* part of a test set, the others the *leaky* part. [Of UniProt's entries 62 % share
more than 20 % with a random training set: a split by clusters is needed, and what it lets through is told here.]
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters
from core.kmers import KmerSample, among, distinct

K = 8
"""20^8 = 3e10: an 8-mer does not recur by chance in 20,000 proteins."""
HONEST = 0.02
_LIMIT = 2**24
"""8-mers held: all of 35,000 proteins, a sample of more; some 400 MB at the peak."""


def known_shares(test: Iterable[Letters], train: Iterable[Letters]) -> NDArray[np.float64]:
    """(N,) the share of each test protein's distinct 8-mers that occur in training; 0 where it has none."""
    sample = KmerSample(K, _LIMIT)
    n = 0
    for letters in test:
        sample.add(letters)
        n += 1
    for letters in train:
        sample.add(letters)
    hashes, records, _ = sample.entries()
    mine, owner = hashes[records < n], records[records < n]
    known = among(mine, distinct(hashes[records >= n]))
    counted = np.bincount(owner, minlength=n)
    found = np.bincount(owner, known, minlength=n)
    return np.divide(found, counted, out=np.zeros(n), where=counted > 0)
