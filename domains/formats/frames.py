"""Tables of time series: long ones (a row a step, with the series' id) and wide ones (a column a series).

Each target column of each id is a series of its own, or together they are the channels of one. Rows are put on a
regular grid. What is wrong with one series (text among its values, an infinity, a stamp twice) costs that series, named
with file and row; the others are read on. Missing is a cell that is empty, NaN or one of the words that were named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, RecordError
from core.rejects import Reject
from domains.formats.columns import ColumnTable, column_names, read_columns
from domains.formats.frame_columns import FrameConfig, find_columns
from domains.formats.series import Series
from domains.formats.stamps import StampColumn, localize, mixed_offsets, read_stamps, step_numbers
from domains.formats.text import InputFile
from domains.formats.time_grid import Grid, infer_freq, lay_on_grid

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")


def read_frame(path: Path, config: FrameConfig) -> tuple[ColumnTable, Counter[str]]:
    """A CSV, TSV (gzip too) or Parquet file as a table, and what was unusual about it.

    Raises InputError for a damaged file, ConfigError for columns that are not there.
    """
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path), Counter()
    file = InputFile(path, "a table of time series (CSV)")
    columns = find_columns(column_names(file), config)
    file = InputFile(path, "a table of time series (CSV)")
    table = read_columns(file, text=(*columns.text, *config.text), missing=config.missing_words)
    return table, file.notes


def memory_table(frame: pd.DataFrame, name: str = "") -> ColumnTable:
    """A frame from Python as a table; an index that has a name becomes a column."""
    if any(level is not None for level in frame.index.names):
        frame = frame.reset_index()
    return ColumnTable(frame.rename(columns=str), name, None, [])


class FrameSeries:
    """The series of one table, in the order in which their ids come.

    Args:
        table: what was read.
        config: how.
        notes: counts what was unusual but readable.

    Raises ConfigError for columns that are not there, InputError for a broken row that no series can be blamed for.
    """

    def __init__(self, table: ColumnTable, config: FrameConfig, notes: Counter[str]) -> None:
        import pandas as pd

        self.table, self.config, self.notes = table, config, notes
        frame = table.frame
        numeric = [str(n) for n in frame.columns if pd.api.types.is_numeric_dtype(frame[n].dtype)]
        self.columns = find_columns([str(n) for n in frame.columns], config, numeric=numeric)
        if self.columns.id is None:
            self._codes = np.zeros(len(frame), np.int64)
            self._ids = [Path(table.file).name.partition(".")[0] or "series"]
        else:
            codes, ids = pd.factorize(frame[self.columns.id], use_na_sentinel=False)
            self._codes, self._ids = codes.astype(np.int64), ["" if pd.isna(i) else str(i) for i in ids]
        self._broken = self._blame_ragged_lines()
        self._stamps = self._read_stamps(frame)
        named = (*self.columns.target, *self.columns.known, *self.columns.past)
        self._numbers = {name: _Numbers(name, frame[name], config.missing_words) for name in named}
        self._order = np.argsort(self._codes, kind="stable")
        self._borders = np.searchsorted(self._codes[self._order], np.arange(len(self._ids) + 1))

    @property
    def records(self) -> int:
        """How many series there are, counted by ids and targets."""
        return len(self._ids) * (1 if self.config.channels == "together" else len(self.columns.target))

    def __iter__(self) -> Iterator[Series | Reject]:
        targets = self.columns.target
        index = 0
        for code in range(len(self._ids)):
            rows = self._rows(code)
            for names in [targets] if self.config.channels == "together" else [(name,) for name in targets]:
                record = self._name(code, names)
                try:
                    yield self._series(record, code, rows, names)
                except RecordError as error:
                    at = error.position if error.position is not None else int(rows[0]) if len(rows) else None
                    line = self.table.line(at) if at is not None else None
                    yield Reject(self.table.file, index, record, line, None, error.reason, str(error))
                index += 1

    def _rows(self, code: int) -> NDArray[np.int64]:
        return self._order[self._borders[code] : self._borders[code + 1]]

    def _name(self, code: int, targets: tuple[str, ...]) -> str:
        """The id; with the target's name where one id has several series."""
        if self.columns.wide:
            return targets[0] if len(targets) == 1 else self._ids[code]
        several = len(self.columns.target) > 1 and self.config.channels == "apart"
        return f"{self._ids[code]}.{targets[0]}" if several else self._ids[code]

    def _series(self, record: str, code: int, rows: NDArray[np.int64], targets: tuple[str, ...]) -> Series:
        """Raises RecordError."""
        if code in self._broken:
            line, problem = self._broken[code]
            raise RecordError("ragged_row", f"series '{record}': line {line:,} has {problem}", record=record)
        rows = self._usable(record, rows)
        names = (*targets, *self.columns.known, *self.columns.past)
        grid = lay_on_grid(
            self._stamps.values[rows],
            np.stack([self._numbers[name].of(record, rows, self.table) for name in names], axis=1),
            self.config.grid,
            name=record,
            row=lambda i: self.table.row(int(rows[i])),
            clock=self._stamps.clock,
            usual=self._usual_freq,
        )
        series = Series(
            record,
            grid.values[:, : len(targets)],
            targets,
            np.datetime64(grid.start, "ns") if self._stamps.clock else self.config.first_stamp(),
            grid.freq if self._stamps.clock else self.config.grid.freq,
            self.config.timezone or self._stamps.zone,
            labels={name: self._constant(record, rows, name) for name in self.config.labels},
            group=self._text(record, rows, self.config.group_column),
            split=self._text(record, rows, self.config.split_column),
            place=(self.table.file, self.table.line(int(rows[0])), None),
        )
        covariates = grid.values[:, len(targets) :].T
        series.known = dict(zip(self.columns.known, covariates, strict=False))
        series.past = dict(zip(self.columns.past, covariates[len(self.columns.known) :], strict=True))
        return self._trimmed(series, grid)

    def _trimmed(self, series: Series, grid: Grid) -> Series:
        """From its first value on; a wide table's column also ends with its last. Raises RecordError for no value."""
        there = np.flatnonzero(np.isfinite(series.values).any(axis=1))
        if not len(there):
            raise RecordError("all_missing", f"series '{series.id}' has no value at all", record=series.id)
        first, last = int(there[0]), int(there[-1]) + 1 if self.columns.wide else len(series)
        self.notes.update(grid.notes)
        if first or last < len(series):
            self.notes["missing steps before the first or after the last value, left out"] += first + len(series) - last
            series = replace(series.piece(first, last), part=None)
        self.notes["missing values inside series"] += int(np.isnan(series.values).sum())
        return series

    def _usable(self, record: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Its rows without those whose local hour does not exist. Raises RecordError for a cell that is no stamp."""
        bad = self._stamps.bad[rows]
        if bad.any():
            at = int(rows[np.argmax(bad)])
            cell = " ".join(str(self.table.frame[name].iloc[at]) for name in self.columns.time)
            raise RecordError(
                "bad_stamp",
                f"series '{record}': {cell!r} is no time stamp ({self.table.row(at)})",
                record=record,
                position=at,
            )
        other = mixed_offsets(self._stamps.offsets[rows])
        if other is not None:
            at = int(rows[other])
            raise RecordError(
                "mixed_time_zones",
                f"series '{record}': {self.table.row(at)} is of another time zone than {self.table.row(int(rows[0]))}",
                record=record,
                position=at,
                hint="Write all stamps of a series with the offsets of one place, or all without.",
            )
        return rows[~self._stamps.skipped[rows]]

    def _read_stamps(self, frame: pd.DataFrame) -> StampColumn:
        time = self.columns.time
        if not time:
            return step_numbers(self._codes)
        column = frame[time[0]]
        for name in time[1:]:
            column = column.astype(str) + " " + frame[name].astype(str)
        stamps = read_stamps(column, self.config.time_format)
        if self.config.timezone is not None and stamps.clock:
            localize(stamps, self._codes, self.config.timezone, self.notes)
        return stamps

    @cached_property
    def _usual_freq(self) -> str | None:
        """The frequency of the longest series: what those of one or two stamps are taken to have."""
        stamps = np.unique(self._stamps.values[self._rows(int(np.argmax(np.diff(self._borders))))])
        return infer_freq(stamps) if self._stamps.clock and len(stamps) > 2 else None

    def _constant(self, record: str, rows: NDArray[np.int64], name: str) -> str | int | float:
        """The one value of a label column. Raises RecordError where there are several."""
        cells = self.table.frame[name].iloc[rows]
        other = np.flatnonzero((cells != cells.iloc[0]).to_numpy() & cells.notna().to_numpy())
        if len(other):
            at = int(rows[other[0]])
            raise RecordError(
                "labels",
                f"series '{record}': column '{name}' is {cells.iloc[0]!r} at first, {cells.iloc[other[0]]!r} in "
                f"{self.table.row(at)}; a label is one value a series",
                record=record,
                position=at,
            )
        value: Any = cells.iloc[0]
        plain: str | int | float = value.item() if hasattr(value, "item") else value
        return plain

    def _text(self, record: str, rows: NDArray[np.int64], name: str | None) -> str | None:
        return None if name is None else str(self._constant(record, rows, name))

    def _blame_ragged_lines(self) -> dict[int, tuple[int, str]]:
        """Series number to the first of its lines that does not fit the header, and what it has.

        Raises InputError where no series can be blamed.
        """
        blamed: dict[int, tuple[int, str]] = {}
        names = [str(name) for name in self.table.frame.columns]
        where = {identity: code for code, identity in enumerate(self._ids)}
        for line, cells in self.table.ragged:
            problem = f"{len(cells)} cells, the header has {len(names)}" if cells else "a quote that is not closed"
            at = names.index(self.columns.id) if self.columns.id is not None else None
            if self.columns.wide or (at is not None and len(cells) <= at):
                raise InputError(f"{self.table.file}: line {line:,} has {problem}", hint="Repair or remove that line.")
            identity = self._ids[0] if at is None else cells[at]
            if identity not in where:
                where[identity] = len(self._ids)
                self._ids.append(identity)
            blamed.setdefault(where[identity], (line, problem))
        return blamed


class _Numbers:
    """A column of numbers and missing values, some cells of which may be something else."""

    def __init__(self, name: str, column: pd.Series, missing: tuple[str, ...]) -> None:
        import pandas as pd

        self.name, self._column = name, column
        if pd.api.types.is_numeric_dtype(column.dtype):
            self._values = column.to_numpy(np.float64, na_value=np.nan)
            self._bad = np.zeros(len(column), bool)
        else:
            numbers = pd.to_numeric(column.astype(object), errors="coerce")
            self._values = numbers.to_numpy(np.float64, na_value=np.nan)
            self._bad = (numbers.isna() & column.notna() & ~column.isin(missing)).to_numpy()

    def of(self, record: str, rows: NDArray[np.int64], table: ColumnTable) -> NDArray[np.float64]:
        """(n,) the numbers of some rows, NaN where missing. Raises RecordError for a cell that is none, or infinite."""
        values, bad = self._values[rows], self._bad[rows]
        infinite = np.isinf(values)
        for wrong, reason, what in (
            (bad, "not_a_number", "is no number"),
            (infinite, "infinite", "is infinite"),
        ):
            if wrong.any():
                at = int(rows[np.argmax(wrong)])
                cell = self._column.iloc[at]
                words = f"If it marks a missing value, say so: data.missing=['{cell}']."
                raise RecordError(
                    reason,
                    f"series '{record}': {str(cell)!r} in column '{self.name}' {what} ({table.row(at)}); "
                    f"{np.count_nonzero(wrong):,} such cells",
                    record=record,
                    position=at,
                    hint=words if reason == "not_a_number" else "",
                )
        return values


def _read_parquet(path: Path) -> ColumnTable:
    import pandas as pd

    try:
        import pyarrow  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(
            f"{path} is Parquet, which needs pyarrow", hint="Install it: pip install 'foretell[time_series]'."
        ) from error
    if not path.is_file():
        from domains.formats.text import missing

        raise missing(path)
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})", hint="Copy or write it again.") from error
    if not len(frame):
        raise InputError(f"{path}: the table has no row")
    return memory_table(frame, str(path))
