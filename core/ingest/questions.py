"""Rows that are questions, several about one record: which stands for its record when records and labels are counted.

Knows of tasks only how `core.tasks.source` calls rows (`RECORD#task`) and their labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.split import SplitPlan

WHOLE, START = "piece_of", "piece_start"
"""Labels of rows about pieces of records: the record's name, and the units before the piece."""
ROW_LABELS = ("task", WHOLE, START)
"""Labels that differ between the rows of one record."""


def asks(source: Any) -> bool:
    """Whether the rows of a source are questions."""
    return hasattr(source, "tasks")


def first_rows(names: Many[str], labels: Mapping[str, Many[NDArray[Any]]]) -> NDArray[np.bool_]:
    """(N,) whether a row is the first about its record, which is asked nothing twice.

    Args:
        names: of the rows, in order, as the source calls them.
        labels: those of `ROW_LABELS` that there are, each in pieces of rows.
    """
    wholes = [name.rpartition("#")[0] for name in names]
    if WHOLE in labels:
        wholes = np.concatenate(labels[WHOLE]).tolist()
    first = np.zeros(len(names), bool)
    record, seen = None, set[str]()
    for row, (name, whole) in enumerate(zip(names, wholes, strict=True)):
        if whole != record or name in seen:
            record, seen, first[row] = whole, set(), True
        seen.add(name)
    return first


def asked(first: NDArray[np.bool_], plan: SplitPlan, *, pieces: bool) -> dict[str, int]:
    """How many `records` are asked about and, unless the rows are about pieces of them, how many of these are `copies`.

    Copies are not told either where the split has dealt out rows that were refused afterwards.
    """
    records, rows, found = int(first.sum()), sum(plan.report["records"].values()), plan.report["duplicates"]
    if found is None or pieces or rows != len(first):
        return {"records": records}
    return {"records": records, "copies": records - (rows - found["records"])}
