"""Figures draw what they are given, and say so in words."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from core.evaluation import MODEL, Metric
from domains.time_series import figures
from domains.time_series.evaluation.measures import LEVELS

RNG = np.random.default_rng(0)


def metric(model: str, value: float, split: str = "d/test") -> Metric:
    return Metric("mase_ratio_snaive24", value, value - 0.1, value + 0.1, 10, split, model)


def test_a_fan_chart_shows_history_bands_and_what_came() -> None:
    quantiles = np.sort(RNG.normal(0, 1, (len(LEVELS), 24)), axis=0)
    ax = figures.fan_chart(np.zeros(72), np.ones(24), quantiles, LEVELS, other=("ridge_ar", np.ones(24)), season=24)
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["90% band", "80% band", "50% band", "history", "what came", "ridge ar", "foretell, median"]
    assert len(ax.collections) == 3
    history, truth = ax.lines[0].get_xydata(), ax.lines[1].get_xydata()
    assert history[-1].tolist() == truth[0].tolist() == [-1, 0], "what came goes on where the history ends"
    charts = [{"history": np.zeros(72), "truth": np.ones(24), "quantiles": quantiles, "title": t} for t in ("a", "b")]
    assert len(figures.fan_charts(charts, LEVELS).axes) == 2


def test_calibration_shows_the_model_and_a_baseline() -> None:
    pits = {MODEL: np.ones(20), "naive": np.arange(20.0)}
    drawing = figures.calibration(pits, dict.fromkeys(pits, ([50, 80, 90], [40, 70, 85])))
    assert isinstance(drawing, Figure)
    left, right = drawing.axes
    assert left.get_ylim()[1] > 1.9
    assert right.lines[1].get_ydata().tolist() == [40, 70, 85]


def test_error_by_step_starts_at_zero() -> None:
    ax = figures.error_by_step({MODEL: np.ones(24), "naive": np.full(24, 2.0)}, ylabel="error")
    assert ax.get_ylim()[0] == 0
    assert ax.lines[0].get_xdata()[0] == 1


def test_dots_are_sorted_and_hold_every_series() -> None:
    rows = {
        name: [metric(name, value), metric(name, 1.2 * value, "a/test"), metric(name, value / 1.2, "b/test")]
        for name, value in (("naive", 3.0), (MODEL, 0.7), ("seasonal_naive_24", 1.0))
    }
    ax = figures.dots(rows, title="t", xlabel="x")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["foretell", "seasonal naive 24", "naive"]
    assert ax.get_legend_handles_labels()[1] == ["a", "b"]
    assert ax.get_xlim()[0] < 0.7 / 1.2
    assert ax.get_xlim()[1] > 3.6
