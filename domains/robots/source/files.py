"""Episodes of one's own: which reader a path wants, and its arrays as Episodes of the domain.

What an array of a format means for a space is decided here: groups of observations are flattened side by side in stored
order, choices are taken from the environment where it is named, and everything else is numbers without bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, RecordError
from core.rejects import Reject
from domains.formats.episodes import EpisodeReader, RawEpisode
from domains.formats.find_files import find_files
from domains.robots.source.config import SourceConfig
from domains.robots.source.environments import Room, Where
from domains.robots.source.episode import Episode
from domains.robots.source.records import RobotSource
from domains.robots.source.samples import SampleFile
from domains.robots.source.spaces import Space, Values, box, choice

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "hdf5": (".hdf5", ".h5"),
    "csv": (".csv", ".tsv"),
    "samples": (".jsonl",),
}


class FileSource(RobotSource):
    """Episodes of files, folders and Zarr groups.

    Raises InputError where nothing is found or a file cannot be read, ConfigError for an environment that is unknown or
    a package that is missing.
    """

    def __init__(self, path: Iterable[Path | str] | Path | str, config: SourceConfig) -> None:
        super().__init__(config)
        given = [path] if isinstance(path, Path | str) else list(path)
        self._readers = [reader for one in given for reader in _readers(Path(one).expanduser(), config)]
        self._env_id = config.env or next((r.facts.env_id for r in self._readers if r.facts.env_id), "")
        self._spaces: tuple[Space, Space] | None = None
        self._widths: tuple[int, ...] = ()
        if config.env:  # asked for, so it must be there; one that a file names may be missing
            room = Room(Where(config.env))
            self._spaces = room.spaces
            room.close()
        self.total_bytes = sum(_size(reader.path) for reader in self._readers)

    def __iter__(self) -> Iterator[Episode | Reject]:
        self.records_in = self.bytes_read = 0
        for reader in self._readers:
            counted, read = self.records_in, self.bytes_read
            for item in reader:
                self.records_in, self.bytes_read = counted + reader.records_in, read + reader.bytes_read
                if isinstance(item, Reject):
                    yield item
                    continue
                try:
                    yield item if isinstance(item, Episode) else self._episode(item)
                except (InputError, ValueError) as error:
                    reason = error.reason if isinstance(error, RecordError) else "shape"
                    file, line, offset = item.place
                    yield Reject(file, self.records_in - 1, item.id, line, offset, reason, str(error))
            self.records_in = counted + reader.records_in

    def files_apart(self) -> list[Path]:
        """The files and folders, each of which can be read by itself."""
        self._all_readers = list(self._readers)
        return [reader.path for reader in self._all_readers]

    def restrict(self, start: int, stop: int) -> None:
        """From now on the episodes of these files alone; `files_apart` has been asked."""
        self._readers = self._all_readers[start:stop]

    def _episode(self, raw: RawEpisode) -> Episode:
        observations, actions = _side_by_side(raw.observations), _side_by_side(raw.actions)
        observed, acting = self._spaces or (None, None)
        self._check_widths(raw.id, observations.shape[1], actions.shape[1])
        if acting is None:
            acting = _guessed(actions) if self.config.discrete else box(actions.shape[1])
        if observed is not None and observations.shape[1] == observed.width:
            observations = observed.one_hot(observations)
        rewards = np.full(len(actions), np.nan) if raw.rewards is None else raw.rewards.reshape(-1)
        return Episode(
            raw.id,
            observations,
            actions,
            rewards,
            raw.terminated,
            raw.truncated,
            self._env_id,
            raw.task,
            raw.seed,
            "",
            0.0,
            raw.success,
            observed,
            acting,
            raw.split,
            place=raw.place,
        )

    def _check_widths(self, name: str, *widths: int) -> None:
        """Raises RecordError for an episode with other columns than its environment has, or the first one had."""
        if self._spaces is not None:
            observed, acting = self._spaces
            known, whose = [{observed.width, sum(part.size for part in observed.parts)}, {acting.width}], "environment"
        else:
            self._widths = self._widths or widths
            known, whose = [{width} for width in self._widths], "first episode"
        for what, got, allowed in zip(("observation", "action"), widths, known, strict=True):
            if got not in allowed:
                wanted = " or ".join(map(str, sorted(allowed)))
                trouble = f"episode '{name}' has {got} {what} columns, expected {wanted} as its {whose} has"
                raise RecordError("wrong_width", trouble, record=name)

    @property
    def suggested_split(self) -> Mapping[str, Any]:  # type: ignore[override]
        first = next((item for item in self if isinstance(item, Episode)), None)
        if first is not None and first.split is not None:
            return {"rule": "given"}
        return {"rule": "random", "validation": 0.1, "test": 0.1}

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {
            "what": "episodes of one's own",
            "where": [reader.path.name for reader in self._readers],
            "bytes": self.total_bytes,
            "licence": "",
            "env_id": self._env_id,
            "files": [reader.facts.more for reader in self._readers],
        }


def _readers(path: Path, config: SourceConfig) -> list[EpisodeReader | SampleFile]:
    """The reader of a data set's folder, or one for each file behind a path."""
    from domains.formats.lerobot import INFO, LeRobot
    from domains.formats.replay_zarr import ReplayZarr

    if path.is_dir() and (path / INFO).is_file():
        return [LeRobot(path, config.observation_keys)]
    if path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", "meta/episode_ends")):
        return [ReplayZarr(path, config.observation_keys)]
    return [_file_reader(one, config) for one in find_files([path], SUFFIXES, "file of episodes")]


def _file_reader(path: Path, config: SourceConfig) -> EpisodeReader | SampleFile:
    name = path.name.lower()
    if name.endswith(SUFFIXES["hdf5"]):
        from domains.formats.episodes_hdf5 import EpisodesHdf5

        return EpisodesHdf5(path, config.observation_keys)
    if name.endswith(SUFFIXES["csv"]):
        from domains.formats.episodes_csv import EpisodesCsv

        return EpisodesCsv(path, config.observation_columns, config.action_columns)
    if name.endswith(SUFFIXES["samples"]):
        return SampleFile(path)
    raise InputError(
        f"{path} is of no kind that holds episodes",
        hint="HDF5 (.hdf5, .h5), CSV, samples (.jsonl), a LeRobot folder or a replay Zarr can be read.",
    )


def _side_by_side(arrays: Mapping[str, Any]) -> Values:
    """(T, columns) of arrays (T, ...), one after the other."""
    flat = [np.asarray(a, np.float64).reshape(len(a), math.prod(np.shape(a)[1:])) for a in arrays.values()]
    return np.concatenate(flat, axis=1)


def _guessed(actions: Values) -> Space:
    """Choices counted from 0 to the largest one seen; at least two."""
    sizes = [max(2, int(np.nanmax(column)) + 1) for column in actions.T]
    parts = [choice(size, f"choice{i + 1}").parts[0] for i, size in enumerate(sizes)]
    return Space(tuple(parts))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
