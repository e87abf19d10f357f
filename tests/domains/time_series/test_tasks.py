"""Gaps that are filled and spikes that are found, on series made by code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from domains.time_series.tasks import anomaly_scores, anomaly_threshold, fill_gaps, nats_per_step
from domains.time_series.tokenizer import (
    BinsConfig,
    BinsTokenizer,
    DigitsConfig,
    DigitsTokenizer,
    PatchConfig,
    PatchTokenizer,
)
from tests.domains.time_series.made import RepeatEngine, SeasonalEngine, daily, make_store

PLAIN = PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("value",)))


def model_of(tokenizer: Any = PLAIN, engine: Any = None) -> SimpleNamespace:
    return SimpleNamespace(tokenizer=tokenizer, engine=engine or SeasonalEngine(width=0.15))


def test_gaps_are_filled_with_what_the_model_expects() -> None:
    record = daily(400)
    truth = record.values.copy()
    missing = np.zeros(400, bool)
    for start, length in ((0, 3), (100, 5), (200, 5), (301, 30)):
        missing[start : start + length] = True
    record.values[missing] = np.nan
    filled = fill_gaps(model_of(), [record])
    assert len(filled) == 400
    assert filled.filled.tolist() == missing.tolist()
    inside = missing & (np.arange(400) >= 3)
    assert np.isnan(filled.y[:3]).all(), "nothing comes before the first gap"
    assert np.abs(filled.y - truth[:, 0])[inside].max() < 0.6
    assert np.array_equal(filled.y[~missing], truth[~missing, 0])
    assert filled.ds[100] == np.datetime64("2024-01-05T04:00")


def test_filling_knows_the_past_only() -> None:
    a, b = daily(300), daily(300)
    a.values[200:210] = b.values[200:210] = np.nan
    b.values[210:] += 100
    first, second = (fill_gaps(model_of(), [record]).y[200:210] for record in (a, b))
    assert np.array_equal(first, second)


def test_injected_spikes_are_found(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [daily(4000)])
    threshold = anomaly_threshold(SeasonalEngine(width=0.15), store, PLAIN, false_alarms=0.01)
    record = daily(1000, seed=9)
    spikes = np.arange(100, 1000, 90)
    record.values[spikes] += 2.0
    found = anomaly_scores(model_of(), [record], threshold=threshold)
    scores = found.nats.to_numpy()
    echo = np.isin(np.arange(1000), spikes + 24)  # a day later the last day looks odd
    ordinary = np.isfinite(scores) & ~echo & ~np.isin(np.arange(1000), spikes)
    auc = np.mean(scores[spikes][:, None] > scores[ordinary][None])
    assert auc > 0.99
    assert found.anomaly[spikes].all()
    assert found.anomaly[ordinary].mean() < 0.03
    assert not found.anomaly[:24].any(), "nothing is said of the first day"


def test_the_threshold_is_a_quantile_of_the_validation_part(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [daily(4000)])
    engine = SeasonalEngine(width=0.15)
    loose, strict = (anomaly_threshold(engine, store, PLAIN, false_alarms=rate) for rate in (0.1, 0.001))
    assert loose < strict
    with pytest.raises(ConfigError, match="false_alarms: got 0"):
        anomaly_threshold(engine, store, PLAIN, false_alarms=0)
    bare = make_store(tmp_path / "b.zarr", [daily(400)], validation=0.0)
    with pytest.raises(InputError, match="no validation step"):
        anomaly_threshold(engine, bare, PLAIN)


def test_nats_of_symbols_are_per_step() -> None:
    record = daily(100)
    for tokenizer in (BinsTokenizer(BinsConfig(head=24)), DigitsTokenizer(DigitsConfig(head=24))):
        sequence = tokenizer.encode(record)
        (nats,) = nats_per_step(RepeatEngine(tokenizer), tokenizer, [sequence])
        assert nats.shape == (100,)
        assert nats.sum() == pytest.approx(len(sequence) + tokenizer.log_volume(sequence).sum())


def test_what_these_tasks_cannot_do_is_said() -> None:
    wide = PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("u", "v")))
    with pytest.raises(ConfigError, match="one channel, the model has 2"):
        fill_gaps(model_of(wide), [daily(50)])
    record = daily(50)
    record.values[:] = np.nan
    frame = np.full(50, np.nan)
    with pytest.raises(InputError, match="'series' has no value at all"):
        anomaly_scores(model_of(), frame)
