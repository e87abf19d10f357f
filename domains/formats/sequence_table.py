"""Sequences in the cells of a CSV or TSV table: one record a row, with what other columns say of it.

Letters and ids are found by usual column names or named; group, time stamp, split and labels are read where named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.label_columns import LabelColumns, with_labels
from domains.formats.seq_record import make_record
from domains.formats.table import Columns, Row, find_column, find_id, read_table, stamp_of, tell_unread
from domains.formats.text import InputFile


@dataclass(frozen=True)
class TableColumns(Columns):
    """Those of a table of sequences."""

    usual_letters: tuple[str, ...] = ("sequence", "seq", "letters")
    usual_ids: tuple[str, ...] = ("id", "name", "identifier", "accession", "entry")


def read_sequence_table(file: InputFile, columns: TableColumns) -> Iterator[SeqRecord | Reject]:
    """The rows of a table as records; see `label_columns` for whether labels are numbers or text.

    Raises ConfigError where a column is not there, InputError for damage to the container.
    """
    where: dict[str, str | None] = {}
    kinds, rows = with_labels(read_table(file), columns.labels)
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        if not where:
            where = _where(file, list(row.cells), columns)
        yield _row_record(file, row, where, kinds)


def _where(file: InputFile, names: list[str], columns: TableColumns) -> dict[str, str | None]:
    found = {
        "letters": find_column(names, columns.record, columns.usual_letters, "column"),
        "id": None,
        "group": find_column(names, columns.group, (), "group_column"),
        "stamp": find_column(names, columns.stamp, (), "stamp_column"),
        "split": find_column(names, columns.split, (), "split_column"),
    }
    for name in columns.labels:
        find_column(names, name, (), "labels")
    found["id"] = find_id(names, columns.id, columns.usual_ids, {*found.values(), *columns.labels})
    if found["letters"] is None:
        raise ConfigError(
            f"{file.path}: none of its columns is called {' or '.join(columns.usual_letters)}",
            hint=f"Give data.column=NAME, one of: {', '.join(names)}.",
        )
    if columns.record is None:  # else the user has looked at the columns
        tell_unread(file.notes, names, found, columns.labels)
    return found


def _row_record(file: InputFile, row: Row, where: dict[str, str | None], kinds: LabelColumns) -> SeqRecord | Reject:
    cells = {what: row.cells[name].strip() for what, name in where.items() if name is not None}
    name = cells.get("id") or f"{file.path.name.partition('.')[0]}_{row.index + 1}"

    def refuse(reason: str, what: str) -> Reject:
        return Reject(str(file.path), row.index, name, row.line, None, reason, f"'{name}' (line {row.line:,}): {what}")

    if not cells["letters"]:
        return refuse("empty_sequence", "its sequence cell is empty")
    if not cells["letters"].isascii():
        return refuse("bad_letter", "its sequence holds characters outside ASCII")
    labels, wrong = kinds.values(row.cells)
    if wrong:
        return refuse("bad_label", wrong)
    annotations: dict[str, Any] = {what: cells[what] for what in ("group", "split") if cells.get(what)}
    if where["stamp"] is not None:
        stamp = stamp_of(cells["stamp"])
        if stamp is None:
            return refuse("bad_stamp", f"{cells['stamp']!r} is neither a number nor an ISO date (2024-03-01)")
        annotations["stamp"] = stamp
    if labels:
        annotations["labels"] = labels
    return make_record(cells["letters"].encode("ascii"), name, place=(str(file.path), row.line, None), **annotations)
