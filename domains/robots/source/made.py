"""Demonstrations that are made here: experts act in seeded environments, in several processes, chunk by chunk.

A chunk of episodes is a function of its description and of the packages' versions; the cache keeps it under a hash of
them, so a run that was stopped goes on, and a second one reads. Episodes of one task have one seed each.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.durable import write_bytes_durably
from core.errors import ConfigError, InputError
from core.order import rng
from core.places import cache_folder
from domains.robots.source.environments import GOALS, Room, Where, versions
from domains.robots.source.episode import Episode
from domains.robots.source.experts import CHEETAH, Act, classic, noisy, random_action
from domains.robots.source.spaces import Space, Values

_VERSION = 4
"""Raised when the same description would give other episodes."""
CHUNK = 20
"""Episodes of a chunk of classic control: a second or so of work."""
MUCH = 8
"""Chunks from which on processes of their own are worth their start of a second."""
RANDOM = "random"


@dataclass(frozen=True)
class Chunk:
    """Episodes that one process makes, and how."""

    where: Where
    seeds: tuple[int, ...]
    noise: tuple[float, ...]
    """One a seed."""
    expert: str = "expert"
    """`expert`, or `random` for uniform actions."""
    max_steps: int = 0
    after_success: int = 0

    @property
    def path(self) -> Path:
        """Where the cache has it."""
        facts = {**asdict(self), "versions": versions(self.where), "version": _VERSION}
        if self.where.env_id == CHEETAH and self.expert != RANDOM:
            from domains.robots.source.gait import facts as of_gait

            facts["gait"] = of_gait()
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        return cache_folder() / "robots" / f"{digest}.npz"

    def read(self) -> list[Episode] | None:
        """The episodes, or None where the cache does not have them whole."""
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as arrays:
                return list(self._episodes(dict(arrays)))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def make(self) -> list[Episode]:
        """Runs the expert and keeps what came. Raises ConfigError as `Room`."""
        room = Room(self.where)
        spaces = json.dumps([space.to_config() for space in room.spaces])
        made = [self._run(room, seed, noise) for seed, noise in zip(self.seeds, self.noise, strict=True)]
        room.close()
        arrays: dict[str, Any] = {
            "observations": np.concatenate([m["observations"] for m in made]).astype(np.float64),
            "actions": np.concatenate([m["actions"] for m in made]).astype(np.float64),
            "intended": np.concatenate([m["intended"] for m in made]).astype(np.float64),
            "rewards": np.concatenate([m["rewards"] for m in made]).astype(np.float64),
            "ends": np.cumsum([len(m["actions"]) for m in made]),
            "ended": np.array([m["ended"] for m in made], np.float64),
            "spaces": np.array(spaces),
        }
        file = io.BytesIO()
        np.savez(file, **arrays)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_durably(self.path, file.getvalue())
        return list(self._episodes(arrays))

    def _run(self, room: Room, seed: int, noise: float) -> dict[str, Any]:
        drawn = rng("robots", str(self.where), self.expert, seed)
        space = room.spaces[1]
        act = actor(self.where, self.expert, space, seed)
        observations = [room.reset(seed)]
        actions: list[Values] = []
        wanted: list[Values] = []
        rewards: list[float] = []
        solved, since, terminated, truncated = float("nan"), 0, False, False
        while not (terminated or truncated):
            intended = space.clipped(act(observations[-1]))
            action = noisy(intended, space, noise, drawn)
            observation, reward, terminated, truncated, success = room.step(action)
            observations.append(observation)
            actions.append(action)
            wanted.append(intended)
            rewards.append(reward)
            if not np.isnan(success):
                solved = max(success, 0.0 if np.isnan(solved) else solved)
            since += solved == 1.0
            truncated |= bool(self.max_steps) and len(actions) >= self.max_steps
            truncated |= bool(self.after_success) and since > self.after_success
        return {
            "observations": np.stack(observations),
            "actions": np.stack(actions),
            "intended": np.stack(wanted),
            "rewards": np.array(rewards),
            "ended": (terminated, truncated, solved),
        }

    def _episodes(self, arrays: dict[str, Any]) -> Iterator[Episode]:
        observed, acting = (Space.from_config(c) for c in json.loads(str(arrays["spaces"])))
        ends = arrays["ends"].astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        for number, (seed, noise) in enumerate(zip(self.seeds, self.noise, strict=True)):
            start, stop = int(starts[number]), int(ends[number])
            terminated, truncated, success = arrays["ended"][number]
            yield Episode(
                f"{self.where}/{seed}" if self.expert != RANDOM else f"{self.where}/random/{seed}",
                arrays["observations"][start + number : stop + number + 1],
                arrays["actions"][start:stop],
                arrays["rewards"][start:stop],
                bool(terminated),
                bool(truncated),
                self.where.env_id,
                self.where.task,
                seed,
                self.expert if self.expert == RANDOM else expert_name(self.where),
                noise,
                float(success),
                observed,
                acting,
                options=dict(self.where.options),
                intended=arrays["intended"][start:stop],
            )


def actor(where: Where, expert: str, space: Space, seed: int) -> Act:
    """A function of the observation: the environment's expert, or one that acts at random."""
    if expert == RANDOM:
        drawn = rng("robots-random", str(where), seed)
        return lambda observation: random_action(space, drawn)
    if where.is_metaworld:
        from domains.robots.source.metaworld_tasks import policy

        return policy(where.task)
    return classic(where.env_id).start()


