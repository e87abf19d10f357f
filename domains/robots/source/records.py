"""Episodes as counted ingestion wants them: a `core.ingest.RecordSource` over demonstrations made here, or files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.order import rng
from core.rejects import Reject
from domains.robots.source.config import SourceConfig
from domains.robots.source.environments import METAWORLD, Room, Where, versions
from domains.robots.source.episode import Episode, prompted
from domains.robots.source.experts import CHEETAH, CLASSIC, classic
from domains.robots.source.made import RANDOM, Chunk, check_metaworld, chunks_of, expert_name, make_all, workers_for
from domains.robots.source.metaworld_tasks import MT10, all_tasks
from domains.robots.source.spaces import Values

DATASETS: dict[str, str] = {
    "classic": "CartPole (data.env= Pendulum-v1, MountainCarContinuous-v0, LunarLander-v3), experts of our own",
    "mocap_like": "the same with half of the episodes without their actions, as motion capture has them",
    "metaworld10": "Meta-World's ten tasks of MT10, its scripted policies, 20 demonstrations each",
    "metaworld50": "all fifty tasks of Meta-World",
    "halfcheetah_cem": "HalfCheetah running by a gait of the cross-entropy method, searched once for a minute",
}
USUAL_ENV = "CartPole-v1"
_MIX = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint64)
"""Odd multipliers of a hash (xxHash's primes), one a column in turn."""
_SIDES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> RobotSource:
    """A source of Episodes: demonstrations by name, or files of one's own.

    Args:
        data: a name of DATASETS, or one of the environments that have an expert here.
        path: HDF5 (Minari, D4RL), LeRobot folders, replay Zarr or CSV: files, folders or patterns, one or several.
        options: the fields of SourceConfig.

    Raises:
        ConfigError: neither or both are given, an unknown name (the nearest is shown), an option that is not known, a
            package that is missing (the extra is named).
        InputError: no such file, or a file of an unknown kind.
    """
    config = SourceConfig.from_options(options)
    if (data is None) == (path is None):
        raise ConfigError("give either data=NAME or data.path=FILES", hint=f"Names: {', '.join(DATASETS)}.")
    if path is not None:
        from domains.robots.source.files import FileSource

        return FileSource(path, config)
    assert data is not None
    return MadeSource(data, config, options)


class RobotSource:
    """What the sources share: letters for the leakage score, groups, splits, labels."""

    suggested_split: Mapping[str, Any] = {"rule": "random", "validation": 0.1, "test": 0.1}
    provenance: Mapping[str, Any]
    total_bytes: int | None = None

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        self.records_in = 0
        self.bytes_read = 0
        self.notes: dict[str, int] = {}

    def __iter__(self) -> Iterator[Episode | Reject]:
        raise NotImplementedError

    def name(self, record: Episode) -> str:
        return record.id

    def letters(self, record: Episode) -> NDArray[np.uint8]:
        """(T,) one byte a step: a hash of what was seen and done, so that copied stretches are found as copied text."""
        steps = np.concatenate([record.observations[: len(record)], record.actions], axis=1)
        bits = np.ascontiguousarray(steps, np.float32).view(np.uint32).astype(np.uint64)
        mixed = np.zeros(len(bits), np.uint64)
        for column in range(bits.shape[1]):
            mixed = (mixed ^ bits[:, column]) * _MIX[column % len(_MIX)]
            mixed ^= mixed >> np.uint64(29)
        return (mixed >> np.uint64(17)).astype(np.uint8)

    def values(self, record: Episode) -> Values:
        """(T, O + A): what the report tells the ranges of."""
        return np.concatenate([record.observations[: len(record)], record.actions], axis=1)

    def piece(self, record: Episode, start: int, stop: int) -> Episode:
        return record.part(start, stop)

    def group(self, record: Episode) -> str | None:
        """Episodes that start from one seed never stand on two sides of a split."""
        return f"{record.env_id}/{record.task}/{record.seed}" if record.seed >= 0 else None

    def stamp(self, record: Episode) -> None:
        return None

    def split(self, record: Episode) -> str | None:
        return None if record.split is None else _SIDES.get(record.split, record.split)

    def labels(self, record: Episode) -> dict[str, Any]:
        return record.labels()

    def place(self, record: Episode) -> tuple[str, int | None, int | None]:
        return record.place


class MadeSource(RobotSource):
    """Demonstrations of one environment, or of the tasks of Meta-World."""

    def __init__(self, name: str, config: SourceConfig, given: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._name = name
        self.wheres = _wheres(name, config)
        meta = self.wheres[0].is_metaworld
        self._noise = (0.0,) if meta and "noise" not in given else config.noise
        self._episodes = config.episodes or (20 if meta else 60)
        tasks = [where.task for where in self.wheres]
        for task in config.held_out:
            if task not in tasks:
                raise ConfigError(
                    f"data.held_out: '{task}' is none of the tasks that are made{nearest(task, tasks)}",
                    hint=f"They are {', '.join(filter(None, tasks)) or 'without names'}.",
                )
        if config.held_out and set(config.held_out) >= set(tasks):
            raise ConfigError("data.held_out: no task is left to train on")
        if config.held_out:
            self.suggested_split = {"rule": "given"}
        self._hidden = config.without_actions or (0.5 if name == "mocap_like" else 0.0)
        self._settings = {
            "max_steps": config.max_steps,
            "after_success": config.after_success if meta else 0,
        }
        Room(self.wheres[0]).close()  # what is missing is said before any work

    def __iter__(self) -> Iterator[Episode | Reject]:
        self.records_in = self.bytes_read = 0
        chunks = [
            chunk
            for where in self.wheres
            for chunk in chunks_of(where, self.config.first_seed, self._noise, self._made, **self._settings)
        ]
        waiting: list[Episode] = []
        for episodes in make_all(chunks, workers_for(chunks, self.config.workers)):
            for episode in episodes:
                self.bytes_read += episode.observations.nbytes + episode.actions.nbytes
                if waiting and waiting[0].task != episode.task:
                    waiting.clear()
                waiting.append(episode)
                if len(waiting) > self.config.demonstrations:
                    self.records_in += 1
                    *demonstrations, query = waiting
                    yield self._sided(
                        prompted(self._seen(query), demonstrations) if demonstrations else self._seen(query)
                    )
                    waiting.clear()

    @property
    def _made(self) -> int:
        """Episodes of a task: each record has demonstrations of its own, so that none stands on two sides."""
        return self._episodes * (1 + self.config.demonstrations)

    def _sided(self, episode: Episode) -> Episode:
        """With its side of the split, where tasks are held out."""
        if not self.config.held_out:
            return episode
        if episode.task in self.config.held_out:
            return replace(episode, split="test")
        few = rng("robots-validation", episode.id).random() < 0.1
        return replace(episode, split="validation" if few else "train")

    def _seen(self, episode: Episode) -> Episode:
        """Without its actions where they are hidden."""
        if rng("robots-hidden", episode.id).random() >= self._hidden:
            return episode
        return replace(episode, actions=np.full_like(episode.actions, np.nan), intended=None)

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Environments, experts, spaces, versions and measured scores."""
        room = Room(self.wheres[0])
        observed, acting = room.spaces
        facts = {
            "name": self._name if self._name not in ("classic", "mocap_like") else _short(self.wheres[0].env_id),
            "what": f"demonstrations of {expert_name(self.wheres[0])} in {_listed(self.wheres)}",
            "where": "made here",
            "licence": "environments: MIT (gymnasium, Meta-World); episodes: made here",
            "citation": "Towers et al. 2024, arXiv 2407.17032"
            + ("; Yu et al. 2019, arXiv 1910.10897; McLean et al. 2025" if self.wheres[0].is_metaworld else ""),
            "env_id": self.wheres[0].env_id,
            "tasks": [where.task for where in self.wheres if where.task],
            "options": dict(self.wheres[0].options),
            "observation_space": observed.to_config(),
            "action_space": acting.to_config(),
            "noise": list(self._noise),
            "seeds": [self.config.first_seed, self.config.first_seed + self._made],
            "max_steps": self.config.max_steps or room.limit,
            "versions": versions(self.wheres[0]),
            "scores": self._scores(),
        }
        room.close()
        return facts

    def _scores(self) -> dict[str, dict[str, float]]:
        """Measured returns of random actions and of the expert without noise, by environment or task."""
        meta = self.wheres[0].is_metaworld
        wanted = self.config.reference_episodes
        episodes = (0 if meta else 100) if wanted < 0 else wanted
        if not episodes:
            return {}
        found: dict[str, dict[str, float]] = {}
        first = self.config.first_seed + self._made
        for where in self.wheres:
            row: dict[str, float] = {"episodes": float(episodes)}
            for who in (RANDOM, "expert"):
                chunks: list[Chunk] = chunks_of(
                    where, first, (0.0,), episodes, expert=who, max_steps=self.config.max_steps
                )
                made = [e for part in make_all(chunks, workers_for(chunks, self.config.workers)) for e in part]
                row[f"{who}_return"] = float(np.mean([e.total for e in made]))
                success = np.array([e.success for e in made])
                if np.isfinite(success).any():
                    row[f"{who}_success"] = float(np.nanmean(success))
            found[str(where)] = row
        return found


def _wheres(name: str, config: SourceConfig) -> list[Where]:
    if name in ("metaworld10", "metaworld50"):
        tasks = config.tasks or (MT10 if name == "metaworld10" else tuple(all_tasks()))
        check_metaworld(tasks)
        return [Where(METAWORLD, task) for task in tasks]
    if config.tasks:
        raise ConfigError(f"data.tasks chooses among Meta-World's tasks; data={name} has none")
    if name not in DATASETS and name not in CLASSIC:
        known = [*DATASETS, *CLASSIC]
        raise ConfigError(f"there is no data set '{name}'{nearest(name, known)}", hint=f"Known: {', '.join(known)}.")
    named = CHEETAH if name == "halfcheetah_cem" else name
    if named in CLASSIC and config.env not in ("", named):
        raise ConfigError(f"data={name} and data.env={config.env} contradict each other")
    found = classic(named if named in CLASSIC else config.env or USUAL_ENV)
    return [Where(found.env_id, "", found.options)]


def _short(env_id: str) -> str:
    return env_id.rsplit("-v", 1)[0].lower()


def _listed(wheres: list[Where]) -> str:
    names = [str(where) for where in wheres]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} tasks of {wheres[0].env_id}"
