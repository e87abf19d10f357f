"""The whole of an evaluation on series made by code; where the numbers are known, they are what they should be."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.evaluation import MODEL, MetricTable
from domains.formats.series import Series
from domains.time_series.evaluation import evaluate
from domains.time_series.evaluation.baselines import Forecasts
from domains.time_series.evaluation.measures import LEVELS, _Ratios, add_metrics, errors_of
from domains.time_series.evaluation.origins import Panel, Target, collect
from domains.time_series.tokenizer import BinsConfig, BinsTokenizer, DigitsConfig, DigitsTokenizer, PatchTokenizer
from tests.domains.time_series.made import START, RepeatEngine, SeasonalEngine, daily, make_store

QUICK = {"origins": 6, "ridge_lags": 48, "resamples": 100, "figures": False}


def restored(store, kind):
    return kind.from_config(store.tokenizer["config"])


def test_a_model_that_repeats_the_last_day_is_the_seasonal_naive_one(tmp_path: Path) -> None:
    """The example: everything is written, and a known forecaster gets the known numbers."""
    store = make_store(tmp_path / "s.zarr", [daily(900, name="a"), daily(800, seed=5, level=3.0, name="b")])
    said: list[str] = []
    table = evaluate(
        SeasonalEngine(), store, restored(store, PatchTokenizer), out=tmp_path / "out",
        training={"seconds": 12.0, "seed": 3}, say=said.append, **{**QUICK, "figures": True},
    )  # fmt: skip
    first = table.rows[0]
    assert (first.name, first.model, first.split) == ("mase_ratio_snaive24", MODEL, "s/test")
    assert first.value == pytest.approx(1.0)
    assert first.n == 12
    mase = table.find("mase_m24", "s/test")
    assert mase.value == pytest.approx(table.find("mase_m24", "s/test", "seasonal_naive_24").value)
    assert mase.low <= mase.value <= mase.high
    assert table.find("mase_m24", "a/test").value != table.find("mase_m24", "b/test").value
    assert table.find("seconds_training").value == 12
    assert table.find("nats_per_step", "s/test").value is not None
    names = {row.model for row in table.rows if row.name == "wql_ratio_snaive24"}
    assert names == {MODEL, "seasonal_naive_24", "seasonal_naive_168", "naive", "drift", "ridge_ar_48",
                     "ridge_ar_48_hour_of_week"}  # fmt: skip
    hardest = table.hardest("mase_ratio_snaive24", "s/test")
    assert hardest.baseline.startswith("ridge")
    assert len(json.loads((tmp_path / "out" / "metrics.json").read_text())) == len(table.rows)
    for name in ("table.md", "by_step.csv", "forecasts.png", "calibration.png", "mase_ratio.png", "error_by_step.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert any("12 origins" in line for line in said)


@pytest.mark.parametrize("kind", ["bins", "digits"])
def test_symbols_are_drawn_and_measured_against_the_raw_values(tmp_path: Path, kind: str) -> None:
    tokenizer = (
        BinsTokenizer(BinsConfig(bins=400, limit=2.0, head=24, calendar=("hour_of_week",)))
        if kind == "bins"
        else DigitsTokenizer(DigitsConfig(head=24, precision=3, before=1))
    )
    store = make_store(tmp_path / "s.zarr", [daily(600)], tokenizer)
    made = restored(store, type(tokenizer))
    table = evaluate(RepeatEngine(made, context=512), store, made, out=tmp_path / "out", draws=2, **QUICK)
    coarse = 0.01 if kind == "bins" else 0.001
    assert table.rows[0].value == pytest.approx(1.0, abs=20 * coarse)
    baseline = table.find("mase_m24", "s/test", "seasonal_naive_24").value
    raw = make_store(tmp_path / "raw.zarr", [daily(600)])
    real = evaluate(SeasonalEngine(), raw, restored(raw, PatchTokenizer), out=tmp_path / "raw", **QUICK)
    assert baseline == pytest.approx(real.find("mase_m24", "raw/test", "seasonal_naive_24").value, rel=1e-6)
    assert (table.find("clipped_percent") is not None) == (kind == "bins")


def test_known_ahead_fields_reach_the_engine(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [daily(600)])
    engine, tokenizer = SeasonalEngine(), restored(store, PatchTokenizer)
    evaluate(engine, store, tokenizer, out=tmp_path / "out", **QUICK)
    (ahead,) = engine.asked
    origins = collect(store, tokenizer, "test", horizon=24, origins=6).targets[0].origins
    assert [int(a.arrays["hour_of_week"][0]) - 5 for a in ahead] == [int(o) % 168 for o in origins]
    assert all(len(a) == 24 for a in ahead)


def test_origins_lie_in_the_test_part_and_what_is_read_before_them(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [daily(1000)])
    (target,) = collect(store, restored(store, PatchTokenizer), "test", horizon=24, origins=10).targets
    assert target.origins[0] == 800
    assert target.origins[-1] == 976
    assert np.ptp(np.diff(target.origins)) <= 1
    assert (target.train, target.validation, target.season) == ((0, 700), (700, 800), 24)
    (held,) = collect(store, restored(store, PatchTokenizer), "validation", horizon=24, origins=10).targets
    assert (held.origins[0], held.origins[-1], held.validation) == (700, 776, (0, 0))


def test_a_series_tested_on_as_a_whole_is_measured_on_its_last_part(tmp_path: Path) -> None:
    many = [daily(200, seed=i, name=f"s{i}") for i in range(10)]
    store = make_store(tmp_path / "s.zarr", many, rule="random", test=0.3, validation=0.1)
    panel = collect(store, restored(store, PatchTokenizer), "test", horizon=24, origins=3)
    assert len(panel.targets) == 3
    assert all(t.origins[0] == 160 and t.train == (0, 160) for t in panel.targets)


def test_what_cannot_be_measured_is_counted_and_said(tmp_path: Path) -> None:
    constant = Series("flat", np.ones(400), start=START, freq="h")
    store = make_store(tmp_path / "s.zarr", [daily(400), constant, daily(60, name="short")])
    said: list[str] = []
    panel = collect(store, restored(store, PatchTokenizer), "test", horizon=24, origins=3, say=said.append)
    assert [t.id for t in panel.targets] == ["a"]
    assert sorted(panel.left_out.values()) == [1, 1]
    assert any("constant" in line for line in said)
    only = make_store(tmp_path / "o.zarr", [constant])
    with pytest.raises(InputError, match="no series of the test split"):
        collect(only, restored(only, PatchTokenizer), "test", horizon=24, origins=3)


def test_missing_truth_counts_for_nobody(tmp_path: Path) -> None:
    whole, holes = daily(600), daily(600)
    holes.values[500:520] = np.nan
    for record in (whole, holes):
        store = make_store(tmp_path / f"{np.isnan(record.values).sum()}.zarr", [record])
        table = evaluate(SeasonalEngine(), store, restored(store, PatchTokenizer), out=tmp_path / "out", **QUICK)
        assert np.isfinite(table.rows[0].value)


# The measures by themselves.


def target(values, origins, *, season=1, train=(0, 4), name="x") -> Target:
    return Target(name, 0, 0, np.asarray(values, float), train, (0, 0), np.asarray(origins), season, None, None, None)


def test_every_measure_by_hand() -> None:
    mine = target([1, 3, 1, 3, 2, 4], [4])
    assert mine.scale == 2
    quantiles = np.tile(np.array(LEVELS)[None, :, None] * 4, (1, 1, 2))
    errors = errors_of(mine, Forecasts(np.array([[3.0, 3.0]]), quantiles), 2)
    assert errors.absolute.tolist() == [2]
    assert errors.symmetric.sum() == pytest.approx(200 * (1 / 5 + 1 / 7))
    assert errors.by_step.tolist() == [1, 1]
    assert errors.n.tolist() == [2]
    assert errors.size.tolist() == [6]
    assert errors.inside[:, 0].tolist() == [1, 1, 1]
    # quantile functions are uniform on 0 to 4: the CRPS at y is 4 (u^2 - u + 1/3) with u = y / 4
    assert errors.crps.sum() == pytest.approx(4 * (0.25 - 0.5 + 1 / 3) + 4 / 3, rel=0.06)
    assert np.flatnonzero(errors.pit).tolist() == [9, 19], "y = 2 is the median, y = 4 is beyond all"


def test_a_calibrated_forecast_covers_what_it_says_and_has_a_flat_pit() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 20_000)
    mine = target(truth, np.arange(5, 19_990, 10), train=(0, 100))
    points = np.zeros((len(mine.origins), 10))
    quantiles = points[:, None] + norm.ppf(LEVELS)[:, None]
    errors = errors_of(mine, Forecasts(points, quantiles), 10)
    assert errors.inside.sum(1) / errors.n.sum() == pytest.approx([0.5, 0.8, 0.9], abs=0.01)
    assert errors.pit / errors.pit.sum() == pytest.approx(np.full(20, 0.05), abs=0.006)
    assert errors.crps.sum() / errors.n.sum() == pytest.approx(1 / np.sqrt(np.pi), rel=0.05)


def test_constants_forecast_as_constants_fall_in_the_middle() -> None:
    mine = target(np.ones(20), [10])
    errors = errors_of(mine, Forecasts(np.ones((1, 3)), np.ones((1, len(LEVELS), 3))), 3)
    assert errors.inside.sum() == 9
    assert np.flatnonzero(errors.pit).tolist() == [9]


def test_ratios_are_geometric_means_and_scale_free(tmp_path: Path) -> None:
    """A model with half the error on one series and twice on another is worth as much as the reference."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 300)
    origins, train = np.arange(100, 290, 10), (0, 100)
    series = [target(values, origins, train=train, name="d"), target(1e6 * values, origins, train=train, name="x")]
    errors: dict[str, list] = {MODEL: [], "naive": []}
    for t, factor in zip(series, (0.5, 2.0), strict=True):
        truth = t.truth(5)
        size = t.scale * (1 + rng.random(truth.shape))
        for name, f in ((MODEL, factor), ("naive", 1.0)):
            point = truth + f * size
            errors[name].append(errors_of(t, Forecasts(point, np.repeat(point[:, None], len(LEVELS), 1)), 5))
    table = MetricTable()
    add_metrics(table, Panel(series, 5), errors, "naive", data="d", split="test", seed=0, resamples=200)
    assert table.rows[0].name == "mase_ratio_naive1"
    assert table.rows[0].value == pytest.approx(1.0)
    difference = table.find("mase_ratio_naive1_minus_naive", "d/test")
    assert difference.low < 0 < difference.high
    assert table.find("mase_ratio_naive1", "x/test").value == pytest.approx(2.0)
    assert table.find("mase_ratio_naive1", "d.d/test").value == pytest.approx(0.5), "a series called like the data"


