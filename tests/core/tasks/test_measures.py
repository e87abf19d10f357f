"""Statistics of answers against scipy's, and baselines that must find what is plainly there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.evaluation import MetricTable
from core.tasks.baselines import Readings, Windows, ridge
from core.tasks.measures import area_under_curve, macro_f1, measure, root_mean_square, spearman

ALL = np.arange(60)


@pytest.fixture
def numbers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 12, 60).astype(float)  # with ties
    return truth, np.round(truth + rng.normal(0, 4, 60))


def test_rank_statistics_are_scipys(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, said = numbers
    for rows in (ALL, ALL[::3], np.random.default_rng(1).integers(0, 60, 60)):
        assert spearman(truth, said)(rows) == pytest.approx(stats.spearmanr(truth[rows], said[rows]).statistic)
        two = (truth > 5).astype(int)
        one, zero = said[rows][two[rows] == 1], said[rows][two[rows] == 0]
        area = stats.mannwhitneyu(one, zero).statistic / len(one) / len(zero)
        assert area_under_curve(two, said)(rows) == pytest.approx(area)
    assert np.isnan(spearman(truth, np.zeros(60))(ALL))
    assert np.isnan(area_under_curve(np.ones(60, int), said)(ALL))


def test_f1_and_error_of_known_cases() -> None:
    truth, said = np.array([0, 0, 1, 2]), np.array([0, 1, 1, -1])
    assert macro_f1(truth, said, 4)(np.arange(4)) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert root_mean_square(np.array([3.0, -4.0]))(np.arange(2)) == pytest.approx(np.sqrt(12.5))


def test_a_table_has_the_paired_difference(numbers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, said = numbers
    table = MetricTable()
    both = {"foretell": spearman(truth, said), "same": spearman(truth, said)}
    measure(table, "spearman_x", both, 60, split="t/test", seed=0, resamples=100)
    difference = table.find("spearman_x_minus_same")
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_baselines_find_what_is_plainly_there() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(5, 25, rng.integers(20, 40)) for _ in range(200)]
    share = np.array([[np.mean(row == 7)] for row in rows])
    read = Readings(rows[:150])
    assert read.name == "kmer_ridge"
    model = ridge(read(rows[:100]), share[:100], read(rows[100:150]), share[100:150])
    assert np.corrcoef(model(read(rows[150:]))[:, 0], share[150:, 0])[0, 1] > 0.8

    sites = [rng.integers(5, 25, 8) for _ in range(1000)]
    effect = np.array([[float(row[3] == 9)] for row in sites])
    of_sites = Readings(sites[:800])
    assert of_sites.name == "site_ridge"
    model = ridge(of_sites(sites[:800]), effect[:800], of_sites(sites[800:900]), effect[800:900])
    assert np.corrcoef(model(of_sites(sites[900:]))[:, 0], effect[900:, 0])[0, 1] > 0.95

    windows = Windows(rows)
    x, y = windows(rows[0]), (rows[0] == 9).astype(float)[:, None]
    assert x.shape == (len(rows[0]), 15 * 21)
    assert (x.sum(1) == 15).all()
    assert windows(np.array([99])).shape == (1, 15 * 21)
    held = np.zeros((0, 1))
    assert np.abs(ridge(x, y, x[:0], held)(x)).max() < 10
