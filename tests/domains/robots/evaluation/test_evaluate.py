"""From demonstrations to a table: prepared, trained a little, rolled out from seeds that the data never had."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.engine import Engine
from core.errors import ConfigError
from core.evaluation import MetricTable
from core.ingest import prepare_store
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.split import SplitConfig
from core.store import TokenStore
from core.tokenizer import restore
from domains import DOMAINS, tokenizer_classes
from domains.own_data import split_config
from domains.robots.evaluation import EvaluationConfig, evaluate
from domains.robots.evaluation.acting import model_policy
from domains.robots.evaluation.closed_loop import run
from domains.robots.evaluation.imagination import AHEAD, CONTEXT, _continued, imagine
from domains.robots.evaluation.model_policy import ModelPolicy
from domains.robots.evaluation.open_loop import measure, predictions
from domains.robots.evaluation.policies import Expert
from domains.robots.source import open_source
from domains.robots.source.environments import Where
from domains.robots.source.episode import Episode

CARTPOLE = Where("CartPole-v1")
QUICK: dict[str, Any] = {"episodes": 3, "max_steps": 30, "resamples": 100, "spans": 2}


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domains.robots.evaluation.policies.STEPS", 20)


def prepared(folder: Path, kind: str, env: str = "CartPole-v1", **options: Any) -> tuple[TokenStore, Any]:
    source = open_source("classic", env=env, episodes=10, max_steps=40, reference_episodes=0)
    tokenizer = DOMAINS.get("robots").make_tokenizer(kind, options)
    path = folder / f"{kind}_{env}.zarr"
    split = split_config(source, 0, {})
    assert isinstance(split, SplitConfig)
    prepare_store(source, tokenizer, path, split=split, domain="robots", overwrite=True)
    store = TokenStore.open(path)
    return store, restore(store.tokenizer, tokenizer_classes())


def untrained(tokenizer: Any, pattern: str = "S", **config: Any) -> Engine:
    torch.manual_seed(0)
    shape = {"layers": 2, "width": 32, "context": 16, **config}
    return Engine(SequenceModel(tokenizer.spec, ModelConfig(pattern=pattern, **shape)), device="cpu", threads=1)


@pytest.mark.parametrize(
    ("kind", "env"),
    [
        ("robots_continuous", "CartPole-v1"),
        ("robots_continuous", "Pendulum-v1"),
        ("robots_components", "CartPole-v1"),
        ("robots_components", "Pendulum-v1"),
        ("robots_chunks", "Pendulum-v1"),
    ],
)
def test_every_tokenizer_acts_and_is_measured(tmp_path: Path, kind: str, env: str) -> None:
    store, tokenizer = prepared(tmp_path, kind, env)
    table = evaluate(
        untrained(tokenizer), store, tokenizer, out=tmp_path / "out", figures=env == "CartPole-v1", **QUICK
    )
    assert MetricTable.read(tmp_path / "out").rows == table.rows
    best = table.find("return_mean", model="expert")
    mine = table.find("return_mean")
    assert best is not None
    assert mine is not None
    if env == "CartPole-v1":
        assert best.value == 30
        assert table.find("return_normalised", model="expert").value == pytest.approx(1)
        assert table.find("return_normalised", model="random").value == pytest.approx(0, abs=1e-9)
    for name in ("action_nats_per_step", "observation_nats_per_step", "observation_nrmse", "action_latency_ms"):
        assert (table.find(name) is None) == (kind == "robots_chunks" and name.startswith("observation")), name
    rows = list(csv.DictReader((tmp_path / "out" / "episodes.csv").open()))
    known = set(store.labels("seed").tolist())
    assert {int(row["seed"]) for row in rows}.isdisjoint(known)
    assert len({row["model"] for row in rows}) == 6
    totals = [float(row["return"]) for row in rows if row["model"] == "foretell"]
    assert np.mean(totals) == pytest.approx(mine.value, rel=1e-4)


def test_seeds_of_the_data_are_refused(tmp_path: Path) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous")
    with pytest.raises(ConfigError, match="1 of the seeds 9 to 11 stand in the store"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, first_seed=9, **QUICK)


def test_an_environment_with_other_spaces_is_refused(tmp_path: Path) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous")
    with pytest.raises(ConfigError, match="Pendulum-v1 has 3 observation columns"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, env="Pendulum-v1", **QUICK)
    with pytest.raises(ConfigError, match="unknown environment 'CartPoole-v1'; did you mean 'CartPole-v1'"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, env="CartPoole-v1", **QUICK)


def test_robustness_is_measured_in_roll_outs_of_its_own(tmp_path: Path) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous")
    options = {**QUICK, "baselines": (), "figures": False, "drop": ["2"], "changes": {"gravity": 2.0}}
    table = evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, **options)
    assert table.find("return_mean_without_2") is not None
    assert table.find("return_mean_gravity_x2") is not None
    with pytest.raises(ConfigError, match="no number 'graviti' to change; did you mean 'gravity'"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, **{**options, "changes": {"graviti": 2.0}})
    with pytest.raises(ConfigError, match="no column 'tail'"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, **{**options, "drop": ["tail"]})


class Recorded:
    """Repeats what a policy did, and keeps it."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seen, self.done = inner, [], []
        self.begin, self.restart, self.keep = inner.begin, inner.restart, inner.keep

    def act(self, observations: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        actions = self.inner.act(observations, rewards)
        self.seen.append(observations.copy())
        self.done.append(actions.copy())
        return actions


@pytest.mark.parametrize(
    ("pattern", "window", "env", "options"),
    [
        ("S", 0, "Pendulum-v1", {}),
        ("M", 0, "Pendulum-v1", {}),
        ("A", 8, "Pendulum-v1", {}),
        ("A", 0, "Pendulum-v1", {}),
        ("S", 0, "Pendulum-v1", {"intended": True}),
        ("A", 8, "Pendulum-v1", {"intended": True, "read_actions": False, "past": 2}),
        ("A", 0, "CartPole-v1", {"read_actions": False}),
    ],
)
def test_a_row_acts_as_the_model_does_on_the_whole_episode(
    tmp_path: Path, pattern: str, window: int, env: str, options: dict
) -> None:
    """Carried state in rows that begin and leave at their own times equals one pass over the episode."""
    _, tokenizer = prepared(tmp_path, "robots_continuous", env, **options)
    engine = untrained(tokenizer, pattern, window=window, context=64)
    steps = 8 if env == "CartPole-v1" else 20  # before the pole has fallen
    starts = [(Where(env), [1, 2]), (Where(env), [3])]
    policy = Recorded(ModelPolicy(engine.model, tokenizer))
    run(policy, starts, max_steps=steps)
    seen = np.stack([one[0] for one in policy.seen[:steps]])
    done = np.stack([one[0] for one in policy.done[:steps]])
    episode = Episode("x", seen, done, np.zeros(steps), action_space=tokenizer.action_space)
    said = predictions(engine, tokenizer, tokenizer.encode(episode))
    assert np.allclose(said.expected, done, atol=1e-4)
    second = np.stack([one[0] for one in policy.done[steps : 2 * steps]])
    again = Recorded(ModelPolicy(engine.model, tokenizer))
    run(again, [(Where(env), [2])], max_steps=steps)
    assert np.allclose(np.stack([one[0] for one in again.done]), second, atol=1e-4)


@pytest.mark.parametrize("kind", ["robots_continuous", "robots_components"])
def test_cpp_and_torch_act_alike(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tokenizer = prepared(tmp_path, kind, "Pendulum-v1")
    engine = untrained(tokenizer, "S")
    starts = [(Where("Pendulum-v1"), [1, 2]), (Where("Pendulum-v1"), [3])]
    totals = []
    for native in (True, False):
        if not native:
            monkeypatch.setattr("domains.robots.evaluation.carried.can_advance", lambda model: False)
        runs = run(model_policy(engine, tokenizer, EvaluationConfig(), {}), starts, max_steps=15)
        totals.append([o.total for o in runs.outcomes])
    assert np.allclose(totals[0], totals[1], rtol=1e-3)


def test_a_point_estimate_is_no_density(tmp_path: Path) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous", "Pendulum-v1")
    config = ModelConfig(pattern="S", layers=1, width=32, context=16)
    for readouts, nats in (({}, {"action", "observation"}), ({"action": "mse"}, {"observation"})):
        engine = Engine(SequenceModel(tokenizer.spec, config, readouts), device="cpu", threads=1)
        assert set(measure(engine, store, tokenizer, "test", 1).nats) == nats


def test_roll_outs_are_a_function_of_their_seeds() -> None:
    starts = [(CARTPOLE, [5, 6, 7]), (CARTPOLE, [8])]
    one, other = (run(Expert(), starts, max_steps=50) for _ in range(2))
    assert [o.total for o in one.outcomes] == [o.total for o in other.outcomes] == [50.0] * 4
    assert [o.seed for o in one.outcomes] == [5, 6, 7, 8]
    assert one.actions == 200


def test_attention_reads_the_last_half_of_its_context_anew(tmp_path: Path) -> None:
    """Beyond the context an episode is acted in without end, and rows do not disturb each other."""
    _, tokenizer = prepared(tmp_path, "robots_continuous", "Pendulum-v1")
    engine = untrained(tokenizer, "A", context=8)
    where = Where("Pendulum-v1")
    alone = run(ModelPolicy(engine.model, tokenizer), [(where, [1])], max_steps=30)
    beside = run(ModelPolicy(engine.model, tokenizer), [(where, [2, 4]), (where, [1])], max_steps=30)
    assert beside.outcomes[2].total == pytest.approx(alone.outcomes[0].total, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": -1}, "evaluation.episodes: got -1"),
        ({"baselines": ["rndom"]}, "did you mean 'random'"),
        ({"episode": 3}, "unknown key 'episode'; did you mean 'episodes'"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options: dict, message: str) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous")
    with pytest.raises(ConfigError, match=message):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path, **options)


def test_a_model_of_the_world_reads_what_it_made_itself(tmp_path: Path) -> None:
    """The first made observation is that of one pass over what was recorded."""
    store, tokenizer = prepared(tmp_path, "robots_continuous", "Pendulum-v1")
    engine = untrained(tokenizer, "S", context=64)
    one = tokenizer.decode(store[0])
    made = _continued(engine, tokenizer, [one], one.observations[None, : CONTEXT + 1], one.actions[None, :CONTEXT])
    said = predictions(engine, tokenizer, store[0])
    assert np.allclose(made[0, 0], said.foreseen[CONTEXT], atol=1e-4)
    found = imagine(engine, tokenizer, [one])
    assert set(found) == set(AHEAD)
    assert all(totals.mean > 0 for by_model in found.values() for totals in by_model.values())


def test_a_film_without_a_display_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, tokenizer = prepared(tmp_path, "robots_continuous")

    def blind(self: Any) -> None:
        raise ConfigError("CartPole-v1 cannot be drawn here")

    monkeypatch.setattr("domains.robots.source.environments.Room.picture", blind)
    with pytest.raises(ConfigError, match="cannot be drawn here"):
        evaluate(untrained(tokenizer), store, tokenizer, out=tmp_path / "out", film=True, **QUICK)
    assert not (tmp_path / "out").exists()
