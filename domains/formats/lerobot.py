"""LeRobot data sets, version 3 (and 2.1): a folder with `meta/info.json` and Parquet files below `data/`.

Rows are steps; columns `observation.*` and `action` hold lists of numbers, `episode_index` says whose they are.
Episodes may share a file or go on in the next one. Pictures (videos) are not read. Needs pyarrow, imported when a
folder is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import read_json
from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.episodes import FileFacts, RawEpisode, only

INFO = Path("meta") / "info.json"


class LeRobot:
    """The episodes of one folder.

    Args:
        keys: which `observation.*` columns are read, with or without that beginning; none: all that are numbers.

    Raises InputError for a folder that is damaged, ConfigError where pyarrow is missing.
    """

    def __init__(self, path: Path, keys: tuple[str, ...] = ()) -> None:
        self.path, self._keys = path, keys
        self.records_in = self.bytes_read = 0
        info = read_json(path / INFO)
        if not isinstance(info, dict):
            raise InputError(f"{path / INFO} is no JSON object")
        self._files = sorted((path / "data").rglob("*.parquet"))
        if not self._files:
            raise InputError(f"{path} has no Parquet file below data/", hint="Is the copy of the data set complete?")
        self._episodes = int(info.get("total_episodes", 0))
        self._tasks = self._read_tasks()
        facts = {key: str(info[key]) for key in ("codebase_version", "robot_type", "fps") if key in info}
        self.facts = FileFacts(more=facts)

    def __iter__(self) -> Iterator[RawEpisode | Reject]:
        self.records_in = self.bytes_read = 0
        held: dict[str, list[Any]] = {}
        current: int | None = None
        for path in self._files:
            columns = _columns(path)
            self.bytes_read += path.stat().st_size
            if "episode_index" not in columns or "action" not in columns:
                raise InputError(f"{path} has no column 'episode_index' or 'action': {', '.join(columns)}")
            numbers = np.asarray(columns["episode_index"], np.int64)
            borders = np.flatnonzero(np.diff(numbers)) + 1
            for start, stop in zip([0, *borders.tolist()], [*borders.tolist(), len(numbers)], strict=True):
                number = int(numbers[start])
                if current is not None and number != current:
                    yield from self._finished(current, held)
                    held = {}
                current = number
                for name, values in columns.items():
                    held.setdefault(name, []).append(values[start:stop])
        if current is not None:
            yield from self._finished(current, held)
        if self._episodes and self.records_in != self._episodes:
            raise InputError(
                f"{self.path}: {INFO} tells of {self._episodes:,} episodes, the Parquet files hold {self.records_in:,}",
                hint="Is the copy of the data set complete?",
            )

    def _finished(self, number: int, held: dict[str, list[Any]]) -> Iterator[RawEpisode | Reject]:
        self.records_in += 1
        name = f"episode_{number}"
        try:
            joined = {key: np.concatenate(parts) for key, parts in held.items()}
            numeric = {k: v for k, v in joined.items() if k.startswith("observation.") and v.dtype.kind in "fiub"}
            wanted = tuple(k if k.startswith("observation.") else f"observation.{k}" for k in self._keys)
            seen = only(numeric, wanted, f"{self.path}, {name}")
            if not seen:
                raise InputError("it has no observation that is numbers")
            action = np.asarray(joined["action"], np.float64)
        except (ValueError, InputError) as error:
            yield Reject(str(self.path), self.records_in - 1, name, None, None, "unreadable", f"{name}: {error}")
            return
        frames = joined.get("frame_index")
        if frames is not None and not np.array_equal(frames, np.arange(len(frames))):
            message = f"{name}: its frames are not 0, 1, 2 ...: steps are missing or out of order"
            yield Reject(str(self.path), self.records_in - 1, name, None, None, "missing_steps", message)
            return
        rewards = joined.get("next.reward")
        done = bool(np.asarray(joined["next.done"]).reshape(-1)[-1]) if "next.done" in joined else False
        tasks = joined.get("task_index")
        success = joined.get("next.success")
        yield RawEpisode(
            name,
            seen,
            {"": action},
            None if rewards is None else np.asarray(rewards, np.float64).reshape(-1),
            done,
            not done,
            task=self._tasks.get(int(np.asarray(tasks).reshape(-1)[0]), "") if tasks is not None else "",
            success=float("nan") if success is None else float(np.asarray(success).any()),
            place=(str(self.path), None, None),
        )

    def _read_tasks(self) -> dict[int, str]:
        """Names of tasks by number: a Parquet table in version 3, JSON lines before."""
        table, lines = (self.path / "meta" / name for name in ("tasks.parquet", "tasks.jsonl"))
        if table.is_file():
            columns = _columns(table)
            names = next((v for k, v in columns.items() if k != "task_index"), np.zeros(0, object))
            return {int(i): str(n) for i, n in zip(columns.get("task_index", []), names, strict=False)}
        if lines.is_file():
            import json

            rows = [json.loads(line) for line in lines.read_text("utf-8").splitlines() if line.strip()]
            return {int(row["task_index"]): str(row["task"]) for row in rows}
        return {}


def _columns(path: Path) -> dict[str, Any]:
    """Columns by name: (n,), or (n, width) where a cell is a list of numbers."""
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]
        from pyarrow.parquet import read_table  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            f"{path} is Parquet, which needs pyarrow: {error}", hint="Install it: pip install 'foretell[cluster]'."
        ) from error
    try:
        table = read_table(path)
    except (ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}", hint="Is the file whole?") from error
    found: dict[str, Any] = {}
    for name in table.column_names:
        cells = table.column(name).to_numpy(zero_copy_only=False)
        if (
            cells.dtype == object
            and len(cells)
            and hasattr(cells[0], "__len__")
            and not isinstance(cells[0], str | bytes)
        ):
            widths = {len(cell) for cell in cells}
            if len(widths) == 1 and not isinstance(cells[0], dict):
                cells = np.stack(list(cells))
        found[str(name)] = cells
    return found
