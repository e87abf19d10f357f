"""CSV and TSV with a header line: rows as dicts of text, one a line.

Cells may be quoted but hold no line breaks: the csv module reads on over line ends after a stray quote and so swallows
every row up to the next one. Here such a line costs itself only. A column is taken by its name, or found among usual
names.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import ConfigError, nearest
from core.rejects import Reject
from domains.formats.text import InputFile

_SEPARATORS = "\t,;"
_NAMED = 8
"""Columns that a note names."""


@dataclass(frozen=True)
class Row:
    """One line of a table, its cells by the header's names."""

    index: int
    line: int
    cells: Mapping[str, str]


def read_table(file: InputFile) -> Iterator[Row | Reject]:
    """Every row of `file`, a Reject where it has another number of cells than the header or an open quote.

    Raises InputError where the header is unusable or no row follows, and for damage to the container.
    """
    header: list[str] = []
    separator, index = ",", 0
    for number, raw in enumerate(file.lines(), 1):
        if not raw.strip():
            continue
        text = file.text(raw)
        if not header:
            separator, header = _header(file, text)
            continue
        cells = _cells(text, separator)
        if cells is None or len(cells) != len(header):
            problem = "a quote is not closed" if cells is None else f"{len(cells)} cells, the header has {len(header)}"
            reason = "open_quote" if cells is None else "ragged_row"
            yield Reject(str(file.path), index, "", number, None, reason, f"line {number:,}: {problem}")
        else:
            yield Row(index, number, dict(zip(header, cells, strict=True)))
        index += 1
        file.records = index
    if index == 0:
        raise file.damaged("it holds a header but no row")


def find_column(columns: Sequence[str], wanted: str | None, usual: Sequence[str], key: str) -> str | None:
    """The column called `wanted`, or where that is None the first of `usual` that is there in any case; else None.

    Args:
        key: the config key that names the column, for the message.

    Raises ConfigError, with the nearest name, where `wanted` is not there.
    """
    if wanted is not None:
        if wanted not in columns:
            raise ConfigError(
                f"{key}: there is no column '{wanted}'{nearest(wanted, columns)}",
                hint=f"Columns: {', '.join(columns)}.",
            )
        return wanted
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in usual if name in lower), None)


def find_id(
    columns: Sequence[str], wanted: str | None, usual: Sequence[str], taken: Container[str | None]
) -> str | None:
    """As `find_column`; where none is called so, the one column that ends in `_id` (protein_id) and is not `taken`."""
    if found := find_column(columns, wanted, usual, "id_column"):
        return found
    alike = [column for column in columns if column.lower().endswith("_id") and column not in taken]
    return alike[0] if len(alike) == 1 else None


def tell_unread(
    notes: Counter[str], columns: Sequence[str], read: Mapping[str, str | None], labels: Iterable[str]
) -> None:
    """Notes of a table whose columns are not all read, which are and which are not.

    Args:
        read: what a column is read as, to its name.
        labels: columns read as labels.
    """
    used = {name: what for what, name in read.items() if name is not None} | dict.fromkeys(labels, "label")
    left = [column for column in columns if column not in used]
    if not left:
        return
    said = ", ".join(f"{name} read as {what}" for name, what in used.items())
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    keys = "data.labels=" if read.get("id") else "data.labels=, data.id_column="
    notes[f"tables with {said}; not read: {', '.join(left[:_NAMED])}{more} ({keys})"] += 1


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what, as `data` names them. None: found by usual names (record, id), or absent."""

    record: str | None = None
    """What a record is made of: letters, SMILES."""
    id: str | None = None
    group: str | None = None
    stamp: str | None = None
    split: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, object]:
        """Key of `data` to the columns that were named."""
        columns = {"id_column": self.id, "group_column": self.group, "stamp_column": self.stamp}
        return {"column": self.record, **columns, "split_column": self.split, "labels": self.labels}


def check_columns(named: Mapping[str, object], formats: Iterable[str], having: Container[str]) -> None:
    """Raises ConfigError where columns are named and no file has any.

    Args:
        named: key below `data` to what it says; nothing where it is empty.
        formats: of the files.
        having: those that have columns.
    """
    found = list(formats)
    asked = [key for key, value in named.items() if value]
    if asked and found and not any(kind in having for kind in found):
        raise ConfigError(
            f"data.{asked[0]} names a column, and {', '.join(sorted(set(found)))} has none",
            hint="Labels of records whose files have none come from a table of their own: label_table=FILE.",
        )


def number_of(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def stamp_of(cell: str) -> float | None:
    """A number as it is, a date or time in seconds since 1970 (UTC where it has no zone)."""
    number = number_of(cell)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _header(file: InputFile, text: str) -> tuple[str, list[str]]:
    separator = max(_SEPARATORS, key=text.count) if any(s in text for s in _SEPARATORS) else ","
    names = [name.strip() for name in _cells(text, separator) or []]
    if len(set(names)) != len(names) or not all(names):
        raise file.damaged(f"its header has empty or repeated names: {text[:80]!r}", "Give every column its own name.")
    return separator, names


def _cells(text: str, separator: str) -> list[str] | None:
    """The cells of one line, None where a quote is left open."""
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        return None
