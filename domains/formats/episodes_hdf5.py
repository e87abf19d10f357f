"""Episodes in HDF5: Minari's groups `episode_0`, `episode_1` ... and D4RL's flat arrays with terminals and timeouts.

Minari (data/main_data.hdf5) keeps T + 1 observations for T actions and may nest spaces in groups; D4RL keeps T of
each, and the observation after the last action is not there. Needs h5py, imported when a file is opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.episodes import Arrays, FileFacts, RawEpisode, lengths_agree, only

_GROUP = re.compile(r"episode_(\d+)$")
_ENV_ID = re.compile(r'"id":\s*"([^"]+)"')


class EpisodesHdf5:
    """The episodes of one HDF5 file.

    Args:
        keys: which arrays of observations are read, where there are several; none: all.

    Raises ConfigError where h5py is missing, InputError for a file that is damaged or of neither layout.
    """

    def __init__(self, path: Path, keys: tuple[str, ...] = ()) -> None:
        self.path, self._keys = path, keys
        self.records_in = self.bytes_read = 0
        with _opened(path) as file:
            names = [name for name in file if _GROUP.match(name)]
            self._groups = sorted(names, key=lambda name: int(name.rpartition("_")[2]))
            if not self._groups and not {"observations", "actions"} <= set(file):
                raise InputError(
                    f"{path} is HDF5, but neither Minari's (groups episode_0 ...) nor D4RL's (observations, actions)",
                    hint=f"It holds: {', '.join(list(file)[:10]) or 'nothing'}.",
                )
            self.facts = self._facts(file)

    def __iter__(self) -> Iterator[RawEpisode | Reject]:
        self.records_in = self.bytes_read = 0
        with _opened(self.path) as file:
            yield from self._minari(file) if self._groups else self._flat(file)

    def _facts(self, file: Any) -> FileFacts:
        attributes = dict(file.attrs)
        spec = str(attributes.get("env_spec", ""))
        beside = self.path.with_name("metadata.json")
        more: dict[str, Any] = {}
        if beside.is_file():
            try:
                more = json.loads(beside.read_text("utf-8"))
            except ValueError as error:
                raise InputError(f"{beside} is no JSON: {error}") from error
            spec = spec or str(more.get("env_spec", ""))
        found = _ENV_ID.search(spec)
        return FileFacts(found.group(1) if found else "", more={key: str(value) for key, value in more.items()})

    def _minari(self, file: Any) -> Iterator[RawEpisode | Reject]:
        for index, name in enumerate(self._groups):
            self.records_in += 1
            where = f"{self.path}, {name}"
            try:
                group = file[name]
                observations = only(_arrays(group["observations"]), self._keys, where)
                actions = _arrays(group["actions"])
                rewards = np.asarray(group["rewards"][()], np.float64) if "rewards" in group else None
                terminated, truncated = (_any(group, key) for key in ("terminations", "truncations"))
                lengths_agree(observations, where)
                lengths_agree(actions, where)
            except (KeyError, OSError, InputError, ValueError) as error:
                reason = "missing_array" if isinstance(error, KeyError) else "unreadable"
                yield Reject(str(self.path), index, name, None, None, reason, f"{name}: {error}")
                continue
            self.bytes_read += sum(a.nbytes for a in (*observations.values(), *actions.values()))
            seed = str(group.attrs.get("seed", -1))
            number = int(seed) if seed.isdigit() else -1
            yield RawEpisode(
                f"{self.path.stem}/{name}" if self.path.stem != "main_data" else name,
                observations,
                actions,
                rewards,
                terminated,
                truncated,
                number,
                place=(str(self.path), None, None),
            )

    def _flat(self, file: Any) -> Iterator[RawEpisode | Reject]:
        where = str(self.path)
        observations = only(_arrays(file["observations"]), self._keys, where)
        actions = _arrays(file["actions"])
        rewards = np.asarray(file["rewards"][()], np.float64) if "rewards" in file else None
        following = _arrays(file["next_observations"]) if "next_observations" in file else None
        terminals = _flags(file, ("terminals", "dones"), len(next(iter(actions.values()))))
        timeouts = _flags(file, ("timeouts",), len(terminals))
        checked = {**{f"observations {n}": a for n, a in observations.items()}, "terminals": terminals}
        checked |= {f"actions {n}": a for n, a in actions.items()} | ({} if rewards is None else {"rewards": rewards})
        steps = lengths_agree({**checked, "timeouts": timeouts}, where)
        ends = np.flatnonzero(terminals | timeouts) + 1
        if not len(ends) or ends[-1] < steps:
            ends = np.append(ends, steps)
        start = 0
        for index, end in enumerate(ends.tolist()):
            part = slice(start, end)
            seen = {name: array[part] for name, array in observations.items()}
            if following is not None:
                seen = {name: np.concatenate([a, following[name][end - 1 : end]]) for name, a in seen.items()}
            self.records_in += 1
            self.bytes_read += sum(a.nbytes for a in seen.values())
            yield RawEpisode(
                f"{self.path.stem}/{index}",
                seen,
                {name: array[part] for name, array in actions.items()},
                None if rewards is None else rewards[part],
                bool(terminals[end - 1]),
                not bool(terminals[end - 1]),
                place=(str(self.path), None, None),
            )
            start = end


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{path} is HDF5, which needs h5py: {error}", hint="Install it with pip install 'foretell[robots]'."
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be read as HDF5: {error}", hint="Is the file whole?") from error


def _arrays(node: Any) -> Arrays:
    """The arrays of a dataset or of a group of them, nested names with dots, in stored order."""
    if hasattr(node, "shape"):
        return {"": np.asarray(node[()])}
    found: dict[str, Any] = {}
    for key in node:
        inner = _arrays(node[key])
        found |= {f"{key}.{name}" if name else str(key): array for name, array in inner.items()}
    return found


def _any(group: Any, key: str) -> bool:
    return bool(np.asarray(group[key][()]).any()) if key in group else False


def _flags(file: Any, names: tuple[str, ...], length: int) -> Any:
    for name in names:
        if name in file:
            return np.asarray(file[name][()]).reshape(-1).astype(bool)
    return np.zeros(length, bool)
