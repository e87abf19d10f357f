"""Records read once more while labels are learned: when that keeps a label, and what of it training sees."""

from dataclasses import replace

import numpy as np
import pytest

from core.errors import RecordError
from core.finetuning.other_readings import OtherReadings
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


class Conditioned(Rolled):
    """What stands before the letters is no part of what is decoded."""

    conditions = ("strength",)


class Growing(Rolled):
    """Another reading has a letter more."""

    def view_record(self, record, rng):
        return Sequence({"tokens": np.append(record, record[:1])})


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
    ("tokenizer", "there", "same"),
    [
        (Rolled(), True, True),
        (Refusing(), True, True),
        (Rolled(ring=False), True, False),
        (Single(), False, True),
        (Conditioned(), False, False),
    ],
)
def test_a_label_is_kept_where_every_other_reading_is_the_same_record(records, tokenizer, there, same):
    assert OtherReadings(records, tokenizer).tried(np.arange(40)) == (there, same)


def test_the_chosen_ones_are_read_anew_by_counters(records):
    readings, chosen = OtherReadings(records, Refusing()), np.arange(10)
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
    assert (readings.asked, readings.kept) == (30, 3 * len(even))


def test_a_reading_that_is_longer_than_the_model_reads_is_not_taken(records):
    records.policy = WindowPolicy(length=10, look_back=0)
    readings = OtherReadings(records, Growing())
    grown = [len(a) > len(b) for a, b in zip(read(readings.again(np.arange(40))), read(records), strict=True)]
    assert grown == [len(row) < 10 for row in ROWS]
    assert readings.kept == sum(len(row) >= 10 for row in ROWS)


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
