"""Other readings of a record while labels are learned: another spelling of a molecule, another walk over a graph.

A label that belongs to the object holds for each of them, so every epoch can read other tokens (for SMILES: Bjerrum
2017, arXiv 1703.07076). Prediction reads the record as the store has it.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ForetellError
from core.finetuning.records import Records
from core.order import rng
from core.sequence import Sequence
from core.tokenizer import Tokenizer
from core.window_policy import Stretch

_TRIED = 32
"""Records that are read anew to see what this tokenizer's readings are."""


class Readings:
    """What the records of a store look like when they are read once more.

    Args:
        records: as the store has them.
        tokenizer: the store's.
    """

    def __init__(self, records: Records, tokenizer: Tokenizer[Any]) -> None:
        self.records, self.tokenizer = records, tokenizer

    def keep_labels(self, chosen: NDArray[np.int64]) -> bool:
        """Whether there are other readings and all decode to the same record: then any label of it holds for them."""
        others = 0
        for i in chosen[:_TRIED].tolist():
            stored = self._sequence(i)
            view = self._view(stored, "tried", i)
            if view is None or _equal(view, stored):
                continue
            others += 1
            if not self.tokenizer.same(self.tokenizer.decode(stored), self.tokenizer.decode(view)):
                return False
        return others > 0

    def again(self, chosen: NDArray[np.int64], *counters: int | str) -> Records:
        """All records, the chosen ones in another reading, which is a function of the counters and the record's place.

        One that has no other reading (its random spelling needs a symbol that the tokenizer lacks) stays as it is.
        """
        read = copy.copy(self.records)
        read.stretches = list(read.stretches)
        for i in chosen.tolist():
            view = self._view(self._sequence(i), *counters, i)
            if view is not None:
                read.stretches[i] = Stretch(view, 0, len(view))
        return read

    def _sequence(self, i: int) -> Sequence:
        stretch = self.records.stretches[i]
        return stretch.source.slice(stretch.start, stretch.start + stretch.tokens)

    def _view(self, stored: Sequence, *counters: int | str) -> Sequence | None:
        try:
            return self.tokenizer.view_record(self.tokenizer.decode(stored), rng("finetune_view", *counters))
        except ForetellError:  # no whole record, or a reading that cannot be written
            return None


def _equal(a: Sequence, b: Sequence) -> bool:
    return all(np.array_equal(a.arrays[name], b.arrays[name]) for name in b.arrays)
