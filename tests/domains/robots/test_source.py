"""Demonstrations made here and files of one's own: counted, seeded, refused with reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError, InputError, RecordError
from core.rejects import Reject
from domains.robots.source import Episode, open_source, write_samples
from domains.robots.source.environments import Room, Where
from domains.robots.source.experts import CHEETAH, CLASSIC, noisy, random_action
from domains.robots.source.made import CHUNK, chunks_of, make_all
from domains.robots.source.spaces import Space, box, choice
from domains.robots.tokenizer import ContinuousTokenizer
from tests.domains.robots.conftest import episode


def made(**options: Any) -> list[Episode]:
    return list(open_source("classic", episodes=6, max_steps=30, reference_episodes=0, **options))


@pytest.mark.parametrize("env", [env for env in CLASSIC if env != CHEETAH])
def test_experts_act_in_their_environments(env: str) -> None:
    if env.startswith("Lunar"):
        pytest.importorskip("Box2D")
    episodes = made(env=env)
    assert [e.seed for e in episodes] == list(range(6))
    assert [e.noise for e in episodes] == [0.0, 0.1, 0.3] * 2
    for one in episodes:
        assert len(one.observations) == len(one.actions) + 1 == len(one.rewards) + 1
        assert one.action_space.outside(one.actions) is None


def test_cartpole_is_balanced_for_ever_without_noise() -> None:
    (one,) = open_source("classic", episodes=1, noise=[0.0], first_seed=7, reference_episodes=0)
    assert one.total == 500
    assert one.truncated and not one.terminated  # noqa: PT018


def test_the_same_again_is_the_same_and_other_seeds_are_others() -> None:
    one, again, other = made(), made(), made(first_seed=100)
    assert all(np.array_equal(a.observations, b.observations) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0].observations[0], other[0].observations[0])


def test_processes_make_what_this_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(Where("CartPole-v1"), 0, (0.0, 0.3), CHUNK + 2, max_steps=20)
    alone = [e for part in make_all(chunks, 1) for e in part]
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "other"))
    assert chunks[0].read() is None
    beside = [e for part in make_all(chunks, 2) for e in part]
    assert len(beside) == CHUNK + 2
    for a, b in zip(alone, beside, strict=True):
        assert a.id == b.id
        assert np.array_equal(a.actions, b.actions)


def test_a_damaged_chunk_of_the_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    (chunk,) = chunks_of(Where("CartPole-v1"), 0, (0.0,), 2, max_steps=10)
    first = chunk.make()
    chunk.path.write_bytes(chunk.path.read_bytes()[:100])
    assert chunk.read() is None
    again = next(iter(make_all([chunk], 1)))
    assert np.array_equal(first[0].observations, again[0].observations)


def test_what_is_stored_says_spaces_versions_and_scores() -> None:
    source = open_source("classic", episodes=3, max_steps=30, reference_episodes=4)
    list(source)
    facts = source.provenance
    assert facts["env_id"] == "CartPole-v1"
    assert Space.from_config(facts["action_space"]).discrete
    assert facts["scores"]["CartPole-v1"]["expert_return"] == 30
    assert facts["scores"]["CartPole-v1"]["random_return"] < 30
    assert "gymnasium" in facts["versions"]
    json.dumps(facts)


def test_half_of_the_episodes_have_no_actions_like_motion_capture() -> None:
    episodes = list(open_source("mocap_like", episodes=40, max_steps=5, reference_episodes=0))
    hidden = [np.isnan(e.actions).all() for e in episodes]
    assert 10 < sum(hidden) < 30
    assert all(np.isfinite(e.actions).all() for e, gone in zip(episodes, hidden, strict=True) if not gone)


def test_noise_stays_in_the_space_and_grows() -> None:
    space = Space((*box(2, low=-1, high=1).parts, *choice(4, "gear").parts))
    rng = np.random.default_rng(0)
    action = np.array([0.9, -0.9, 2.0])
    assert np.array_equal(noisy(action, space, 0.0, rng), action)
    moved = np.stack([noisy(action, space, 0.3, rng) for _ in range(400)])
    assert space.outside(moved) is None
    assert np.abs(moved[:, :2] - action[:2]).mean() > 0.1
    assert (moved[:, 2] != 2).mean() == pytest.approx(0.3 * 3 / 4, abs=0.08)
    drawn = np.stack([random_action(space, rng) for _ in range(400)])
    assert space.outside(drawn) is None
    assert np.abs(drawn.mean(0) - [0, 0, 1.5]).max() < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "clasic"}, "no data set 'clasic'; did you mean 'classic'"),
        ({"data": "classic", "env": "CartPole-v2"}, "no expert for 'CartPole-v2'; did you mean 'CartPole-v1'"),
        ({"data": "classic", "episods": 3}, "data.episods is unknown; did you mean 'episodes'"),
        ({"data": "classic", "noise": [1.5]}, "data.noise: got 1.5"),
        ({"data": "classic", "tasks": ["push-v3"]}, "data.tasks chooses among Meta-World's"),
        ({}, "give either data=NAME"),
    ],
)
def test_wrong_asking_is_explained_before_any_work(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(**options)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(ConfigError, match=r"foretell\[robots\]"):
        open_source("metaworld10")


@pytest.mark.slow
def test_metaworld_tasks_are_seeded_by_the_make_alone() -> None:
    pytest.importorskip("metaworld")
    where = Where("Meta-World/MT1", "reach-v3")
    room = Room(where)
    goals = [room.reset(seed)[-3:] for seed in (0, 1, 50, 51, 0)]
    room.close()
    assert len({tuple(goal) for goal in goals}) == 4
    assert np.array_equal(goals[0], goals[4])
    with pytest.raises(ConfigError, match="no task 'reach-v4'; did you mean 'reach-v3'"):
        open_source("metaworld10", tasks=["reach-v4"])


@pytest.mark.parametrize(
    ("observations", "actions", "rewards"), [((9, 3), (10, 2), 10), ((12, 3), (10, 2), 10), ((11, 3), (10, 2), 9)]
)
def test_steps_that_contradict_each_other_are_refused(observations: tuple, actions: tuple, rewards: int) -> None:
    with pytest.raises(InputError, match="T or T"):
        Episode("odd", np.zeros(observations), np.zeros(actions), np.zeros(rewards))


def test_samples_come_as_json_lines(tmp_path: Path) -> None:
    one = episode("s1", 5)
    one = replace(one, intended=one.actions / 2)
    hidden = Episode("s2", one.observations, np.full((5, 2), np.nan), np.full(5, np.nan))
    assert write_samples(tmp_path / "out.jsonl", [one, hidden], nats=[5.0, 10.0]) == 2
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert np.allclose(lines[0]["observations"], one.observations, atol=1e-5)
    assert lines[0]["nats_per_step"] == 1.0
    assert lines[1]["actions"][0] == [None, None]
    with open(tmp_path / "out.jsonl", "a") as file:
        file.write('{"id": "s3"}\n')
    source = open_source(path=tmp_path / "out.jsonl")
    first, second, bad = source
    assert np.allclose(first.observations, one.observations, atol=1e-5)
    assert np.allclose(first.intended, one.actions / 2, atol=1e-5)
    assert second.intended is None
    assert (first.id, first.action_space, second.id) == ("s1", None, "s2")
    assert np.isnan(second.actions).all()
    assert (bad.reason, bad.line, source.records_in) == ("not_a_sample", 3, 3)


def write_csv(path: Path, episodes: list[Episode], **changes: str) -> Path:
    lines = ["episode,obs1,obs2,obs3,obs4,act1,act2,reward,done"]
    for one in episodes:
        for step in range(len(one)):
            cells = [one.id, *map(repr, one.observations[step].tolist()), *map(repr, one.actions[step].tolist())]
            lines.append(",".join([*cells, repr(float(one.rewards[step])), str(int(step + 1 == len(one)))]))
    text = "\n".join(lines) + "\n"
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_a_csv_is_read_and_every_episode_counted(tmp_path: Path, episodes: list[Episode]) -> None:
    path = write_csv(tmp_path / "e.csv", episodes)
    source = open_source(path=path)
    found = list(source)
    assert source.records_in == len(found) == 6
    for one, truth in zip(found, episodes, strict=True):
        assert one.id == truth.id
        assert np.allclose(one.observations, truth.observations[:-1])
        assert np.allclose(one.actions, truth.actions)
        assert one.terminated


def test_bad_lines_of_a_csv_cost_their_episode_only(tmp_path: Path, episodes: list[Episode]) -> None:
    path = write_csv(tmp_path / "e.csv", episodes)
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rsplit(",", 2)[0]  # e0 has a short line
    lines.append(lines[12])  # e1 goes on at the end
    path.write_text("\n".join(lines) + "\n")
    found = list(open_source(path=path))
    reasons = {item.id: item.reason for item in found if isinstance(item, Reject)}
    assert reasons["e0"] == "ragged_line"
    assert "scattered" in reasons.values()
    assert sum(isinstance(item, Episode) for item in found) == 5


def test_an_action_outside_a_named_environments_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    rows = "\n".join(f"a,0.1,0.2,0.3,0.4,{a},1,0" for a in (0, 1, 2))
    path.write_text(f"episode,obs1,obs2,obs3,obs4,act,reward,done\n{rows}\n")
    (one,) = open_source(path=path, env="CartPole-v1")
    with pytest.raises(RecordError, match=r"at step 2 the action choice = 2, outside 0\.\.1"):
        ContinuousTokenizer().canonical(one)


def test_what_holds_no_episodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="of no kind that holds episodes"):
        open_source(path=tmp_path / "a.txt")
    with pytest.raises(InputError, match="there is no file"):
        open_source(path=tmp_path / "none.hdf5")


def test_what_the_expert_intended_stands_beside_what_noise_made_of_it() -> None:
    """Noise is put on what is done alone: what was intended is the expert's answer to what was seen."""
    for env in ("CartPole-v1", "Pendulum-v1"):
        (quiet, noise), space = (
            list(open_source("classic", env=env, episodes=2, noise=[0.0, 0.5], max_steps=30, reference_episodes=0)),
            Room(Where(env)).spaces[1],
        )
        assert np.array_equal(quiet.intended, quiet.actions)
        assert not np.array_equal(noise.intended, noise.actions)
        for one in (quiet, noise):
            expected = [space.clipped(CLASSIC[env].start()(seen)) for seen in one.observations[: len(one)]]
            assert np.allclose(one.intended, expected)
            assert np.array_equal(one.part(3, 7).intended, one.intended[3:7])


def test_demonstrations_keep_what_was_intended() -> None:
    (one,) = open_source("classic", episodes=1, demonstrations=1, max_steps=10, reference_episodes=0)
    assert one.prompt == 11
    assert np.isnan(one.intended[10]).all()
    assert np.array_equal(np.isnan(one.intended), np.isnan(one.actions))
    hidden = open_source("mocap_like", episodes=8, max_steps=5, reference_episodes=0)
    assert all(e.intended is None for e in hidden if np.isnan(e.actions).all())
