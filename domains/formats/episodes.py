"""Recorded episodes as files have them: arrays of one episode, whatever the format, and the checks that all share.

Readers yield a RawEpisode, or the Reject that stands for one, and count what their own splitter found. What an array
means (which columns, which space) the domain decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.rejects import Reject

Arrays = Mapping[str, NDArray[Any]]
"""Names to arrays, in the order in which they are stored; one array alone has the empty name."""


@dataclass(frozen=True)
class RawEpisode:
    """One episode of a file."""

    id: str
    observations: Arrays
    actions: Arrays
    rewards: NDArray[np.float64] | None = None
    terminated: bool = False
    truncated: bool = False
    seed: int = -1
    task: str = ""
    split: str | None = None
    success: float = float("nan")
    place: tuple[str, int | None, int | None] = ("", None, None)


@dataclass
class FileFacts:
    """What a file says of all its episodes."""

    env_id: str = ""
    observation_space: Any = None
    action_space: Any = None
    """A gymnasium-like description, where the format has one."""
    more: dict[str, Any] = field(default_factory=dict)


class EpisodeReader(Protocol):
    """The episodes of one file or folder."""

    path: Path
    facts: FileFacts
    records_in: int
    """How many the splitter counted in the last pass."""
    bytes_read: int

    def __iter__(self) -> Iterator[RawEpisode | Reject]: ...


def ends_checked(ends: NDArray[Any], length: int, where: str) -> NDArray[np.int64]:
    """Cumulative ends of episodes (E,), as int64.

    Raises InputError where they do not increase, begin at 0, or pass an array of `length` steps, or leave steps over.
    """
    found = np.asarray(ends)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        said = f"shape {found.shape} and type {found.dtype}"
        raise InputError(f"{where}: the ends of episodes have {said}, expected whole numbers (E,)")
    found = found.astype(np.int64)
    before = np.concatenate([[0], found[:-1]])
    if (found <= before).any():
        at = int((found <= before).argmax())
        raise InputError(
            f"{where}: the ends of episodes do not increase: end {at} is {found[at]}, the one before {before[at]}",
            hint="They are cumulative: each is the number of steps up to and with its episode.",
        )
    if found[-1] > length:
        raise InputError(f"{where}: the last episode ends at step {found[-1]:,}, the arrays have {length:,} steps")
    if found[-1] < length:
        raise InputError(
            f"{where}: the last episode ends at step {found[-1]:,}, and {length - found[-1]:,} steps belong to none",
            hint="Is the list of ends complete?",
        )
    return found


def lengths_agree(arrays: Arrays, where: str) -> int:
    """The steps that all arrays have. Raises InputError where they differ or there is none."""
    lengths = {name or "array": int(array.shape[0]) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        said = ", ".join(f"{name} {n:,}" for name, n in lengths.items()) or "there are none"
        raise InputError(f"{where}: its arrays have different numbers of steps: {said}")
    return next(iter(lengths.values()))


def only(arrays: Arrays, keys: Sequence[str], where: str) -> Arrays:
    """The arrays of these names, in this order; all where none is named. Raises InputError for one that is missing."""
    if not keys:
        return arrays
    for key in keys:
        if key not in arrays:
            raise InputError(f"{where} has no observations '{key}'", hint=f"It has: {', '.join(arrays)}.")
    return {key: arrays[key] for key in keys}
