"""Every verb on real values, on files made by code: time series and chaotic systems from a file to a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foretell
from core.errors import ConfigError
from core.evaluation import MetricTable
from core.nn.config import ModelConfig
from core.prediction.store import PredictionStore
from tests.conftest import foretell_cli
from tests.readme.commands import OTHERS
from tests.readme.made import write_series, write_states


def run(verb: str, domain: str, *keys: str) -> None:
    small = OTHERS[domain].get(verb, [])
    typed = {key.partition("=")[0] for key in keys}
    assert foretell_cli(verb, *(k for k in small if k.partition("=")[0] not in typed), *keys) == 0


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_series(folder / "series.csv")
    run(
        "prepare",
        "time_series",
        "domain=time_series",
        f"data.path={folder / 'series.csv'}",
        f"store={folder / 's.zarr'}",
    )
    run("train", "time_series", f"store={folder / 's.zarr'}", f"run={folder / 'run'}", "readouts.values=quantile")
    return folder


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("states")
    write_states(folder / "states.npy", 1200)
    foretell_cli("prepare", "domain=chaos", f"data.path={folder / 'states.npy'}", f"store={folder / 's.zarr'}")
    keys = ["readouts.values=mse", "model.norm=none", "model.products=2", "model.window=4"]
    run("train", "chaos", f"store={folder / 's.zarr'}", f"run={folder / 'run'}", *keys)
    return folder


def test_a_frame_goes_in_and_a_frame_with_its_ids_comes_out(series: Path) -> None:
    history = pd.read_csv(series / "series.csv")
    found = foretell.load(series / "run").forecast(history, 30, quantiles=(0.1, 0.5, 0.9), draws=20)
    assert found["unique_id"].tolist() == ["a"] * 30 + ["b"] * 30
    assert pd.to_datetime(found["ds"]).iloc[0] == pd.to_datetime(history["ds"]).max() + pd.Timedelta("1h")
    assert (found["q0.1"] <= found["q0.5"]).all()
    assert (found["q0.5"] <= found["q0.9"]).all()
    levels = found.groupby("unique_id")["mean"].mean()
    assert levels["b"] > 5 * levels["a"]  # each series in its own units


@pytest.mark.parametrize("folder", ["series", "states"])
def test_evaluation_samples_and_report(folder: str, request: pytest.FixtureRequest) -> None:
    at: Path = request.getfixturevalue(folder)
    domain = {"series": "time_series", "states": "chaos"}[folder]
    run("evaluate", domain, f"bundle={at / 'run'}", f"store={at / 's.zarr'}", f"out={at / 'evaluation'}")
    table = MetricTable.read(at / "evaluation")
    assert table.hardest(table.rows[0].name, table.rows[0].split) is not None
    run("sample", domain, f"bundle={at / 'run'}", f"store={at / 's.zarr'}", f"out={at / 'samples.csv'}")
    drawn = pd.read_csv(at / "samples.csv")
    assert len(drawn) > 20
    assert np.isfinite(drawn.select_dtypes("number")).all().all()
    assert set(drawn["drawn"]) == {0, 1}
    assert drawn["drawn"].iloc[0] == 0
    assert foretell_cli("report", f"run={at / 'run'}", f"evaluation={at / 'evaluation'}") == 0
    assert "<svg" in (at / "run" / "report.html").read_text()


def test_several_models_are_evaluated_and_forecast_together(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, other = f"store={series / 's.zarr'}", series / "other"
    run("train", "time_series", store, f"run={other}", "readouts.values=quantile", "seed=1")
    both = [series / "run", other]
    named = f"bundle=[{both[0]},{both[1]}]"
    assert foretell_cli("evaluate", named, store) == 2
    assert "out= is required" in capsys.readouterr().err
    assert foretell_cli("evaluate", "bundle=[]", store) == 2
    assert "bundle= names none" in capsys.readouterr().err
    run("evaluate", "time_series", named, store, f"out={series / 'together'}")
    assert "report" not in capsys.readouterr().out
    facts = json.loads((series / "together" / "evaluation.json").read_text())
    assert len(set(facts["bundle"])) == 2
    history = pd.read_csv(series / "series.csv")
    one, two, mean = (foretell.load(path).forecast(history, 24) for path in (*both, both))
    np.testing.assert_allclose(mean["q0.9"], (one["q0.9"] + two["q0.9"]) / 2, rtol=1e-5)
    with pytest.raises(ConfigError, match="got no bundle"):
        foretell.load([])


def test_models_of_different_tokenizers_are_not_averaged(series: Path, states: Path) -> None:
    with pytest.raises(ConfigError, match="has another tokenizer than"):
        foretell.load([series / "run", states / "run"])


def test_samples_from_nothing_say_so(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("sample", "time_series", f"bundle={series / 'run'}", "n=1", f"out={series / 'nothing.csv'}")
    assert "begin from nothing" in capsys.readouterr().out
    assert "drawn" not in pd.read_csv(series / "nothing.csv")


def test_forecasts_over_a_store_of_series_with_steps_to_come(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ahead, out = series / "ahead.zarr", series / "forecasts.zarr"
    keys = [f"data.path={series / 'series.csv'}", "data.horizon=24", f"store={ahead}", "split.rule=last"]
    assert foretell_cli("prepare", "domain=time_series", f"tokenizer_from={series / 'run'}", *keys) == 0
    what = ["what=[forecast]", "origin=held_out", "horizon=24"]
    assert foretell_cli("predict", f"bundle={series / 'run'}", f"input={ahead}", f"output={out}", *what) == 0
    assert foretell_cli("predict", f"bundle={series / 'run'}", f"input={ahead}", f"output={out}", *what) == 0
    assert "were there already" in capsys.readouterr().out
    store = PredictionStore.open(out)
    frame = foretell.load(series / "run").forecast(pd.read_csv(series / "series.csv"), 24)
    expected = frame[["q0.1", "q0.5", "q0.9"]].to_numpy().reshape(2, 24, 3).transpose(0, 2, 1)
    np.testing.assert_allclose(store["forecast"][..., 0], expected, rtol=1e-3, atol=1e-3)


def test_forecasts_over_a_store_of_trajectories(states: Path) -> None:
    out = states / "forecasts.zarr"
    keys = [f"input={states / 's.zarr'}", f"output={out}", "what=[score,forecast]", "horizon=20", "paths=5"]
    assert foretell_cli("predict", f"bundle={states / 'run'}", *keys) == 0
    store = PredictionStore.open(out)
    assert store["forecast_mean"].shape[1:] == (20, 3)
    assert np.isfinite(store["forecast"]).all()
    assert np.isfinite(store["nll"]).all()


@pytest.mark.parametrize("objective", ["multi_token", "roll_out"])
def test_other_objectives_are_one_word_away(states: Path, objective: str) -> None:
    again = [f"store={states / 's.zarr'}", f"run={states / objective}", f"objective={objective}", "objective.tokens=3"]
    run("train", "chaos", *again, "readouts.values=mse")
    config = json.loads((states / objective / "bundle" / "config.json").read_text())
    assert config["training"]["objective"] == {"kind": objective, "tokens": 3}


def test_a_model_is_trained_on_a_frame_and_forecasts_it(tmp_path: Path) -> None:
    write_series(tmp_path / "series.csv")
    frame = pd.read_csv(tmp_path / "series.csv")
    shape = {"model": ModelConfig(width=32, layers=1, context=96), "batching": {"length": 96, "batch_size": 4}}
    model = foretell.train(frame, tmp_path / "run", domain="time_series", steps=3, **shape)
    assert len(model.forecast(frame, 24)) == 48
