"""Episodes in CSV: a line a step, columns by name, an `episode` column that says whose it is.

Columns called obs..., observation... or state... are the observation, act... the action; `reward`, `terminated` (or
`done`), `truncated`, `seed`, `task` and `split` are read where they are there. An episode's lines stand together.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, nearest
from core.rejects import Reject
from domains.formats.columns import read_columns
from domains.formats.episodes import FileFacts, RawEpisode
from domains.formats.text import InputFile

EPISODE = ("episode", "episode_id", "episode_index", "id")
OBSERVED, ACTED = ("obs", "observation", "state"), ("act", "action")
DONE = ("terminated", "terminal", "done")


class EpisodesCsv:
    """The episodes of one file.

    Args:
        observations, actions: which columns; none: by their names.

    Raises InputError where the columns are not there.
    """

    def __init__(self, path: Path, observations: tuple[str, ...] = (), actions: tuple[str, ...] = ()) -> None:
        self.path = path
        self.facts = FileFacts()
        self.records_in = self.bytes_read = 0
        self._observations, self._actions = observations, actions

    def __iter__(self) -> Iterator[RawEpisode | Reject]:
        self.records_in = 0
        table = read_columns(InputFile(self.path, "a table of episodes"), text=("task", "split", *EPISODE))
        self.bytes_read = self.path.stat().st_size
        frame = table.frame
        names = [str(name) for name in frame.columns]
        episode = next((name for name in EPISODE if name in names), None)
        if episode is None:
            raise InputError(f"{self.path} has no column that tells episodes apart", hint=f"Expected: {EPISODE[0]}.")
        observed = self._chosen(self._observations, OBSERVED, names, "observation")
        acted = self._chosen(self._actions, ACTED, names, "action")
        which = frame[episode].to_numpy().astype(str)
        borders = [0, *(np.flatnonzero(which[1:] != which[:-1]) + 1).tolist(), len(which)]
        cut = {episode_of(cells, names.index(episode)): line for line, cells in table.ragged}
        known: set[str] = set()
        for start, stop in pairwise(borders):
            self.records_in += 1
            name, line = which[start], table.line(start)
            part = frame.iloc[start:stop]
            if name in known:
                yield self._reject(name, line, "scattered", f"episode '{name}' goes on after others have come between")
                continue
            known.add(name)
            if name in cut:
                message = f"episode '{name}': line {cut[name]} does not have the header's number of cells"
                yield self._reject(name, cut[name], "ragged_line", message)
                continue
            try:
                numbers = {key: part[columns].to_numpy(np.float64) for key, columns in (("o", observed), ("a", acted))}
                rewards = part["reward"].to_numpy(np.float64) if "reward" in names else None
                seed = int(float(part["seed"].iloc[0])) if "seed" in names else -1
            except (ValueError, TypeError) as error:
                yield self._reject(name, line, "not_numbers", f"episode '{name}': {error}")
                continue
            done = next((key for key in DONE if key in names), None)
            ended = _flag(part, done)
            yield RawEpisode(
                name,
                {"": numbers["o"]},
                {"": numbers["a"]},
                rewards,
                ended,
                _flag(part, "truncated") if "truncated" in names else not ended,
                seed,
                str(part["task"].iloc[0]) if "task" in names else "",
                str(part["split"].iloc[0]) if "split" in names else None,
                place=(str(self.path), line, None),
            )

    def _chosen(self, given: tuple[str, ...], begins: tuple[str, ...], names: list[str], what: str) -> list[str]:
        for name in given:
            if name not in names:
                raise InputError(f"{self.path} has no column '{name}'{nearest(name, names)}")
        found = list(given) or [name for name in names if name.lower().startswith(begins)]
        if not found:
            raise InputError(
                f"{self.path} has no column of the {what}",
                hint=f"Name them with data.{what}_columns=[...]; it has: {', '.join(names)}.",
            )
        return found

    def _reject(self, name: str, line: int | None, reason: str, message: str) -> Reject:
        return Reject(str(self.path), self.records_in - 1, name, line, None, reason, message)


def episode_of(cells: list[str], at: int) -> str:
    """Whose line that is, as far as it can be told."""
    return cells[at].strip() if at < len(cells) else ""


def _flag(part: Any, name: str | None) -> bool:
    if name is None:
        return False
    last = str(part[name].iloc[-1]).strip().lower()
    return last in ("1", "1.0", "true", "yes")
