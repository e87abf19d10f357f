"""Forecasts over a store: row by row those of the engine, from behind each row or from before its held-out end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.bundle import load_bundle
from core.engine import Engine
from core.errors import ConfigError
from core.prediction.options import PredictOptions
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from core.scaling import Scaling
from core.sequence import Role, Sequence, TokenSpec, real, symbol
from tests.core.tiny import DNA, LETTERS, records, tiny_model, write_bundle, write_store

PLAIN = TokenSpec((real("values", 2, scaling=Scaling(least=2)),), patch=2)
CALENDAR = TokenSpec((real("values", 1, scaling=Scaling(least=2)), symbol("hour", LETTERS, Role.KNOWN_AHEAD)), patch=2)


def series(spec: TokenSpec, *lengths: int) -> list[Sequence]:
    generator = np.random.default_rng(0)
    found = []
    for number, n in enumerate(lengths):
        arrays = {
            "values": generator.normal(size=(n, spec["values"].width)).astype(np.float32),
            "hour": generator.integers(5, 9, n).astype(np.uint8),
        }
        found.append(Sequence({name: arrays[name] for name in spec.names}, f"s{number}"))
    return found


def forecasts(tmp_path: Path, spec: TokenSpec, rows: list[Sequence], **options: object) -> PredictionStore:
    bundle = write_bundle(tmp_path / "bundle", tiny_model(spec, context=32))
    store = write_store(tmp_path / "in.zarr", rows, spec=spec)
    settings = PredictOptions(**{"horizon": 6, "paths": 20, **options})  # type: ignore[arg-type]
    report = predict(bundle, store.path, tmp_path / "out.zarr", what=("forecast",), options=settings, rows_per_block=2)
    return PredictionStore.open(report.path)


def test_a_row_has_the_engines_forecast(tmp_path: Path) -> None:
    rows = series(PLAIN, 20, 9, 40, 3, 15)
    out = forecasts(tmp_path, PLAIN, rows)
    engine = Engine(load_bundle(tmp_path / "bundle").model)
    expected = engine.forecast(rows, 6, draws=20)
    assert out["forecast"].shape == (5, 3, 6, 2)
    for row, forecast in enumerate(expected):
        np.testing.assert_allclose(out["forecast"][row], forecast.quantiles, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(out["forecast_mean"][row], forecast.mean, rtol=1e-4, atol=1e-4)


def test_predict_is_a_forecast_of_a_model_of_real_values(tmp_path: Path) -> None:
    forecasts(tmp_path, PLAIN, series(PLAIN, 20, 9))
    settings = PredictOptions(horizon=6, paths=20)
    given = (tmp_path / "bundle", tmp_path / "in.zarr", tmp_path / "said.zarr")
    report = predict(*given, what=("predict",), options=settings, rows_per_block=2)
    said, out = PredictionStore.open(report.path), PredictionStore.open(tmp_path / "out.zarr")
    assert (said["forecast"] == out["forecast"]).all()


def test_a_table_has_a_line_for_each_step_and_channel(tmp_path: Path) -> None:
    out = forecasts(tmp_path, PLAIN, series(PLAIN, 20, 9), levels=(0.05, 0.5))
    path = out.to_table(tmp_path / "t.csv", labels={"site": np.array(["a", "b"])})
    table = pd.read_csv(path, float_precision="round_trip")
    assert list(table) == ["row", "id", "site", "status", "channel", "step", "mean", "q0.05", "q0.5"]
    assert len(table) == 2 * 2 * 6
    line = table.set_index(["id", "channel", "step"]).loc[("s1", 1, 3)]
    assert line["site"] == "b"
    assert line["mean"] == out["forecast_mean"][1, 2, 1]
    assert [line["q0.05"], line["q0.5"]] == out["forecast"][1, :, 2, 1].tolist()


def test_held_out_steps_are_forecast_with_what_is_known_ahead_of_them(tmp_path: Path) -> None:
    rows = series(CALENDAR, 20, 30)
    rows[1].observed["values"] = np.arange(30)[:, None] < 24  # the future itself is not there
    out = forecasts(tmp_path, CALENDAR, rows, origin="held_out")
    engine = Engine(load_bundle(tmp_path / "bundle").model)
    contexts, ahead = [r.slice(0, len(r) - 6) for r in rows], [r.slice(len(r) - 6, len(r)) for r in rows]
    expected = engine.forecast(contexts, 6, draws=20, ahead=ahead)
    np.testing.assert_allclose(out["forecast"], np.stack([f.quantiles for f in expected]), rtol=1e-4, atol=1e-4)


def test_a_row_without_a_value_to_read_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    rows = series(PLAIN, 20, 10, 6, 8)
    rows[1].observed["values"] = np.zeros((10, 2), bool)
    out = forecasts(tmp_path, PLAIN, rows, origin="held_out")
    assert [r["reason"] for r in out.refused()] == ["nothing_observed"] * 2  # of the third all six steps are held out
    assert np.isnan(out["forecast"][1:3]).all()
    assert np.isfinite(out["forecast"][[0, 3]]).all()


def test_what_a_bundle_cannot_forecast_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="origin=held_out"):
        forecasts(tmp_path, CALENDAR, series(CALENDAR, 20))
    bundle = write_bundle(tmp_path / "dna", tiny_model())
    store = write_store(tmp_path / "dna.zarr", records(10), spec=DNA)
    with pytest.raises(ConfigError, match="one real target field"):
        predict(bundle, store.path, tmp_path / "p.zarr", what=("forecast",))
    for wrong in ({"horizon": 0}, {"levels": (0.0,)}, {"origin": "middle"}):
        with pytest.raises(ConfigError, match=r"predict\."):
            PredictOptions(**wrong)  # type: ignore[arg-type]
