"""HalfCheetah's gait: searched once, the same again, better than chance, and demonstrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from domains.robots.source import gait, open_source
from domains.robots.source.environments import Room, Where
from domains.robots.source.experts import CHEETAH
from domains.robots.source.made import chunks_of

pytest.importorskip("mujoco")
SHORT = ((4, 30, 1), (2, 30, 2))
SIZE = (gait.PERIOD + 2) * gait.JOINTS


def test_a_search_finds_what_runs_and_finds_it_again() -> None:
    room = Room(Where(CHEETAH))
    found, again = (gait.searched(room, SHORT, finals=1) for _ in range(2))
    np.testing.assert_array_equal(found, again)
    standing, running = (
        np.mean([gait.distance(room, x, s, 30) for s in range(90, 94)]) for x in (np.zeros(SIZE), found)
    )
    assert running > standing + 2
    room.close()


def test_what_corrects_it_is_the_trunk() -> None:
    room = Room(Where(CHEETAH))
    room.reset(3)
    seen = room.step(np.full(gait.JOINTS, 0.5))[0]
    assert room.env is not None
    state = room.env.unwrapped.data
    assert (seen[gait.LEAN], seen[gait.TURN]) == (state.qpos[2], state.qvel[2])  # rooty
    room.close()


def test_a_gait_counts_its_own_steps() -> None:
    numbers = np.zeros(SIZE)
    numbers[: gait.JOINTS] = 1.0  # the first torque of every cycle
    act, seen = gait.Gait(numbers), np.zeros(17)
    assert [float(act(seen)[0]) for _ in range(gait.PERIOD + 1)] == [1.0, *[0.0] * (gait.PERIOD - 1), 1.0]
    numbers[gait.PERIOD * gait.JOINTS :] = 10.0
    seen[gait.LEAN] = -1.0
    assert gait.Gait(numbers)(seen).tolist() == [-1.0] * gait.JOINTS  # within what the joints take


def test_demonstrations_are_made_and_the_gait_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    monkeypatch.setattr(gait, "STAGES", ((1, 5, 1),))
    monkeypatch.setattr(gait, "LASTS", 5)
    gait._numbers.cache_clear()
    options = {"episodes": 3, "max_steps": 12, "reference_episodes": 0}
    made = list(open_source("halfcheetah_cem", **options))
    assert [one.observations.shape for one in made] == [(13, 17)] * 3
    assert [one.noise for one in made] == [0.0, 0.1, 0.3]
    assert made[0].expert == "gait of the cross-entropy method"
    chunk = chunks_of(Where(CHEETAH), 0, (0.0,), 1)[0]
    before = chunk.path
    with monkeypatch.context() as other:
        other.setattr(gait, "SEED", 1)
        assert chunk.path != before  # another gait makes other episodes
    gait._numbers.cache_clear()
    monkeypatch.setattr(gait, "searched", None)  # the cache has it
    np.testing.assert_array_equal(gait.running().cycle, gait.running().cycle)
    gait._numbers.cache_clear()


def test_another_environment_contradicts_the_name() -> None:
    with pytest.raises(ConfigError, match="contradict each other"):
        open_source("halfcheetah_cem", env="Pendulum-v1")
