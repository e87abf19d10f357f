"""Which store each row of a stream comes from: in proportion to weights at every point, without randomness or state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError


class Mixture:
    """Rows 0, 1, 2, ... of K stores merged in proportion to their weights.

    Store k's m-th row stands at time (m + 1/2) / w_k; the rows of all stores are taken in order of time. So every batch
    has its full size, and among the first n rows store k has w_k n of them within K / 2 + 1.

    Raises ConfigError for a weight that is not positive.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        if not weights or not all(np.isfinite(w) and w > 0 for w in weights):
            raise ConfigError(f"the weights of stores must be positive numbers, got {list(weights)}")
        self.weights = np.array(weights, dtype=np.float64) / sum(weights)

    def counts(self, n: int) -> NDArray[np.int64]:
        """(K,) how many of the first `n` rows are of each store."""
        stores = len(self.weights)
        if stores == 1:
            return np.array([n], dtype=np.int64)
        counts = np.floor(self.weights * max(n - stores, 0)).astype(np.int64)  # all of these are among the first n
        missing = n - int(counts.sum())
        next_rows = counts[:, None] + np.arange(missing)
        times = (next_rows + 0.5) / self.weights[:, None]
        owners = np.repeat(np.arange(stores), missing)
        taken = owners[np.lexsort((owners, times.ravel()))[:missing]]
        return counts + np.bincount(taken, minlength=stores)

    def ranges(self, first: int, stop: int) -> list[tuple[int, int]]:
        """Per store, which of its rows [from, to) are among rows [first, stop) of the mixture."""
        return list(zip(self.counts(first).tolist(), self.counts(stop).tolist(), strict=True))
