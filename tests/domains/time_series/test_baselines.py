"""What a sceptic would forecast with, on series whose best forecast is known."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ConfigError
from domains.time_series.evaluation.baselines import (
    classical_baselines,
    drift,
    naive,
    reference,
    ridge,
    ridge_baselines,
    seasonal_naive,
    simple_baselines,
    spread_out,
    without_gaps,
)
from domains.time_series.evaluation.measures import LEVELS
from domains.time_series.evaluation.origins import Panel, Target
from tests.domains.time_series.made import START


def target(values, *, season: int = 24, freq: str | None = "h", origins: int = 5, horizon: int = 24) -> Target:
    values = np.asarray(values, float)
    n = len(values)
    first = int(0.8 * n)
    return Target(
        "x", 0, 0, values, (0, int(0.7 * n)), (int(0.7 * n), first),
        np.unique(np.linspace(first, n - horizon, origins).astype(int)), season, START, freq, None,
    )  # fmt: skip


def test_points_by_hand() -> None:
    values = np.arange(10.0) ** 2
    at = np.array([4, 9])
    assert naive(values, at, 3).tolist() == [[9, 9, 9], [64, 64, 64]]
    assert seasonal_naive(2)(values, at, 5).tolist() == [[4, 9, 4, 9, 4], [49, 64, 49, 64, 49]]
    assert drift(np.arange(10.0), at, 2).tolist() == [[4, 5], [9, 10]]


def test_no_baseline_looks_ahead() -> None:
    """What comes at or after an origin changes nothing of what is said there."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 600).cumsum()
    mine = target(values, origins=1)
    at = mine.origins[0]
    other = target(np.concatenate([values[:at], rng.normal(50, 9, 600 - at)]), origins=1)
    assert other.origins[0] == at
    for name, found in simple_baselines(Panel([mine], 24), LEVELS).items():
        again = simple_baselines(Panel([other], 24), LEVELS)[name]
        assert np.array_equal(found[0].quantiles, again[0].quantiles), name
    for name, found in ridge_baselines(Panel([mine], 24), 48, LEVELS).items():
        again = ridge_baselines(Panel([other], 24), 48, LEVELS)[name]
        assert np.array_equal(found[0].quantiles, again[0].quantiles), name


def test_ridge_finds_a_linear_rule_and_its_bands_hold() -> None:
    """x_t = 0.9 x_{t-1} + e: the best forecast of step h is 0.9^h x, and its errors have a known width."""
    rng = np.random.default_rng(1)
    values = np.zeros(6000)
    for t in range(1, len(values)):
        values[t] = 0.9 * values[t - 1] + rng.normal()
    mine = target(values, season=4, origins=200, horizon=4)
    found = ridge(mine, 8, 4, LEVELS, places=False)
    best = values[mine.origins - 1, None] * 0.9 ** np.arange(1, 5)
    assert np.abs(found.point - best).mean() < 0.12
    inside = (found.quantiles[:, 1] <= mine.truth(4)) & (mine.truth(4) <= found.quantiles[:, -2])
    assert inside.mean() == pytest.approx(0.8, abs=0.06)


def test_hours_of_the_week_are_worth_something_where_they_matter() -> None:
    rng = np.random.default_rng(2)
    hours = np.arange(24 * 7 * 30)
    values = 5.0 * (hours % 168 == 50) + rng.normal(0, 0.01, len(hours))
    panel = Panel([target(values, origins=20)], 24)
    found = ridge_baselines(panel, 24, LEVELS)
    assert list(found) == ["ridge_ar_24", "ridge_ar_24_hour_of_week"]
    truth = panel.targets[0].truth(24)
    plain, weekly = (np.abs(f[0].point - truth).mean() for f in found.values())
    assert weekly < 0.7 * plain


def test_short_series_go_without_ridge() -> None:
    assert ridge_baselines(Panel([target(np.arange(40.0), season=12, freq="MS", horizon=4)], 4), 336, LEVELS) == {}


def test_names_follow_the_season() -> None:
    rng = np.random.default_rng(0)
    hourly = Panel([target(rng.normal(size=400))], 24)
    monthly = Panel([target(rng.normal(size=400), season=12, freq="MS")], 12)
    yearly = Panel([target(rng.normal(size=400), season=1, freq="YS")], 6)
    assert list(simple_baselines(hourly, LEVELS)) == ["seasonal_naive_24", "seasonal_naive_168", "naive", "drift"]
    assert list(simple_baselines(monthly, LEVELS)) == ["seasonal_naive_12", "naive", "drift"]
    assert list(simple_baselines(yearly, LEVELS)) == ["naive", "drift"]
    assert [reference(p) for p in (hourly, monthly, yearly)] == ["seasonal_naive_24", "seasonal_naive_12", "naive"]


def test_gaps_take_the_value_of_a_season_before() -> None:
    values = np.array([np.nan, 1, 2, 3, np.nan, np.nan, 6, np.nan])
    assert without_gaps(values, 3).tolist() == [1, 1, 2, 3, 1, 2, 6, 1]
    assert without_gaps(np.full(3, np.nan), 3).tolist() == [0, 0, 0]


def test_quantiles_are_the_point_and_its_errors() -> None:
    errors = np.random.default_rng(0).normal(0, [1, 2], (5000, 2))
    found = spread_out(np.zeros((1, 2)), errors, LEVELS)
    assert found.quantiles[0, -1] == pytest.approx([1.64, 3.29], rel=0.06)
    assert (spread_out(np.ones((1, 2)), np.zeros((0, 2)), LEVELS).quantiles == 1).all()


@pytest.mark.slow
def test_statsforecast_methods() -> None:
    pytest.importorskip("statsforecast")
    rng = np.random.default_rng(0)
    values = 10 + np.sin(2 * np.pi * np.arange(240) / 12) + rng.normal(0, 0.1, 240)
    mine = target(values, season=12, freq="MS", origins=2, horizon=12)
    for name, found in classical_baselines(Panel([mine], 12), LEVELS).items():
        error = np.abs(found[0].point - mine.truth(12)).mean()
        assert error < 0.3, name
        assert (np.diff(found[0].quantiles, axis=1) > 0).all()


def test_statsforecast_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(ConfigError, match="needs statsforecast"):
        classical_baselines(Panel([target(np.arange(100.0))], 24), LEVELS)
