"""Records read once more while labels are learned: when that keeps a label, and what of it training sees."""

from dataclasses import replace

import numpy as np
import pytest

from core.errors import RecordError
from core.finetuning.readings import Readings
from core.finetuning.records import Records
from core.sequence import Sequence
from core.window_policy import WindowPolicy
from tests.core.finetuning.labelled import dna, labelled, share_of_c
from tests.core.finetuning.test_run import QUICK, run
from tests.core.tiny import DNA

ROWS = dna(40)


class Rolled:
    """Letters on a ring, which may be read from any of them.

    Args:
        ring: whether a reading from elsewhere is the same record.
    """

    def __init__(self, ring: bool = True) -> None:
        self.ring = ring

    def decode(self, sequence):
        return sequence.arrays["tokens"]

    def same(self, a, b):
        turns = range(len(a) if self.ring else 1)
        return any(np.array_equal(np.roll(a, k), b) for k in turns)

    def view_record(self, record, rng):
        return Sequence({"tokens": np.roll(record, int(rng.integers(len(record))))})


class Single(Rolled):
    """One reading each."""

    def view_record(self, record, rng):
        return Sequence({"tokens": record})


class Refusing(Rolled):
    """Those of an even number of letters cannot be read otherwise."""

    def view_record(self, record, rng):
        if len(record) % 2 == 0:
            raise RecordError("even", "an even number of letters")
        return super().view_record(record, rng)


@pytest.fixture
def records(tmp_path):
    store = labelled(tmp_path / "s.zarr", ROWS, {"c": [share_of_c(row) for row in ROWS]})
    return Records(store, np.arange(40), DNA, WindowPolicy(length=32, look_back=0), "mean")


def read(records):
    return [s.source.slice(s.start, s.start + s.tokens).arrays["tokens"].tolist() for s in records.stretches]


@pytest.mark.parametrize(
    ("tokenizer", "keeps"), [(Rolled(), True), (Refusing(), True), (Rolled(ring=False), False), (Single(), False)]
)
def test_a_label_is_kept_where_every_other_reading_is_the_same_record(records, tokenizer, keeps):
    assert Readings(records, tokenizer).keep_labels(np.arange(40)) is keeps


def test_the_chosen_ones_are_read_anew_by_counters(records):
    readings, chosen = Readings(records, Refusing()), np.arange(10)
    before, once, again, later = (
        read(r) for r in (records, *(readings.again(chosen, 0, epoch) for epoch in (1, 1, 2)))
    )
    assert once == again != later
    assert once[10:] == before[10:]
    for old, new in zip(before, once, strict=True):
        assert Rolled().same(np.array(old), np.array(new))
    even = [i for i in range(10) if len(before[i]) % 2 == 0]
    assert even
    assert all(once[i] == before[i] for i in even)
    assert read(records) == before


@pytest.mark.parametrize(("views", "ring", "told"), [("auto", True, True), ("none", True, False), ("all", False, True)])
def test_training_reads_them_as_it_is_told(tmp_path, views, ring, told):
    store = labelled(tmp_path / "s.zarr", ROWS, {"c": [share_of_c(row) for row in ROWS]})
    said = []
    config = replace(QUICK, views=views)
    found = run(store, config, tokenizer=Rolled(ring), say=said.append)
    assert any(line.startswith("views") for line in said) is told
    plain = run(store, replace(config, views="none"))
    assert (found.best.course.losses[1:] != plain.best.course.losses[1:]) is told
    assert found.best.course.losses[0] == plain.best.course.losses[0]
