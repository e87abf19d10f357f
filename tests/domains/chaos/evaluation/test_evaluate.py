"""The evaluation as a whole, with stand-ins for the engine whose forecasts are known."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from core.errors import ConfigError, InputError
from core.evaluation import MODEL
from core.ingest import prepare_store
from core.report import read_gallery
from core.sequence import Sequence
from core.split import SplitConfig
from core.store import TokenStore
from core.vocabulary import EOS
from domains.chaos.evaluation import EvaluationConfig, evaluate
from domains.chaos.evaluation.cases import Cutting, interpolated, read_cases
from domains.chaos.evaluation.drawing import maxima
from domains.chaos.evaluation.measuring import TRUTH
from domains.chaos.source import open_source
from domains.chaos.tokenizer import BinsConfig, BinsTokenizer, StateTokenizer, SymbolsTokenizer

SMALL = {"points": 1000, "validation_points": 500, "test_starts": 5, "long_points": 500, "long_trajectories": 2}
QUICK = {"baselines": ["persistence", "nearest_neighbour"], "free_run": 500, "resamples": 200, "figures": False}


def make_store(path: Path, source, tokenizer):
    split = SplitConfig(**source.suggested_split)
    prepare_store(source, tokenizer, path, split=split, domain="chaos")
    store = TokenStore.open(path)
    return store, type(tokenizer).from_config(store.tokenizer["config"])


@pytest.fixture(scope="module")
def lorenz(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "s.zarr", open_source("lorenz63", **SMALL), StateTokenizer())


class Solver:
    """An engine that knows the equations, with sigma 10 and rho `rho`: the true future where rho is 28."""

    def __init__(self, rho: float = 28.0) -> None:
        self.rho = rho

    def roll_out(self, contexts, steps, *, mode, seed=None):
        assert mode == "mean"
        states = np.stack([c.arrays["values"][-1] for c in contexts], axis=1).astype(float)
        dt = float(next(iter(contexts)).labels["dt"])

        def rhs(t, flat):
            x, y, z = flat.reshape(3, -1)
            return np.concatenate([10 * (y - x), x * (self.rho - z) - y, x * y - 8 / 3 * z])

        times = np.arange(1, steps + 1) * dt
        options = {"method": "DOP853", "rtol": 1e-9, "atol": 1e-9, "t_eval": times}
        found = solve_ivp(rhs, (0, times[-1]), states.ravel(), **options).y.reshape(3, len(contexts), steps)
        return [found[:, i].T[None] for i in range(len(contexts))]


class Repeater:
    """An engine of symbols that repeats the last token; from `ends_at` drawn tokens on it draws EOS."""

    def __init__(self, ends_at: int | None = None) -> None:
        self.ends_at = ends_at
        self.calls: list[tuple[int, float]] = []

    def sample(self, prefixes, *, max_length, min_length, temperature, seed):
        assert min_length == max_length
        self.calls.append((len(prefixes), temperature))
        return [SimpleNamespace(sequence=self.continued(prefix, max_length)) for prefix in prefixes]

    def continued(self, prefix: Sequence, length: int) -> Sequence:
        arrays = {n: np.concatenate([a, np.repeat(a[-1:], length - len(a))]) for n, a in prefix.arrays.items()}
        if self.ends_at is not None:
            for array in arrays.values():
                array[len(prefix) + self.ends_at :] = EOS
        return Sequence(arrays, prefix.id)


@pytest.fixture(scope="module")
def evaluated(lorenz, tmp_path_factory):
    store, tokenizer = lorenz
    out, lines = tmp_path_factory.mktemp("evaluation"), []
    options = {**QUICK, "baselines": ["persistence", "context_parroting", "nvar"], "figures": True}
    facts = {"seconds": 12.5, "seed": 3}
    table = evaluate(Solver(), store, tokenizer, out=out, training=facts, say=lines.append, seed=0, **options)
    return table, out, lines


def test_a_whole_evaluation(evaluated) -> None:
    """The example: the true equations reach the cap, with intervals, baselines, floors and what was drawn."""
    table, out, lines = evaluated
    rows = json.loads((out / "metrics.json").read_text())
    assert (rows[0]["name"], rows[0]["model"], rows[0]["split"]) == ("vpt_nrmse_0.4", MODEL, "lorenz63/test")
    assert rows[0]["value"] == 10
    assert rows[0]["n"] == 5
    assert table.find("vpt_csmape200_30").value == 10
    assert table.find("vpt_cap").value == 10
    assert table.find("nrmse_one_step").value < 1e-5
    names = {row["name"] for row in rows}
    assert {"smape200_1lt", "smape200_4lt", "smape200_10lt", "diverged_share", "dh_smoothed", "dstsp_hist"} <= names
    assert {"correlation_dimension", "lyapunov_exponent", "free_run_diverged_share"} <= names
    assert table.find("vpt_nrmse_0.4_minus_persistence").low > 9
    compared = table.comparisons("vpt_nrmse_0.4", "lorenz63/test", lower_is_better=False)
    verdicts = {c.baseline: c.verdict for c in compared}
    assert verdicts["persistence"] == "better"
    assert table.find("seconds_training").value == 12.5
    assert any("fitting nvar" in line for line in lines)


def test_geometry_stands_beside_its_floor(evaluated) -> None:
    """Runs of the true equations are as far from another true orbit as true orbits are from each other."""
    table, _, _ = evaluated
    for metric, floor in (("dstsp_hist", 1.5), ("dh_smoothed", 0.1)):
        mine, truth, still = (table.find(metric, model=m).value for m in (MODEL, TRUTH, "persistence"))
        assert abs(mine - truth) < floor
        assert still > truth + floor
    assert table.find("dh_smoothed", model="persistence").value == 1
    assert table.find("correlation_dimension", model="persistence").value is None
    assert 1.7 < table.find("correlation_dimension", model=TRUTH).value < 2.4


def test_what_is_written(evaluated) -> None:
    table, out, _ = evaluated
    with open(out / "starts.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * 5
    mine = [float(line["vpt_nrmse_0.4"]) for line in lines if line["model"] == "nvar"]
    assert np.mean(mine) == pytest.approx(table.find("vpt_nrmse_0.4", model="nvar").value, rel=1e-5)
    assert {line["start"] for line in lines} == {f"lorenz63/forecast/{i}" for i in range(5)}
    figures = read_gallery(out)
    assert [figure.path.stem for figure in figures] == [
        "prediction_times", "forecasts", "error_growth", "phase_portraits", "power_spectra", "return_map",
    ]  # fmt: skip
    for figure in figures:
        assert len(figure.alt) > 20
        assert ET.parse(figure.path).getroot().tag.endswith("svg")
        assert figure.path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_same_twice(lorenz, tmp_path: Path) -> None:
    for out in ("a", "b"):
        evaluate(Solver(28.1), *lorenz, out=tmp_path / out, seed=1, **QUICK)
    for name in ("metrics.json", "table.md", "starts.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_wrong_parameter_costs_what_its_error_grows_to(lorenz, tmp_path: Path) -> None:
    near, far = (
        evaluate(Solver(28 + wrong), *lorenz, out=tmp_path / str(wrong), **{**QUICK, "free_run": 0}).rows[0].value
        for wrong in (1e-3, 1e-1)
    )
    assert 0 < far < near < 10
    assert near - far == pytest.approx(np.log(100), rel=0.5)  # each factor of ten is 2.3 Lyapunov times


def test_noise_is_measured_against_the_clean_truth(tmp_path: Path) -> None:
    """The true equations, from a context with noise: one step is off by the noise, and the forecast does not hold."""
    store, tokenizer = make_store(tmp_path / "s.zarr", open_source("lorenz63", noise=0.01, **SMALL), StateTokenizer())
    table = evaluate(Solver(), store, tokenizer, out=tmp_path / "e", **QUICK)
    assert table.rows[0].split == "lorenz63_noise1/test"
    assert table.find("nrmse_one_step").value == pytest.approx(0.01, rel=0.6)
    assert 1.5 < table.rows[0].value < 8
    assert table.find("vpt_nrmse_0.4", model="nearest_neighbour").value < 8


def test_symbols_are_drawn_at_temperature_0_and_measured_on_the_same_truth(lorenz, tmp_path: Path) -> None:
    tokenizer = BinsTokenizer(BinsConfig(bins=512))
    store, tokenizer = make_store(tmp_path / "s.zarr", open_source("lorenz63", **SMALL), tokenizer)
    engine = Repeater()
    bins = evaluate(engine, store, tokenizer, out=tmp_path / "a", **QUICK)
    state = evaluate(Solver(), *lorenz, out=tmp_path / "b", **QUICK)
    assert engine.calls[0] == (5, 0.0)
    for metric in ("vpt_nrmse_0.4", "nrmse_one_step", "dh_smoothed"):
        for model in ("nearest_neighbour", "persistence"):
            assert bins.find(metric, model=model).value == state.find(metric, model=model).value
    mine, theirs = (bins.find("vpt_nrmse_0.4", model=m).value for m in (MODEL, "persistence"))
    assert mine == pytest.approx(theirs, abs=0.05)


def test_a_draw_that_ends_is_diverged_from_there_on(tmp_path: Path) -> None:
    source = open_source("lorenz63", **SMALL)
    store, tokenizer = make_store(tmp_path / "s.zarr", source, BinsTokenizer(BinsConfig(bins=64)))
    table = evaluate(Repeater(ends_at=1), store, tokenizer, out=tmp_path / "a", **QUICK)
    assert table.find("diverged_share").value == 1
    assert table.find("free_run_diverged_share").value == 1
    assert table.find("vpt_nrmse_0.4").value <= 1 / 30
    assert table.find("dh_smoothed").value == 1
    assert table.find("dstsp_hist").value > table.find("dstsp_hist", model=TRUTH).value + 3


def test_held_out_systems_stand_in_a_split_of_their_own(tmp_path: Path) -> None:
    source = open_source("dysts", systems=["henon"], holdout_systems=["ikeda"], workers=1, **SMALL)
    store, tokenizer = make_store(tmp_path / "s.zarr", source, StateTokenizer())

    class Persists:
        def roll_out(self, contexts, steps, *, mode, seed=None):
            return [np.repeat(c.arrays["values"][None, -1:], steps, axis=1) for c in contexts]

    table = evaluate(Persists(), store, tokenizer, out=tmp_path / "a", **QUICK)
    models = {(row.split, row.model) for row in table.rows if row.name == "vpt_nrmse_0.4"}
    assert ("dysts/test", "nearest_neighbour") in models
    assert ("dysts/test_zero_shot", "persistence") in models
    assert ("dysts/test_zero_shot", "nearest_neighbour") not in models


def test_a_series_of_ones_own_is_cut_into_starts(tmp_path: Path, orbit) -> None:
    np.save(tmp_path / "mine.npy", orbit("lorenz63", 6000))
    source = open_source(path=tmp_path / "mine.npy", dt=1 / 0.9056 / 30, lyapunov=0.9056)
    store, tokenizer = make_store(tmp_path / "s.zarr", source, StateTokenizer())
    (case,) = read_cases(store, tokenizer, "test", Cutting(context=2, horizon=5, starts=8))
    assert len(case.starts) == 8
    assert case.context == 60
    assert case.horizon == 150
    series = orbit("lorenz63", 6000).astype(np.float32)
    for start in case.starts:
        origin = int(start.id.split("@")[1]) + 4800
        assert np.array_equal(start.context.values, series[origin - 60 : origin])
        assert np.array_equal(start.truth, series[origin : origin + 150])
    table = evaluate(Solver(), store, tokenizer, out=tmp_path / "e", context=2.0, horizon=5.0, starts=8, **QUICK)
    assert table.rows[0].value == 5
    assert table.find("dh_smoothed", model=TRUTH) is not None


def test_without_an_exponent_the_unit_is_the_mean_period(tmp_path: Path) -> None:
    wave = np.round(100 + 90 * np.sin(2 * np.pi * np.arange(3000) / 30))
    np.save(tmp_path / "wave.npy", wave)
    store, tokenizer = make_store(tmp_path / "s.zarr", open_source(path=tmp_path / "wave.npy"), SymbolsTokenizer())
    options = {**QUICK, "baselines": ["context_parroting"], "figures": True}
    table = evaluate(Repeater(), store, tokenizer, out=tmp_path / "e", **options)
    assert table.rows[0].name == "vpt_nrmse_0.4_periods"
    assert table.find("vpt_nrmse_0.4_periods", model="context_parroting").value == 10
    assert table.find("smape200_1periods") is not None
    first = read_gallery(tmp_path / "e")[0]
    assert first.path.stem == "prediction_times_periods"
    assert "mean periods" in first.alt


def test_series_that_are_too_short_are_named(tmp_path: Path, orbit) -> None:
    text = "id,split,x,y\n"
    for name, split, length in (("long", "train", 400), ("brief", "test", 12), ("fair", "test", 300)):
        rows = orbit("henon", 400)[:length]
        text += "".join(f"{name},{split},{x:.6g},{y:.6g}\n" for x, y in rows)
    (tmp_path / "t.csv").write_text(text)
    source = open_source(path=tmp_path / "t.csv", lyapunov=0.42)
    store, tokenizer = make_store(tmp_path / "s.zarr", source, StateTokenizer())
    said: list[str] = []
    cases = read_cases(store, tokenizer, "test", Cutting(), said.append)
    assert {start.id.split("@")[0] for start in cases[0].starts} == {"fair"}
    assert "brief (12 steps, a context has 12)" in said[0]
    with pytest.raises(InputError, match=r"too short: brief.*fair"):
        read_cases(store, tokenizer, "test", Cutting(context=200), said.append)


def test_gaps_are_bridged_for_who_cannot_read_them() -> None:
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan], [8.0, 4.0]])
    assert interpolated(values).tolist() == [[2, 1], [2, 2], [5, 3], [8, 4]]


def test_maxima_lie_between_the_samples() -> None:
    wave = np.cos(2 * np.pi * (np.arange(200) - 3.3) / 20)
    assert maxima(wave) == pytest.approx(1, abs=1e-3)
    assert len(maxima(wave)) == 10


def test_refusals(lorenz, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'starts'"):
        evaluate(Solver(), *lorenz, out=tmp_path, start=3)
    with pytest.raises(ConfigError, match="no 'esn'; did you mean 'esn_500'"):
        EvaluationConfig(baselines=("esn",))
    with pytest.raises(ConfigError, match=r"evaluation\.horizon: got 0"):
        EvaluationConfig(horizon=0)
    with pytest.raises(InputError, match="no series in its train part to forecast"):
        evaluate(Solver(), *lorenz, out=tmp_path, split="train", context=1000.0)
