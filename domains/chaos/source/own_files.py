"""Trajectories of the user's own: tables (CSV, TSV; one series a file, or told apart by an id column) and .npy arrays.

A series is whole or refused: a row that cannot be read would shift every later step, so it costs its series, with file
and row in the message. Missing values (an empty cell, nan) are kept as missing.
"""

from __future__ import annotations

import glob
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.chaos.source.trajectory import Trajectory
from domains.formats.table import Row, find_column, read_table
from domains.formats.text import InputFile, missing

TABLES = (".csv", ".tsv", ".txt", ".gz")
ARRAYS = (".npy",)
_IDS = ("id", "unique_id", "series", "trajectory", "system")
_TIMES = ("time", "t", "timestamp", "seconds")
_SPLITS = ("split", "set", "part")
_OURS = ("drawn", "nats_per_step")
"""What write_samples adds to a file of trajectories: no channel, unless it is asked for."""
_MISSING = ("", "nan", "na", "n/a", "null", "none")
UNEVEN = 1e-3
"""Share by which the steps of a time column may differ: what rounding to a few digits does."""


def find_files(paths: Iterable[Path | str]) -> list[Path]:
    """The files behind files, folders (every table and array below, sorted) and patterns. Raises InputError where
    nothing is found.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in (*TABLES, *ARRAYS))
            if not inside:
                raise InputError(f"folder {path} holds no series", hint=f"Endings: {', '.join((*TABLES, *ARRAYS))}.")
            found += inside
        elif path.exists() or not glob.has_magic(str(path)):
            found.append(path)
        else:
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"no file matches {path}")
            found += matches
    if not found:
        raise InputError("no file was given", hint="Give data.path=FILE, or data=NAME for a system.")
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what; None looks for a usual name."""

    id: str | None = None
    time: str | None = None
    split: str | None = None
    channels: tuple[str, ...] = ()
    """Empty: every other column."""


