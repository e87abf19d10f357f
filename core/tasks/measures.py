"""Numbers on answers that are no means of records: macro F1, area under the curve, rank correlation, root mean square.

Each takes which records count (indices, repeats allowed), so that a bootstrap can resample them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MINUS, MODEL, RESAMPLES, MetricTable, interval
from core.order import rng

Rows = NDArray[np.int64]
Statistic = Callable[[Rows], float]


def measure(
    table: MetricTable,
    name: str,
    statistics: Mapping[str, Statistic],
    n: int,
    *,
    split: str,
    seed: int,
    resamples: int = RESAMPLES,
) -> None:
    """Rows of a metric for every model, with intervals, and foretell's paired difference to each of the others.

    Args:
        statistics: by model.
        n: records.
    """
    draws = rng("bootstrap", seed, name, split).integers(0, n, (resamples, n))
    found = {model: np.array([statistic(rows) for rows in draws]) for model, statistic in statistics.items()}
    value = {model: statistic(np.arange(n)) for model, statistic in statistics.items()}
    for model in statistics:
        low, high = interval(found[model])
        table.add(name, value[model], split=split, model=model, low=low, high=high, n=n)
    for model in statistics:
        if model != MODEL:
            low, high = interval(found[MODEL] - found[model])
            table.add(f"{name}{MINUS}{model}", value[MODEL] - value[model], split=split, low=low, high=high, n=n)


def macro_f1(truth: Rows, said: Rows, classes: int) -> Statistic:
    """The mean of the classes' F1, of those that occur; `said` is -1 where there is no answer."""

    def statistic(rows: Rows) -> float:
        t, s = truth[rows], said[rows]
        right = np.bincount(t[t == s], minlength=classes)
        both = np.bincount(t, minlength=classes) + np.bincount(s[s >= 0], minlength=classes)
        return float(np.mean(2 * right[both > 0] / both[both > 0]))

    return statistic


def area_under_curve(truth: Rows, scores: NDArray[np.float64]) -> Statistic:
    """Of ROC: the probability that a record of class 1 has a higher score than one of class 0, ties a half.

    NaN where one of the two does not occur.
    """
    levels, at = np.unique(scores, return_inverse=True)

    def statistic(rows: Rows) -> float:
        one, zero = (np.bincount(at[rows[truth[rows] == c]], minlength=len(levels)).astype(float) for c in (1, 0))
        if not one.sum() or not zero.sum():
            return float("nan")
        below = np.cumsum(zero) - zero / 2
        return float(one @ below / one.sum() / zero.sum())

    return statistic


def root_mean_square(errors: NDArray[np.float64]) -> Statistic:
    return lambda rows: float(np.sqrt(np.mean(np.square(errors[rows]))))


def spearman(truth: NDArray[np.float64], said: NDArray[np.float64]) -> Statistic:
    """Rank correlation; NaN where all values of either are equal."""
    pairs = [np.unique(values, return_inverse=True)[1] for values in (truth, said)]

    def statistic(rows: Rows) -> float:
        ranks = []
        for at in pairs:
            counts = np.bincount(at[rows])
            ranks.append((np.cumsum(counts) - (counts - 1) / 2)[at[rows]])  # the mean rank of equal values
        spread = np.std(ranks[0]) * np.std(ranks[1])
        shared = np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean()))
        return float(shared / spread) if spread > 0 else float("nan")

    return statistic
