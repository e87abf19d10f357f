"""What a sceptic would ask for beside a model that answers tasks: ridge regressions on k-mers, on sites, on windows.

All are closed form (Hoerl and Kennard 1970, Technometrics 12:55) and see the training part only; the penalty is chosen
on the validation part. Sequences are rows of small whole numbers, whatever they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.sequence import Array

Matrix = NDArray[np.float64]

PENALTIES = (1e-3, 1e-1, 1e1, 1e3)
"""In units of the features' mean square: from none to one that leaves little but the mean."""
FEATURES = 2500
"""Most columns of a regression: its normal equations take a second."""
REACH = 7
"""Units to either side that a label of a unit is read from, as classical predictors of secondary structure do
(Qian and Sejnowski 1988, J. Mol. Biol. 202:865 use 13 residues)."""


@dataclass(frozen=True)
class Ridge:
    """Y = (X - mean) W + intercept."""

    mean: Matrix
    weights: Matrix
    intercept: Matrix

    def __call__(self, x: Matrix) -> Matrix:
        """(N, F) -> (N, K)."""
        return (x - self.mean) @ self.weights + self.intercept


def ridge(x: Matrix, y: Matrix, held_x: Matrix, held_y: Matrix) -> Ridge:
    """The regression of y (N, K) on x (N, F) whose penalty has the least squared error on the held-out rows.

    Without held-out rows the middle one is taken.
    """
    mean, intercept = x.mean(0), y.mean(0)
    centred = x - mean
    products, aim = centred.T @ centred, centred.T @ (y - intercept)
    size = max(float(np.trace(products)) / max(len(products), 1), 1e-12)
    found = [
        Ridge(mean, np.linalg.solve(products + size * p * np.eye(len(products)), aim), intercept) for p in PENALTIES
    ]
    if not len(held_x):
        return found[len(found) // 2]
    return min(found, key=lambda model: float(np.square(model(held_x) - held_y).sum()))


class Readings:
    """Sequences as columns for a regression: shares of k-mers, up to the k that `FEATURES` has room for; of one length,
    the letter at each site.

    Args:
        rows: training sequences, ids (T,) each.
        sites: whether letters at sites are looked at where the sequences have one length; else k-mers always.
    """

    def __init__(self, rows: Many[Array], *, sites: bool = True) -> None:
        self.letters = np.unique(np.concatenate([np.unique(row) for row in rows]))
        lengths = {len(row) for row in rows}
        size = len(self.letters) + 1  # the last for letters that training has not
        self.sites = lengths.pop() if sites and len(lengths) == 1 else 0
        if self.sites * size > FEATURES:
            self.sites = 0
        self.longest = 1 if self.sites else int(np.log(FEATURES) / np.log(size))
        """Of the k-mers whose shares are columns."""

    @property
    def name(self) -> str:
        return "site_ridge" if self.sites else "kmer_ridge"

    def __call__(self, rows: Many[Array]) -> Matrix:
        """(N, F) float64."""
        size = len(self.letters) + 1
        table = []
        for row in rows:
            letters = _numbered(row, self.letters)
            parts = [np.bincount(letters, minlength=size) / max(len(letters), 1)]
            words = letters
            for k in range(2, self.longest + 1):
                words = words[:-1] * size + letters[k - 1 :]
                parts.append(np.bincount(words, minlength=size**k) / max(len(words), 1) * size ** (k - 1))
            if self.sites:
                fitted = np.full(self.sites, size - 1)
                fitted[: len(letters)] = letters[: self.sites]
                parts.append(np.eye(size)[fitted].ravel())
            parts.append(np.array([np.log1p(len(letters))]))
            table.append(np.concatenate(parts))
        return np.array(table).reshape(len(rows), -1)


class Windows:
    """The letters within `REACH` of each unit as columns, one-hot.

    Args:
        rows: training sequences, ids (T,) each.
    """

    def __init__(self, rows: Many[Array]) -> None:
        self.letters = np.unique(np.concatenate([np.unique(row) for row in rows]))

    def __call__(self, row: Array) -> Matrix:
        """(T, (2 REACH + 1) * letters)."""
        size = len(self.letters) + 1  # the last: no letter, or none that training has
        padded = np.pad(_numbered(row, self.letters), REACH, constant_values=size - 1)
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
        return np.eye(size)[around].reshape(len(row), -1)


def _numbered(row: Array, letters: Array) -> NDArray[np.int64]:
    """Numbers of ids among `letters`, their count where an id is not among them."""
    found = np.minimum(np.searchsorted(letters, row), len(letters) - 1)
    return np.where(letters[found] == row, found, len(letters))
