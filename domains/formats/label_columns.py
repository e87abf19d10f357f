"""What the columns of labels of a table hold, numbers or text, and a cell as such a value.

A column's kind is seen from its first rows, not from its first cell: that one may be empty, `>10`, or the only list
of one entry in a column of lists (`5` above `5;12`). A store has one kind of value for each label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from core.missing import is_unknown
from core.rejects import Reject
from domains.formats.table import Row, number_of

LOOKED_AT = 2000
"""Rows that the kind of a column is seen from."""
_DIGITS = re.compile(r"\d{4,}")
"""Cells that may be a text of digits, one a residue for example."""
_LIST = re.compile(r"\s*\d+\s*(;\s*\d*\s*)+")


class LabelColumns:
    """The kinds of columns.

    Args:
        names: the columns.
        rows: what stands in the first rows, by column.
    """

    def __init__(self, names: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
        seen = list(rows)
        self.numeric = {name: _are_numbers([row.get(name, "") for row in seen]) for name in names}

    def value(self, name: str, cell: str) -> float | str | None:
        """The cell as its column has it: a number (NaN where it is missing) or text; None where it is no number, or
        an infinite one."""
        cell = cell.strip()
        if not self.numeric[name]:
            return cell
        number = float("nan") if is_unknown(cell) else number_of(cell)
        return None if number is None or math.isinf(number) or _is_rounded(cell) else number

    def values(self, cells: Mapping[str, str]) -> tuple[dict[str, float | str], str]:
        """All labels of a row, and what is wrong with the first one that is no number ("" for none)."""
        labels: dict[str, float | str] = {}
        for name in self.numeric:
            value = self.value(name, cells.get(name, ""))
            if value is None:
                return {}, f"label '{name}' is {cells[name].strip()!r}, the column's first rows have numbers there"
            labels[name] = value
        return labels, ""


def with_labels(rows: Iterable[Row | Reject], names: Iterable[str]) -> tuple[LabelColumns, Iterator[Row | Reject]]:
    """The kinds of a table's columns of labels, and all of its rows."""
    ahead = iter(rows)
    first = list(islice(ahead, LOOKED_AT))
    return LabelColumns(names, [row.cells for row in first if isinstance(row, Row)]), chain(first, ahead)


def _is_rounded(cell: str) -> bool:
    """Whether a double would not give a whole number back."""
    return bool(_DIGITS.fullmatch(cell)) and int(float(cell)) != int(cell)


def _are_numbers(cells: Iterable[str]) -> bool:
    """Whether most of what is known is a number and nothing a list of numbers. A column without values is of numbers,
    all of them missing; one of digits, some of which a number would lose, is of texts."""
    known = [cell for cell in cells if not is_unknown(cell)]
    if any(_LIST.fullmatch(cell) for cell in known):
        return False
    digits = [cell for cell in map(str.strip, known) if _DIGITS.fullmatch(cell)]
    if 2 * len(digits) > len(known) and any(cell[0] == "0" or _is_rounded(cell) for cell in digits):
        return False
    return 2 * sum(number_of(cell) is not None for cell in known) >= len(known)
