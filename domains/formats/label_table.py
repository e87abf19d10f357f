"""Labels from a table of their own, for records whose files have none: MIDI, GenBank, trajectories, graphs.

A line is found by the record's name, which may be written as its file (`pieces/one.mid` for `one`). What does not meet
is counted on both sides: records without a line have missing labels, lines without a record are noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import ConfigError, InputError, nearest
from core.ingest import RecordSource
from core.rejects import Reject
from domains.formats.label_columns import with_labels
from domains.formats.table import Row, find_column, read_table
from domains.formats.text import InputFile

NAMES = ("id", "record", "name", "unique_id", "file", "accession")
"""Usual names of the column that names records."""
KEY = "label_table"
_SHOWN = 3


class LabelTable:
    """The lines of a CSV or TSV by record.

    Raises:
        InputError: no such file, damage, a line that cannot be read, a record named twice, a label that is no number
            in a column of numbers (its line is told).
        ConfigError: no column names records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = read_table(InputFile(path, "a table of labels"))
        first = next(rows)
        if isinstance(first, Reject):
            raise InputError(f"{path}: {first.message}")
        columns = list(first.cells)
        found = find_column(columns, None, NAMES, KEY)
        self.column = columns[0] if found is None else found
        self.names = tuple(name for name in columns if name != self.column)
        if not self.names:
            raise InputError(f"{path}: it has the column '{self.column}' alone", hint="A label is a further column.")
        kinds, lines = with_labels(chain([first], rows), self.names)
        self.missing: dict[str, Any] = {n: float("nan") if kinds.numeric[n] else "" for n in self.names}
        self.rows: dict[str, dict[str, Any]] = {}
        for line in lines:
            if isinstance(line, Reject):
                raise InputError(f"{path}: {line.message}")
            self._add(line, *kinds.values(line.cells))
        self._by_stem = _by_stem(self.rows)

    def _add(self, line: Row, labels: dict[str, float | str], problem: str) -> None:
        name = line.cells[self.column].strip()
        if problem or not name or name in self.rows:
            said = problem or (f"record '{name}' stands there twice" if name else "it names no record")
            raise InputError(f"{self.path}: line {line.line:,}: {said}")
        self.rows[name] = labels

    def of(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """The name of a record's line, and its labels; None where it has no line."""
        key = name if name in self.rows else self._by_stem.get(name)
        return None if key is None else (key, self.rows[key])


class Labelled:
    """Records of `source` with the labels of a table besides their own; a `core.ingest.RecordSource`.

    Args:
        whole: whether the source has all records that the table is about, so that it must name one of them.
    """

    def __init__(self, source: RecordSource[Any], table: LabelTable, *, whole: bool = True) -> None:
        self.source, self.table, self.whole = source, table, whole
        self._notes: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        if name in ("source", "rows"):  # rows: many at once would pass the table by
            raise AttributeError(name)
        return getattr(self.source, name)

    def __iter__(self) -> Iterator[Any]:
        self._notes.clear()
        met: set[str] = set()
        unmet: list[str] = []
        for item in self.source:
            if not isinstance(item, Reject):
                name = self.source.name(item)
                found = self.table.of(name)
                if found is None:
                    self._notes[f"records without a line in {self.table.path.name}"] += 1
                    unmet = [*unmet, name][:_SHOWN]
                else:
                    met.add(found[0])
            yield item
        if self.whole:
            self._tell(met, unmet)

    def _tell(self, met: set[str], unmet: list[str]) -> None:
        """Raises InputError where no line is of a record."""
        if unmet and not met:
            example = next(iter(self.table.rows))
            raise InputError(
                f"{self.table.path}: none of its lines names a record",
                hint=f"Records are called {', '.join(map(repr, unmet))}{nearest(example, unmet)}; the column"
                f" '{self.table.column}' has {example!r}.",
            )
        left = len(self.table.rows) - len(met)
        if left:
            self._notes[f"lines of {self.table.path.name} that name no record"] = left

    @property
    def notes(self) -> dict[str, int]:
        return {**dict(getattr(self.source, "notes", {})), **self._notes}

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {**self.source.provenance, "labels": self.table.path.name}

    def labels(self, record: Any) -> dict[str, Any]:
        """The record's own, and those of its line; missing ones where it has none. Raises
        ConfigError where both have one of the same name."""
        found, own = self.table.of(self.source.name(record)), self.source.labels(record)
        for name in self.table.missing.keys() & own.keys():
            raise ConfigError(
                f"{KEY}: records have a label '{name}' already", hint=f"Rename that column of {self.table.path.name}."
            )
        return {**own, **(self.table.missing if found is None else found[1])}


def _by_stem(names: Mapping[str, Any]) -> dict[str, str]:
    """File name without folder and endings to the name as it is written, where only one has it."""
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        plain = PurePosixPath(name.replace("\\", "/")).name
        for stem in {plain, plain.partition(".")[0], plain.rpartition(".")[0] or plain} - {name}:
            twice |= {stem} & found.keys()
            found[stem] = name
    return {stem: name for stem, name in found.items() if stem not in twice}
