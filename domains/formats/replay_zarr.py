"""Replay buffers in Zarr, as diffusion policy keeps them: `data/*` with all steps end to end, `meta/episode_ends`.

Arrays called `action` are actions, `reward` rewards; every other one with numbers is an observation. Both Zarr
formats 2 and 3 are read; object arrays and pickled codecs are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.rejects import Reject
from domains.formats.episodes import FileFacts, RawEpisode, ends_checked, lengths_agree, only

ACTIONS, REWARDS = ("action", "actions"), ("reward", "rewards")
PICTURE = 3
"""Axes from which on an array is pictures, which are not read."""


class ReplayZarr:
    """The episodes of one replay buffer.

    Args:
        keys: which arrays below data/ are observations, in this order; none: all that are not pictures.

    Raises InputError where it is damaged, or its ends of episodes do not increase or do not fit the arrays.
    """

    def __init__(self, path: Path, keys: tuple[str, ...] = ()) -> None:
        import zarr

        self.path = path
        self.records_in = self.bytes_read = 0
        self.facts = FileFacts()
        try:
            group: Any = zarr.open_group(str(path), mode="r")
            data, ends = group["data"], group["meta/episode_ends"][:]
            arrays = {str(name): array for name, array in sorted(data.arrays(), key=lambda pair: str(pair[0]))}
        except (KeyError, OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} is no replay buffer with data/ and meta/episode_ends: {error}") from error
        action = next((name for name in ACTIONS if name in arrays), None)
        if action is None:
            raise InputError(f"{path} has no data/action", hint=f"It has: {', '.join(arrays) or 'nothing'}.")
        odd = [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]
        if odd:
            raise InputError(f"{path}: data/{odd[0]} is of type {arrays[odd[0]].dtype}, expected numbers")
        steps = lengths_agree(arrays, str(path))
        self.ends = ends_checked(ends, steps, str(path))
        reward = next((name for name in REWARDS if name in arrays), None)
        rest = {n: a for n, a in arrays.items() if n not in (action, reward) and a.ndim <= PICTURE - 1}
        self._observations = only(rest, keys, str(path))
        if not self._observations:
            raise InputError(f"{path} has no observation that is numbers and no picture")
        self._action, self._reward = arrays[action], arrays[reward] if reward else None

    def __iter__(self) -> Iterator[RawEpisode | Reject]:
        self.records_in = self.bytes_read = 0
        start = 0
        for index, end in enumerate(self.ends.tolist()):
            part = slice(start, end)
            seen = {name: np.asarray(array[part]) for name, array in self._observations.items()}
            self.records_in += 1
            self.bytes_read += sum(a.nbytes for a in seen.values())
            yield RawEpisode(
                f"{self.path.stem}/{index}",
                seen,
                {"": np.asarray(self._action[part])},
                None if self._reward is None else np.asarray(self._reward[part], np.float64).reshape(-1),
                truncated=True,
                place=(str(self.path), None, start),
            )
            start = end