def expert_name(where: Where) -> str:
    return "Meta-World scripted policy" if where.is_metaworld else classic(where.env_id).expert


def chunks_of(where: Where, first_seed: int, noise: tuple[float, ...], episodes: int, **settings: Any) -> list[Chunk]:
    """`episodes` of one task with seeds counted from `first_seed`, levels of noise in turn."""
    seeds = range(first_seed, first_seed + episodes)
    size = GOALS if where.is_metaworld else CHUNK
    found = []
    for start in range(0, episodes, size):
        part = tuple(seeds[start : start + size])
        levels = tuple(float(noise[(start + i) % len(noise)]) for i in range(len(part)))
        found.append(Chunk(where, part, levels, **settings))
    return found


def make_all(chunks: list[Chunk], workers: int) -> Iterator[list[Episode]]:
    """The episodes of every chunk, in order; `workers` processes first fill the cache where it lacks them.

    Raises ConfigError as `Room`, InputError where a process fails.
    """
    missing = [chunk for chunk in chunks if chunk.read() is None]
    if missing and workers > 1 and len(missing) > 1:
        Room(missing[0].where).close()  # says here, in one piece, what is wrong with the environment
        if not missing[0].where.is_metaworld and any(chunk.expert != RANDOM for chunk in missing):
            classic(missing[0].where.env_id).start()  # what is searched once is searched here
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(_in_a_process, missing))
    for chunk in chunks:
        yield chunk.read() or chunk.make()


def workers_for(chunks: list[Chunk], wanted: int) -> int:
    """Processes: as asked for, else one a core where that saves time."""
    much = len(chunks) >= MUCH or any(chunk.where.is_metaworld for chunk in chunks)
    return wanted or ((os.cpu_count() or 1) if much else 1)


def _in_a_process(chunk: Chunk) -> None:
    """Runs worker.py: a new Python, so that neither a fork of torch's threads nor the user's main module is in it."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "domains.robots.source.worker"],
        input=json.dumps(asdict(chunk)),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(
            f"demonstrations of {chunk.where} could not be made: {last[0]}",
            hint="data.workers=1 makes them in this process, where the error shows whole.",
        )


def check_metaworld(tasks: tuple[str, ...]) -> None:
    """Raises ConfigError for a task that Meta-World does not have, or where it is not installed."""
    from core.errors import nearest
    from domains.robots.source.metaworld_tasks import all_tasks

    known = all_tasks()
    for task in tasks:
        if task not in known:
            raise ConfigError(
                f"data.tasks: Meta-World has no task '{task}'{nearest(task, known)}",
                hint=f"Known: {', '.join(known)}.",
            )