@dataclass
class _Series:
    """One series while its rows come."""

    id: str
    line: int
    rows: list[list[float]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    split: str | None = None
    trouble: tuple[str, str] | None = None
    """(reason, message) of the first row that cannot be used."""


class SeriesFiles:
    """The series of all files, in order; each a Trajectory or the Reject that stands for it.

    Args:
        dt: the step, where no time column says it.

    `records_in`, `bytes_read` and `notes` are those of the current pass.
    Raises InputError for a file that is missing, damaged or of an unknown kind.
    """

    def __init__(self, paths: Sequence[Path], columns: Columns, dt: float | None = None) -> None:
        self.paths, self.columns, self.dt = list(paths), columns, dt
        self.notes: Counter[str] = Counter()
        self.records_in = 0
        self.bytes_read = 0
        self.width: int | None = None
        """Channels that every series must have; None: as many as the first one has."""
        for path in self.paths:
            if not path.is_file():
                raise missing(path)
            if path.suffix.lower() not in (*TABLES, *ARRAYS):
                raise InputError(
                    f"{path}: a file of kind '{path.suffix}' cannot be read",
                    hint=f"Known: {', '.join((*TABLES, *ARRAYS))}.",
                )

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    def __iter__(self) -> Iterator[Trajectory | Reject]:
        self.notes.clear()
        self.records_in = self.bytes_read = 0
        width = self.width
        for path in self.paths:
            found = self._array(path) if path.suffix.lower() in ARRAYS else self._table(path)
            for index, item in enumerate(found):
                self.records_in += 1
                if isinstance(item, Trajectory):
                    width = width or len(item.channels)
                    if len(item.channels) != width:
                        yield Reject(
                            str(path),
                            index,
                            item.id,
                            item.place[1],
                            None,
                            "wrong_channels",
                            f"series '{item.id}' has {len(item.channels)} channels, the first one had {width}",
                        )
                        continue
                yield item
            self.bytes_read += path.stat().st_size

    def _array(self, path: Path) -> Iterator[Trajectory | Reject]:
        try:
            values = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(
                f"{path}: it is no array of numbers ({error})", hint="Write it with numpy.save."
            ) from error
        if values.dtype.kind not in "iufb" or values.ndim not in (1, 2, 3) or not values.size:
            raise InputError(
                f"{path}: an array of {values.dtype} and shape {values.shape}, expected numbers as (steps,), "
                "(steps, channels) or (series, steps, channels)"
            )
        several = values.reshape((1, -1, 1) if values.ndim == 1 else (-1, *values.shape[-2:])).astype(np.float64)
        for number, one in enumerate(several):
            name = path.stem if len(several) == 1 else f"{path.stem}/{number}"
            infinite = np.isinf(one).any(axis=1)
            if infinite.any():
                message = f"series '{name}' is infinite at step {int(infinite.argmax())}"
                yield Reject(str(path), number, name, None, None, "infinite", message)
            else:
                names = self.columns.channels if len(self.columns.channels) == one.shape[1] else ()
                yield Trajectory(name, one, names, dt=self.dt or 1.0, place=(str(path), None, None))

    def _table(self, path: Path) -> Iterator[Trajectory | Reject]:
        file = InputFile(path, "a table of numbers")
        found: dict[str, _Series] = {}
        current: _Series | None = None
        names: _Names | None = None
        for row in read_table(file):
            if isinstance(row, Reject):
                current = current or found.setdefault(path.stem, _Series(path.stem, row.line or 1))
                current.trouble = current.trouble or (row.reason, f"series '{current.id}', {row.message}")
                continue
            names = names or self._names(path, list(row.cells))
            name = row.cells[names.id].strip() if names.id else path.stem
            current = found.get(name) or found.setdefault(name, _Series(name, row.line))
            if current.trouble is None:
                current.trouble = _take(current, row, names)
        self.notes.update(file.notes)
        for index, series in enumerate(found.values()):
            assert names is not None or series.trouble
            yield self._finished(path, index, series, names)

    def _finished(self, path: Path, index: int, series: _Series, names: _Names | None) -> Trajectory | Reject:
        dt = self.dt or 1.0
        if series.trouble is None and series.times and self.dt is None:
            dt, series.trouble = _even_step(series)
        if series.trouble or names is None:
            reason, message = series.trouble or ("empty", f"series '{series.id}' has no rows")
            return Reject(str(path), index, series.id, series.line, None, reason, message)
        values = np.array(series.rows, np.float64)
        gaps = int(np.isnan(values).sum())
        if gaps:
            self.notes["missing values"] += gaps
        return Trajectory(
            series.id, values, names.channels, dt=dt, split=series.split, place=(str(path), series.line, None)
        )

    def _names(self, path: Path, header: list[str]) -> _Names:
        if all(_is_number(name) for name in header):
            raise InputError(
                f"{path}: its first line holds numbers, expected the names of the columns",
                hint="Put a line such as 'time,x,y,z' before the numbers.",
            )
        wanted = self.columns
        name = find_column(header, wanted.id, _IDS, "data.id_column")
        time = find_column(header, wanted.time, _TIMES, "data.time_column")
        split = find_column(header, wanted.split, _SPLITS, "data.split_column")
        for channel in wanted.channels:
            find_column(header, channel, (), "data.channels")
        channels = wanted.channels or tuple(c for c in header if c not in (name, time, split, *_OURS))
        if not channels:
            raise ConfigError(f"{path}: no column is left for values", hint=f"Its columns: {', '.join(header)}.")
        return _Names(name, time, split, channels)


@dataclass(frozen=True)
class _Names:
    id: str | None
    time: str | None
    split: str | None
    channels: tuple[str, ...]


def _take(series: _Series, row: Row, names: _Names) -> tuple[str, str] | None:
    """Adds a row to its series; (reason, message) where it cannot be used."""
    where = f"series '{series.id}', line {row.line:,}"
    values = []
    for channel in names.channels:
        cell = row.cells[channel].strip()
        value = math.nan if cell.lower() in _MISSING else _number(cell)
        if value is None:
            return "not_a_number", f"{where}: column '{channel}' holds {cell!r}, expected a number"
        if math.isinf(value):
            return "infinite", f"{where}: column '{channel}' is infinite"
        values.append(value)
    if names.time:
        stamp = _number(row.cells[names.time].strip())
        if stamp is None or not math.isfinite(stamp):
            return "bad_time", f"{where}: time {row.cells[names.time]!r} is no number"
        series.times.append(stamp)
    if names.split:
        said = row.cells[names.split].strip().lower()
        if series.split not in (None, said):
            return "two_splits", f"{where}: split {said!r}, the rows before it say {series.split!r}"
        series.split = said
    series.rows.append(values)
    return None


def _even_step(series: _Series) -> tuple[float, tuple[str, str] | None]:
    """The step of a time column, and what is wrong with it."""
    steps = np.diff(series.times)
    if not len(steps):
        return 1.0, None
    dt = float(np.median(steps))
    uneven = np.abs(steps - dt) > UNEVEN * abs(dt)
    if dt <= 0 or uneven.any():
        at = int(uneven.argmax()) if uneven.any() else 0
        return 1.0, (
            "uneven_steps",
            f"series '{series.id}': time goes from {series.times[at]:g} to {series.times[at + 1]:g} at its row "
            f"{at + 2:,}, elsewhere by {dt:g}; steps must be equal, time must grow",
        )
    return dt, None


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_number(cell: str) -> bool:
    return _number(cell) is not None
