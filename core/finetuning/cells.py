"""A column of labels as numbers: what its cells say, which of them say nothing, and which cannot be read.

Columns come as a store has them, of numbers or of texts. Knows no records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.missing import is_unknown

Values = NDArray[np.float64]
MOST_CLASSES = 1000


def numbers(name: str, found: NDArray[Any]) -> Values:
    """Raises InputError for a text that is no number."""
    if found.dtype.kind in "fiub":
        values = found.astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)
    values = np.full(len(found), np.nan)
    for i, cell in enumerate(found.tolist()):
        if is_unknown(str(cell)):
            continue
        try:
            values[i] = float(cell)
        except ValueError:
            raise InputError(
                f"label '{name}' is {cell!r} in row {i}: not a number",
                hint="task=classify learns classes; a column of mixed type has to be cleaned first.",
            ) from None
    return values


def yes_or_no(name: str, found: NDArray[Any]) -> Values:
    values = numbers(name, found)
    wrong = np.flatnonzero(np.isfinite(values) & (values != 0) & (values != 1))
    if len(wrong):
        raise InputError(
            f"label '{name}' is {values[wrong[0]]:g} in row {wrong[0]}: of several columns each must be 0 or 1",
            hint="Give one column at a time, or task=regress.",
        )
    return values


def classes(name: str, found: NDArray[Any], several: bool) -> tuple[tuple[str, ...], Values]:
    """Names of the classes, in order, and (N, K) 0 and 1, NaN where it is missing."""
    cells = [_class_text(name, value, row) for row, value in enumerate(found.tolist())]
    sets = [None if c is None else _listed(c) if several else (c,) for c in cells]
    names = sorted({c for s in sets if s for c in s}, key=_by_number)
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"label '{name}' has {len(names):,} different values, at most {MOST_CLASSES:,} classes are learned",
            hint="Is it a number? Then task=regress.",
        )
    where = {c: i for i, c in enumerate(names)}
    values = np.full((len(sets), len(names)), np.nan)
    for row, chosen in enumerate(sets):
        if chosen is not None:
            values[row] = 0
            values[row, [where[c] for c in chosen]] = 1
    return tuple(names), values


def _listed(text: str) -> tuple[str, ...]:
    """Classes of `membrane;nucleus`; none of `none`."""
    if text.lower() == "none":
        return ()
    return tuple(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


def _class_text(name: str, value: Any, row: int) -> str | None:
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        if value != int(value):
            raise InputError(
                f"label '{name}' is {value:g} in row {row}: classes are texts or whole numbers",
                hint="Numbers are learned by task=regress.",
            )
        return str(int(value))
    text = str(value).strip()
    return None if is_unknown(text) else text


def _by_number(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)
