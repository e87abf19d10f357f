"""Metric tables: intervals that cover, differences that are paired, files that say what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import (
    MODEL,
    Comparison,
    Metric,
    MetricTable,
    Totals,
    block_totals,
    bootstrap,
    interval,
    jackknife,
    join,
    shown,
)

SPLIT = "toy/test"


def totals(values, weights=None):
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    return Totals(values * weights, weights)


def test_a_table_with_a_baseline(tmp_path):
    """The example: a model that is a little better on each of 50 records, which differ much more among themselves."""
    rng = np.random.default_rng(0)
    records = rng.normal(2, 0.5, 50)
    table = MetricTable()
    table.measure("bits_per_base", {MODEL: totals(records - 0.01), "markov_7": totals(records)}, split=SPLIT)
    table.add("seed", 0, split=SPLIT)
    table.write(tmp_path)
    rows = json.loads((tmp_path / "metrics.json").read_text())
    assert [(r["name"], r["model"]) for r in rows] == [
        ("bits_per_base", "foretell"),
        ("bits_per_base", "markov_7"),
        ("bits_per_base_minus_markov_7", "foretell"),
        ("seed", "foretell"),
    ]
    for row in rows:
        assert set(row) == {"name", "value", "low", "high", "n", "split", "model"}
    # Unpaired, the intervals overlap; paired, the difference is certain.
    assert rows[0]["high"] > rows[1]["low"]
    assert rows[2]["value"] == pytest.approx(-0.01)
    assert rows[2]["high"] < 0
    text = (tmp_path / "table.md").read_text()
    assert "| -0.0100 [-0.0100, -0.0100] | yes |" in text
    assert "minus" not in text.split("foretell minus this")[1].split("\n\n")[0]
    assert "excludes 0" in text
    assert MetricTable.read(tmp_path).rows == table.rows == MetricTable.read(tmp_path / "metrics.json").rows


def test_intervals_cover_the_truth():
    """Of 200 samples of 40 records with unequal weights, about 95 % of the intervals hold the true mean."""
    hits = 0
    for i in range(200):
        rng = np.random.default_rng(i)
        sample = totals(rng.exponential(1.0, 40), rng.uniform(0.5, 1.5, 40))
        low, high = interval(bootstrap({"m": sample}, i, resamples=400)["m"])
        hits += low <= 1 <= high
    assert 0.86 <= hits / 200 <= 0.98


def test_draws_are_a_function_of_the_counters():
    one = totals(np.arange(10.0))
    again = bootstrap({"a": one}, 3, "x", resamples=100)["a"]
    assert np.array_equal(bootstrap({"a": one}, 3, "x", resamples=100)["a"], again)
    assert not np.array_equal(bootstrap({"a": one}, 4, "x", resamples=100)["a"], again)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5) | st.just(float("nan")), max_size=50), st.integers(1, 20))
def test_blocks_conserve_sums_and_counts(values, block):
    values = np.array(values, float)
    found = block_totals(values, block)
    assert found.sums.sum() == pytest.approx(np.nansum(values))
    assert found.weights.sum() == np.isfinite(values).sum()
    assert (found.weights > 0).all()
    assert (found.weights <= block).all()


def test_joined_units_keep_their_order():
    found = join([totals([1, 2]), totals([]), totals([3])])
    assert found.sums.tolist() == [1, 2, 3]
    assert join([]).sums.shape == (0,)


def test_models_on_different_records_are_refused():
    with pytest.raises(InputError, match=r"\{'a': 2, 'b': 3\}"):
        bootstrap({"a": totals([1, 2]), "b": totals([1, 2, 3])}, 0)
    with pytest.raises(InputError):
        bootstrap({"a": totals([])}, 0)


def test_one_record_has_no_interval():
    table = MetricTable()
    table.measure("rmse", {MODEL: totals([1.0]), "mean": totals([2.0])}, split=SPLIT)
    assert [(row.low, row.high) for row in table.rows] == [(None, None)] * 3
    hardest = table.hardest("rmse", SPLIT)
    assert hardest is not None
    assert hardest.verdict == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "verdict"),
    [
        (-0.3, -0.1, True, "better"),
        (0.1, 0.3, True, "worse"),
        (-0.1, 0.3, True, "undecided"),
        (0.0, 0.3, True, "undecided"),
        (0.1, 0.3, False, "better"),
        (-0.3, -0.1, False, "worse"),
    ],
)
def test_verdicts(low, high, lower_is_better, verdict):
    assert Comparison("m", SPLIT, "b", (low + high) / 2, low, high, lower_is_better).verdict == verdict


def table_of(differences):
    """A table with foretell at 2 bits and a baseline for each (difference, low, high)."""
    table = MetricTable()
    table.add("bits", 2.0, split=SPLIT)
    for i, (difference, low, high) in enumerate(differences):
        table.add("bits", 2.0 - difference, split=SPLIT, model=f"b{i}")
        table.add(f"bits_minus_b{i}", difference, split=SPLIT, low=low, high=high)
    return table


def test_the_hardest_baseline_decides():
    """Better than the best one by value is not enough where another cannot be told apart."""
    assert table_of([(-0.2, -0.3, -0.1), (-0.1, -0.2, -0.05)]).hardest("bits", SPLIT).baseline == "b1"
    mixed = table_of([(-0.01, -0.02, -0.005), (-0.02, -0.06, 0.01)]).hardest("bits", SPLIT)
    assert (mixed.baseline, mixed.verdict) == ("b1", "undecided")
    worse = table_of([(0.1, 0.05, 0.2), (0.3, -0.1, 0.9), (0.2, 0.1, 0.3)]).hardest("bits", SPLIT)
    assert (worse.baseline, worse.verdict) == ("b2", "worse")
    higher = table_of([(0.1, 0.05, 0.2), (-0.1, -0.2, -0.05)]).hardest("bits", SPLIT, lower_is_better=False)
    assert (higher.baseline, higher.verdict) == ("b1", "worse")
    assert MetricTable().hardest("bits", SPLIT) is None


def test_a_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    value, low, high = jackknife(lambda weights: float((weights * values).sum() / weights.sum()), 30)
    assert value == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(30))


def test_numbers_that_are_none_stay_json(tmp_path):
    table = MetricTable()
    table.add("bits", float("nan"), split=SPLIT, low=float("inf"))
    table.write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())[0]["value"] is None
    assert "| none |" in (tmp_path / "table.md").read_text()


def test_a_row_stands_once():
    table = MetricTable([Metric("bits", 1.0, None, None, 1, SPLIT, MODEL)])
    with pytest.raises(ConfigError, match="already"):
        table.add("bits", 2.0, split=SPLIT)
    table.add("bits", 2.0, split=SPLIT, model="markov_0")
    table.add("bits", 2.0, split="other/test")


def test_damaged_and_unwritable_files_are_named(tmp_path):
    (tmp_path / "metrics.json").write_text('[{"name": "bits"}]')
    with pytest.raises(IntegrityError, match=r"metrics\.json"):
        MetricTable.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        MetricTable().write(tmp_path / "file")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.93587, "1.9359"),
        (2.0, "2"),
        (0, "0"),
        (55.25, "55.25"),
        (0.00002, "2e-05"),
        (12345.7, "12346"),
        (None, "none"),
    ],
)
def test_numbers_as_shown(value, text):
    assert shown(value) == text