def test_many_series_are_resampled_as_series() -> None:
    rng = np.random.default_rng(0)
    series = [target(rng.normal(0, 1, 60), [50, 52]) for _ in range(25)]
    errors = {
        name: [
            errors_of(t, Forecasts(t.truth(3) + f, np.repeat((t.truth(3) + f)[:, None], len(LEVELS), 1)), 3)
            for t in series
        ]
        for name, f in ((MODEL, 1.0), ("naive", 2.0))
    }
    table = MetricTable()
    add_metrics(table, Panel(series, 3), errors, "naive", data="d", split="test", seed=0, resamples=200)
    assert table.rows[0].n == 25
    assert table.rows[0].value == pytest.approx(0.5)
    assert {row.split for row in table.rows} == {"d/test"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origin": 3}, "did you mean 'origins'"),
        ({"origins": 0}, "evaluation.origins: got 0"),
        ({"resamples": 9}, "100 or more"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options, message: str) -> None:
    store = make_store(tmp_path / "s.zarr", [daily(200)])
    with pytest.raises(ConfigError, match=message):
        evaluate(SeasonalEngine(), store, restored(store, PatchTokenizer), out=tmp_path / "out", **options)


def test_hours_without_anything_leave_intervals_that_are_numbers() -> None:
    """A series that is zero but for some hours, as rainfall is: draws without those hours compare nothing."""
    n = np.array([24.0] * 6)
    reference = SimpleNamespace(absolute=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 4.0]), n=n)
    mine = SimpleNamespace(absolute=np.array([0.1, 0.1, 0.1, 0.1, 0.1, 1.0]), n=n)
    errors: dict[str, Any] = {"seasonal_naive_24": [reference], MODEL: [mine]}
    table = MetricTable()
    _Ratios(cast(Any, None), errors, "seasonal_naive_24", 0, 500).add(table, "ratio", "rain/test", lambda e: e.absolute)
    row = table.find("ratio")
    assert row is not None
    assert row.value == pytest.approx(1.5 / 4)
    assert row.low is not None
    assert row.high is not None
    assert 0 < row.low < row.value < row.high < 2
