"""HalfCheetah's expert: a gait found by the cross-entropy method (de Boer et al. 2005, Ann. Oper. Res. 134:19).

A gait is a cycle of torques, the same for every start, and a correction of each torque by how the trunk leans and
turns. Gaits without that correction ended on their back oftener; with it they still fall now and then. It is searched
once, for a minute, and cached.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from functools import cache
from typing import Any

import numpy as np

from core.durable import write_bytes_durably
from core.places import cache_folder
from domains.robots.source.environments import Room, Where, versions
from domains.robots.source.experts import CHEETAH
from domains.robots.source.spaces import Values

PERIOD = 9
"""Environment steps of a cycle: .45 seconds."""
JOINTS = 6
LEAN, TURN = 1, 10
"""Columns of the observation: the angle of the trunk, and its rate."""
_RATE = 0.1
"""The rate is some ten times as large as the angle."""
POPULATION, KEPT = 60, 10
"""Candidates of a round, and those that the next one is drawn around."""
STAGES = ((15, 100, 1), (13, 200, 1), (17, 400, 2))
"""Rounds, steps of a trial, trials of a candidate: first a pace, then one that lasts."""
FINALS, LASTS = 8, 1000
"""Trials of the last candidates, and their steps: some gaits fall on their back after hundreds of steps."""
SEED, FIRST_START = 0, 10**6
"""Of the search, and of the starts that it tries, which no data and no evaluation have."""
SPREAD, LEAST_SPREAD, INERTIA = 1.0, 0.05, 0.1
"""Of the normal that candidates are drawn from: at first, at least, and the share of the round before."""
_VERSION = 1

_log = logging.getLogger(__name__)


class Gait:
    """A function of the observation that counts steps: one for each episode."""

    def __init__(self, numbers: Values) -> None:
        self.cycle = numbers[: PERIOD * JOINTS].reshape(PERIOD, JOINTS)
        self.corrections = numbers[PERIOD * JOINTS :].reshape(2, JOINTS)
        self.step = 0

    def __call__(self, observation: Values) -> Values:
        """(17,) -> (6,) torques."""
        lean, turn = observation[LEAN], _RATE * observation[TURN]
        torques = self.cycle[self.step % PERIOD] + lean * self.corrections[0] + turn * self.corrections[1]
        self.step += 1
        clipped: Values = np.clip(torques, -1.0, 1.0)
        return clipped


def running() -> Gait:
    """The cached gait, from its first step; searched where there is none. Raises ConfigError without mujoco."""
    return Gait(_numbers())


def facts() -> dict[str, Any]:
    """All that a gait is a function of: what the cache knows it by, and the episodes that it makes."""
    named = (
        "PERIOD",
        "POPULATION",
        "KEPT",
        "STAGES",
        "FINALS",
        "LASTS",
        "SEED",
        "FIRST_START",
        "SPREAD",
        "LEAST_SPREAD",
    )
    known = {name: globals()[name] for name in (*named, "INERTIA", "LEAN", "TURN", "_RATE", "_VERSION")}
    return {**known, "versions": versions(Where(CHEETAH))}


@cache
def _numbers() -> Values:
    digest = hashlib.sha256(json.dumps(facts(), sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "robots" / f"gait-{digest}.npy"
    try:
        kept: Values = np.load(path, allow_pickle=False)
        return kept
    except (OSError, ValueError, EOFError):
        pass
    room = Room(Where(CHEETAH))
    _log.info(f"searching a gait for {CHEETAH}, about a minute, once")
    found = searched(room, STAGES)
    room.close()
    file = io.BytesIO()
    np.save(file, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_durably(path, file.getvalue())
    return found


def searched(room: Room, stages: tuple[tuple[int, int, int], ...], finals: int = FINALS) -> Values:
    """PERIOD * JOINTS torques, then 2 * JOINTS corrections.

    Of the last round's best candidates and their mean it is the one that runs best to the end of an episode.
    """
    drawn = np.random.default_rng(SEED)
    size = PERIOD * JOINTS + 2 * JOINTS
    mean, spread = np.zeros(size), np.full(size, SPREAD)
    begun, best = 0, mean[None]
    for rounds, steps, trials in stages:
        for number in range(begun, begun + rounds):
            tried = mean + spread * drawn.standard_normal((POPULATION, size))
            tried[0] = mean
            seeds = [FIRST_START + 3 * number + trial for trial in range(trials)]
            scores = np.array([np.mean([distance(room, one, seed, steps) for seed in seeds]) for one in tried])
            best = tried[np.argsort(-scores)[:KEPT]]
            mean = (1 - INERTIA) * best.mean(axis=0) + INERTIA * mean
            spread = np.maximum((1 - INERTIA) * best.std(axis=0) + INERTIA * spread, LEAST_SPREAD)
        begun += rounds
    last, first = [mean, *best], FIRST_START + 3 * begun
    lasting = range(first, first + finals)
    runs = [np.mean([distance(room, one, seed, LASTS) for seed in lasting]) for one in last]
    found: Values = last[int(np.argmax(runs))]
    return found


def distance(room: Room, numbers: Values, seed: int, steps: int) -> float:
    """The return of so many steps: distance, less a little for torque."""
    act, seen, total = Gait(numbers), room.reset(seed), 0.0
    for _ in range(steps):
        seen, reward, _, _, _ = room.step(act(seen))
        total += reward
    return total
