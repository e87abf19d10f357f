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


class OtherReadings:
    """What the records of a store look like when they are read once more.

    `kept` of `asked` readings were the stored ones, for want of another: a random spelling may need a symbol that the
    tokenizer lacks, or be longer than the model reads at once.

    Args:
        records: as the store has them.
        tokenizer: the store's.
    """

    def __init__(self, records: Records, tokenizer: Tokenizer[Any]) -> None:
        self.records, self.tokenizer = records, tokenizer
        self.asked = self.kept = 0

    def tried(self, chosen: NDArray[np.int64]) -> tuple[bool, bool]:
        """Of the first of them: whether any has another reading, and whether all that have are the same record then,
        so that any label holds."""
        if getattr(self.tokenizer, "conditions", ()):
            return False, False  # which stand before the record and are no part of it: they would be lost
        there = False
        for i in chosen[:_TRIED].tolist():
            stored = self._sequence(i)
            view = self._view(stored, "tried", i)
            if view is None or _equal(view, stored):
                continue
            there = True
            if not self._same(stored, view):
                return True, False
        return there, True

    def again(self, chosen: NDArray[np.int64], *counters: int | str) -> Records:
        """All records, the chosen ones in another reading, which is a function of the counters and the record's place;
        those without one as they are."""
        read = copy.copy(self.records)
        read.stretches = list(read.stretches)
        longest = self.records.policy.length
        for i in chosen.tolist():
            view = self._view(self._sequence(i), *counters, i)
            self.asked += 1
            if view is None or len(view) > max(longest, read.stretches[i].tokens):
                self.kept += 1
            else:
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

    def _same(self, a: Sequence, b: Sequence) -> bool:
        try:
            return self.tokenizer.same(self.tokenizer.decode(a), self.tokenizer.decode(b))
        except ForetellError:
            return False


def _equal(a: Sequence, b: Sequence) -> bool:
    return a.arrays.keys() == b.arrays.keys() and all(np.array_equal(a.arrays[k], b.arrays[k]) for k in b.arrays)
