"""a3m: the rows of an alignment to a query, in FASTA; lower case letters are insertions, `-` deletions.

As sequences the rows are proteins: gaps go, insertions stay (or go, by choice). As an alignment they are the match
columns only. Rows that annotate (`>ss_pred`, `>ss_conf` ...) and comment lines (`#...`) are no records and are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile

_ANNOTATIONS = ("ss_pred", "ss_conf", "ss_dssp", "sa_dssp", "sa_pred", "aa_dssp", "aa_pred")
_LOWER = bytes(range(ord("a"), ord("z") + 1))


def read_a3m(file: InputFile, insertions: str = "keep") -> Iterator[SeqRecord | Reject]:
    """Every row as a protein, upper case and without gaps; a Reject where nothing is left or its columns are not the
    query's.

    Args:
        insertions: "keep" the lower-case letters, which gives the whole protein, or "drop" them: match columns only.

    Raises ConfigError for another policy, InputError where the first row has no header, or for damage.
    """
    if insertions not in ("keep", "drop"):
        raise ConfigError(f"data.insertions={insertions!r}: expected keep or drop")
    columns: int | None = None
    for index, (line, name, description, row) in enumerate(_rows(file)):
        file.records = index + 1
        matches = row.translate(None, _LOWER)
        matched = len(matches.replace(b".", b""))
        columns = matched if columns is None else columns
        letters = (matches if insertions == "drop" else row.upper()).translate(None, b"-.")

        def refuse(reason: str, message: str, index: int = index, name: str = name, line: int = line) -> Reject:
            return Reject(str(file.path), index, name, line, None, reason, f"'{name}' (line {line:,}): {message}")

        if matched != columns:
            yield refuse("ragged_row", f"it has {matched:,} match columns, the first row has {columns:,}")
        elif not letters:
            yield refuse("empty_sequence", "it holds gaps only")
        else:
            yield make_record(letters, name, description, place=(str(file.path), line, None))


def read_alignment(path: Path | str) -> NDArray[np.uint8]:
    """(N, L) the match columns of every row in ASCII, upper case, the query first.

    Raises InputError where the rows have different numbers of match columns.
    """
    file = InputFile(path, "a3m")
    rows = [row.translate(None, _LOWER + b".") for _, _, _, row in _rows(file)]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(
            f"{path}: its rows have {min(lengths):,} to {max(lengths):,} match columns", hint="Is it an alignment?"
        )
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def _rows(file: InputFile) -> Iterator[tuple[int, str, str, bytes]]:
    """(line from 1, name, description, letters as they stand) of each row that is a sequence."""
    start, header, parts = 0, "", list[bytes]()
    for number, line in enumerate(file.lines(), 1):
        if line.startswith(b"#"):
            file.notes["comment lines"] += 1
        elif line.startswith(b">"):
            if start:
                yield from _row(file, start, header, parts)
            start, header, parts = number, file.text(line[1:]).strip(), []
        elif line.strip():
            if not start:
                raise file.damaged(f"expected a header ('>name'), found {file.text(line[:40])!r}", "Is it an a3m file?")
            parts.append(line.translate(None, b" \t\r\0"))
    if start:
        yield from _row(file, start, header, parts)


def _row(file: InputFile, start: int, header: str, parts: list[bytes]) -> Iterator[tuple[int, str, str, bytes]]:
    name = header.split(None, 1)[0] if header else f"row_{start}"
    if name in _ANNOTATIONS:
        file.notes["rows of annotation"] += 1
    else:
        yield start, name, header or name, b"".join(parts)
