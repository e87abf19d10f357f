"""Rows of a store that are to be compared: a reference, and the alternatives that go with it.

A variant's window beside the reference's, a mutant beside its wild type: several alternatives may share one reference.
References come before their alternatives, and one whose reference was rejected is rejected too. Knows no domain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError


class Pairs:
    """Collects them.

    Args:
        reference: says of a record which comparison it is of, and whether it is the reference itself; None of a record
            that is not compared. None where the source knows no comparisons.
    """

    def __init__(self, reference: Callable[[Any], tuple[str, bool] | None] | None) -> None:
        self._reference = reference
        self._rows: dict[str, int] = {}
        self._pairs: list[tuple[int, int]] = []

    def check(self, record: Any, name: str) -> None:
        """Raises RecordError for a record whose reference has no row: it would be lost to the comparison in silence."""
        said = self._reference(record) if self._reference else None
        if said is not None and not said[1] and said[0] not in self._rows:
            message = f"'{name}': what it is compared with, '{said[0]}', was rejected or does not come before it"
            raise RecordError("no_reference", message, record=name)

    def add(self, record: Any, row: int) -> None:
        said = self._reference(record) if self._reference else None
        if said is None:
            return
        key, is_reference = said
        if is_reference:
            self._rows[key] = row
        else:
            self._pairs.append((self._rows[key], row))

    def found(self) -> NDArray[np.int64]:
        """(P, 2) reference and alternative."""
        return np.array(self._pairs, dtype=np.int64).reshape(-1, 2)
