"""Spans of a store one after the other, in reads that are large enough: short ones beside each other cost one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence

READ_TOKENS = 2**18
"""Tokens read at once where spans are short."""


class Readable(Protocol):
    """What is asked of a store."""

    @property
    def offsets(self) -> NDArray[np.int64]: ...

    @property
    def n_tokens(self) -> int: ...

    def read(self, start: int, stop: int) -> Any: ...


def read_spans(store: Readable, spans: NDArray[np.int64]) -> Iterator[Sequence]:
    """The tokens of each span, spans (S, 3) of sequence, start and stop in tokens, with the id that a read gives."""
    begin = end = 0
    source: Any = None
    for row, start, stop in np.asarray(spans, dtype=np.int64).tolist():
        first, last = int(store.offsets[row]) + start, int(store.offsets[row]) + stop
        if source is None or not begin <= first <= last <= end:
            begin, end = first, max(last, min(first + READ_TOKENS, store.n_tokens))
            source = store.read(begin, end)
        yield source.slice(first - begin, last - begin)
