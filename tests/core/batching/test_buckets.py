from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching.buckets import length_batches


def padding(positions, order, bounds):
    longest = np.maximum.reduceat(positions[order], bounds[:-1])
    return 1 - positions.sum() / (longest * np.diff(bounds)).sum()


@pytest.mark.parametrize("options", [{"batch_size": 32}, {"batch_size": 32, "batch_tokens": 8192}])
def test_log_normal_lengths_waste_little(options):
    positions = np.exp(np.random.default_rng(0).normal(5, 0.6, 10_000)).astype(np.int64) + 1
    assert padding(positions, *length_batches(positions, 1, **options)) < 0.05
    shuffled = np.random.default_rng(1).permutation(10_000)
    assert padding(positions, shuffled, np.arange(0, 10_001, 32)[: 10_000 // 32]) > 0.5


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 9), st.integers(0, 3))
@settings(deadline=None)
def test_every_row_is_in_one_batch_of_about_equal_size(lengths, batch_size, seed):
    order, bounds = length_batches(np.array(lengths), seed, batch_size=batch_size)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    sizes = np.diff(bounds)
    assert sizes.max() <= batch_size
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(51, 300), st.integers(0, 3))
@settings(deadline=None)
def test_no_batch_has_more_positions_than_it_may(lengths, batch_tokens, seed):
    positions = np.array(lengths)
    order, bounds = length_batches(positions, seed, batch_size=1, batch_tokens=batch_tokens)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    for a, b in pairwise(bounds.tolist()):
        assert 0 < positions[order[a:b]].max() * (b - a) <= batch_tokens


def test_batches_come_in_random_order_and_differ_between_epochs():
    positions = np.random.default_rng(0).integers(20, 200, 2000)
    (order, bounds), (other, _) = (length_batches(positions, epoch, batch_size=16) for epoch in (0, 1))
    longest = positions[order[bounds[:-1]]]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3
    together = {frozenset(order[a : a + 16].tolist()) for a in bounds[:-1]}
    assert not together & {frozenset(other[a : a + 16].tolist()) for a in bounds[:-1]}
