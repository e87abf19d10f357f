"""Many records at once, for sources whose records are short and plain: letters end to end, a name and a length each.

Ingestion keeps such rows in one go where nothing about them is unusual; else it asks for the records one by one, and
what becomes of each is decided there. So a fast path never decides anything. Knows no format and no alphabet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Plain records: no labels, no group, no stamp, no side, none empty."""

    names: list[str]
    """As many as there are records."""
    letters: NDArray[np.uint8]
    """Of all of them, as `RecordSource.letters` gives those of one."""
    lengths: NDArray[np.int64]
    """(n,) letters of each."""
    records: Callable[[], Iterator[Any]]
    """The same as iterating over the source gives them: records and rejects."""
    counted: Callable[[], None] = lambda: None
    """To be called where they are kept in one go: the source then counts them as read."""

    def each(self) -> Iterator[NDArray[np.uint8]]:
        """The letters of one record after the other."""
        ends = np.cumsum(self.lengths)
        for start, end in zip((ends - self.lengths).tolist(), ends.tolist(), strict=True):
            yield self.letters[start:end]
