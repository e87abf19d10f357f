import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching.packing import best_fit, packed_rows


def test_documents_fill_the_fullest_row_with_room():
    assert best_fit(np.array([6, 5, 3, 4, 2]), 10).tolist() == [0, 1, 1, 0, 1]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(0, 3))
@settings(deadline=None)
def test_every_document_once_and_no_row_too_long(lengths, seed):
    positions = np.array(lengths)
    order, bounds = packed_rows(positions, seed, length=20)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    filled = np.add.reduceat(positions[order], bounds[:-1])
    assert filled.max() <= 20
    assert np.diff(bounds).min() >= 1
    assert (filled <= 10).sum() <= 1  # two half-empty rows would have been one


def test_little_stays_empty_and_pools_are_joined():
    positions = np.minimum(np.exp(np.random.default_rng(0).normal(4, 0.6, 10_000)).astype(np.int64) + 1, 256)
    order, bounds = packed_rows(positions, 0, length=256)
    assert np.add.reduceat(positions[order], bounds[:-1]).max() <= 256
    assert 1 - positions.sum() / (256 * (len(bounds) - 1)) < 0.02
    assert not np.array_equal(order, packed_rows(positions, 1, length=256)[0])
