"""Pairs of records in a CSV or TSV: two columns that name records, and columns of what is known of each pair."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.finetuning.pairs import PairTable
from core.rejects import Reject
from domains.formats.label_columns import with_labels
from domains.formats.table import find_column, read_table
from domains.formats.text import InputFile

FIRST = ("first", "a", "id_a", "id1", "record_a", "source", "protein_a", "query")
SECOND = ("second", "b", "id_b", "id2", "record_b", "target", "protein_b", "subject")
"""Usual names of the two columns; where there are none, the first two columns are taken."""


def read_pairs(path: Path) -> PairTable:
    """Raises InputError for no such file, damage, a line that cannot be read, less than two columns, an empty name or a
    label that is no number in a column of numbers (the line is told)."""
    rows = read_table(InputFile(path, "a table of pairs"))
    first = next(rows)
    if isinstance(first, Reject):
        raise InputError(f"{path}: {first.message}")
    columns = list(first.cells)
    if len(columns) < 2:
        raise InputError(
            f"{path}: it has the column '{columns[0]}' alone", hint="Two columns name the records of a pair."
        )
    a, b = (find_column(columns, None, usual, "pairs") for usual in (FIRST, SECOND))
    if a is None or b is None or a == b:
        a, b = columns[:2]
    names = [name for name in columns if name not in (a, b)]
    kinds, lines = with_labels(chain([first], rows), names)
    halves: tuple[list[str], list[str]] = ([], [])
    cells: dict[str, list[float | str]] = {name: [] for name in names}
    for line in lines:
        if isinstance(line, Reject):
            raise InputError(f"{path}: {line.message}")
        labels, problem = kinds.values(line.cells)
        for half, column in zip(halves, (a, b), strict=True):
            half.append(line.cells[column].strip())
            if not half[-1]:
                problem = problem or f"'{column}' names no record"
        if problem:
            raise InputError(f"{path}: line {line.line:,}: {problem}")
        for name in names:
            cells[name].append(labels[name])
    found: dict[str, NDArray[Any]] = {
        name: np.array(values, float if kinds.numeric[name] else object) for name, values in cells.items()
    }
    return PairTable(tuple(halves[0]), tuple(halves[1]), found, path)
