"""Sequences in the cells of a CSV or TSV table: one record a row, with what other columns say of it.

Letters and ids are found by usual column names or named; group, time stamp, split and labels are read where named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.table import Row, find_column, read_table
from domains.formats.text import InputFile


@dataclass(frozen=True)
class TableColumns:
    """Which columns of a table mean what. None: found by its usual names (letters, id), or absent (the rest)."""

    letters: str | None = None
    id: str | None = None
    group: str | None = None
    stamp: str | None = None
    split: str | None = None
    labels: tuple[str, ...] = ()
    usual_letters: tuple[str, ...] = ("sequence", "seq", "letters")
    usual_ids: tuple[str, ...] = ("id", "name", "identifier", "accession", "entry")


def read_sequence_table(file: InputFile, columns: TableColumns) -> Iterator[SeqRecord | Reject]:
    """The rows of a table as records. A column of labels is numbers if its first cell is one, else text.

    Raises ConfigError where a column is not there, InputError for damage to the container.
    """
    numeric: dict[str, bool] = {}
    where: dict[str, str | None] = {}
    for row in read_table(file):
        if isinstance(row, Reject):
            yield row
            continue
        if not where:
            where = _where(file, list(row.cells), columns)
            numeric = {name: _number(row.cells[name]) is not None for name in columns.labels}
        yield _row_record(file, row, where, numeric)


def _where(file: InputFile, names: list[str], columns: TableColumns) -> dict[str, str | None]:
    found = {
        "letters": find_column(names, columns.letters, columns.usual_letters, "column"),
        "id": find_column(names, columns.id, columns.usual_ids, "id_column"),
        "group": find_column(names, columns.group, (), "group_column"),
        "stamp": find_column(names, columns.stamp, (), "stamp_column"),
        "split": find_column(names, columns.split, (), "split_column"),
    }
    for name in columns.labels:
        find_column(names, name, (), "labels")
    if found["letters"] is None:
        raise ConfigError(
            f"{file.path}: none of its columns is called {' or '.join(columns.usual_letters)}",
            hint=f"Give data.column=NAME, one of: {', '.join(names)}.",
        )
    return found


def _row_record(
    file: InputFile, row: Row, where: dict[str, str | None], numeric: dict[str, bool]
) -> SeqRecord | Reject:
    cells = {what: row.cells[name].strip() for what, name in where.items() if name is not None}
    name = cells.get("id") or f"{file.path.name.partition('.')[0]}_{row.index + 1}"

    def refuse(reason: str, what: str) -> Reject:
        return Reject(str(file.path), row.index, name, row.line, None, reason, f"'{name}' (line {row.line:,}): {what}")

    if not cells["letters"]:
        return refuse("empty_sequence", "its sequence cell is empty")
    if not cells["letters"].isascii():
        return refuse("bad_letter", "its sequence holds characters outside ASCII")
    labels: dict[str, float | str] = {}
    for label, is_number in numeric.items():
        cell = row.cells[label].strip()
        value = _number(cell) if is_number and cell else float("nan") if is_number else cell
        if value is None:
            return refuse("bad_label", f"label '{label}' is {cell!r}, the first row has a number there")
        labels[label] = value
    annotations: dict[str, Any] = {what: cells[what] for what in ("group", "split") if cells.get(what)}
    if where["stamp"] is not None:
        stamp = _stamp(cells["stamp"])
        if stamp is None:
            return refuse("bad_stamp", f"{cells['stamp']!r} is neither a number nor an ISO date (2024-03-01)")
        annotations["stamp"] = stamp
    if labels:
        annotations["labels"] = labels
    return make_record(cells["letters"].encode("ascii"), name, place=(str(file.path), row.line, None), **annotations)


def _stamp(cell: str) -> float | None:
    """A number as it is, a date or time in seconds since 1970 (UTC where it has no zone)."""
    number = _number(cell)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
