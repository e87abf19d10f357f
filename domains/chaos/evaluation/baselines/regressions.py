"""Regressions on the last few steps: linear (VAR) and on their products up to the third degree (NVAR).

Both predict the change from the last step. The cubic one is the next-generation reservoir computer of Gauthier et al.
2021 (Nature Communications 12:5564) and the hardest baseline for low-dimensional flows: their equations are
polynomials, and so are its features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from domains.chaos.evaluation.baselines.material import Material, Values, best, ridge_solutions, rolled

ORDERS = (1, 2, 4, 8, 16)
"""Steps that VAR looks at."""
TAPS = (1, 2, 3, 4)
"""Steps that NVAR looks at."""
RIDGES = (0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)
"""Relative to the mean square of the features; noise wants the larger ones."""
MOST_FEATURES = 700
"""Of the cubic regression: four taps of three channels have 455, one of ten channels 286; a larger set falls back to
the second degree, or is left out."""
SEARCH_POINTS = 10_000
SEARCH_STARTS = 16
"""Training points and validation starts that the form is chosen on; the chosen one is fitted on all."""


@dataclass(frozen=True)
class Polynomial:
    """Linear in the monomials of the last `taps` steps."""

    name: str
    taps: int
    degree: int
    ridge: float
    terms: NDArray[np.int64]
    """(F, degree) indices into [1, the values of all taps], sorted."""
    weights: Values
    """(F, C)"""

    def roll_out(self, contexts: Values, steps: int) -> Values:
        def step(history: Values) -> Values:
            moved: Values = history[:, -1] + monomials(history.reshape(len(history), -1), self.terms) @ self.weights
            return moved

        return rolled(step, last(contexts, self.taps), steps)


def fit_var(material: Material) -> Polynomial:
    """Order and ridge are what does best on the validation starts."""
    return _chosen("var", material, [(k, 1) for k in ORDERS])


def fit_nvar(material: Material) -> Polynomial:
    """Taps, degree (3 or 2) and ridge are what does best on the validation starts."""
    return _chosen("nvar", material, [(k, degree) for degree in (3, 2) for k in TAPS])


def _chosen(name: str, material: Material, shapes: list[tuple[int, int]]) -> Polynomial:
    """The best of all (taps, degree) and ridges, fitted to all of training."""
    few = material.part(SEARCH_POINTS, SEARCH_STARTS)
    found = best(few, (one for taps, degree in shapes for one in _fitted(name, few, taps, degree, RIDGES)))
    return next(_fitted(name, material, found.taps, found.degree, (found.ridge,)))


def _fitted(name: str, material: Material, taps: int, degree: int, ridges: tuple[float, ...]) -> Iterator[Polynomial]:
    """One for each ridge; none where there are too many features, or no series is long enough."""
    terms = all_terms(taps * material.channels, degree)
    series = [one for one in material.train if len(one) > taps]
    if len(terms) <= MOST_FEATURES and series:
        features = np.concatenate([_histories(one, taps) for one in series])
        changes = np.concatenate([one[taps:] - one[taps - 1 : -1] for one in series])
        for ridge, weights in zip(ridges, ridge_solutions(monomials(features, terms), changes, ridges), strict=True):
            yield Polynomial(name, taps, degree, ridge, terms, weights)


def all_terms(variables: int, degree: int) -> NDArray[np.int64]:
    """(F, degree) every monomial of up to `degree` of the variables 1..n; 0 stands for the constant."""
    return np.array(list(combinations_with_replacement(range(variables + 1), degree)), np.int64)


def monomials(values: Values, terms: NDArray[np.int64]) -> Values:
    """(N, F) of (N, n) values."""
    with_one = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    product = with_one[:, terms[:, 0]]
    for place in range(1, terms.shape[1]):
        product = product * with_one[:, terms[:, place]]
    return product


def last(contexts: Values, taps: int) -> Values:
    """(S, taps, C) the end of each context, its first step repeated where it is too short."""
    missing = max(0, taps - contexts.shape[1])
    return np.concatenate(
        [np.repeat(contexts[:, :1], missing, axis=1), contexts[:, contexts.shape[1] - taps + missing :]], 1
    )


def _histories(series: Values, taps: int) -> Values:
    """(T - taps, taps * C) the steps before each predicted one, oldest first."""
    windows = np.lib.stride_tricks.sliding_window_view(series[:-1], taps, axis=0)
    return windows.transpose(0, 2, 1).reshape(len(series) - taps, -1)
