import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batching.mixture import Mixture
from core.errors import ConfigError

weights = st.lists(st.floats(0.01, 10), min_size=1, max_size=5)


def test_two_stores_three_to_one():
    mixture = Mixture([3, 1])
    assert [mixture.ranges(4 * b, 4 * b + 4) for b in range(2)] == [[(0, 3), (0, 1)], [(3, 6), (1, 2)]]


@given(weights, st.integers(0, 10**7))
def test_prefixes_are_full_in_proportion_and_grow(weights, n):
    mixture = Mixture(weights)
    counts, more = mixture.counts(n), mixture.counts(n + 1)
    assert counts.sum() == n
    assert sorted((more - counts).tolist()) == [0] * (len(weights) - 1) + [1]
    assert np.abs(counts - mixture.weights * n).max() <= len(weights) / 2 + 1


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(1, 60))
def test_equal_times_are_always_in_the_same_order(weights, n):
    mixture = Mixture(weights)
    taken = [mixture.counts(i + 1) - mixture.counts(i) for i in range(n)]
    assert all((t >= 0).all() and t.sum() == 1 for t in taken)


@pytest.mark.parametrize("bad", [[], [0.0, 1.0], [-1.0], [float("nan")], [float("inf")]])
def test_weights_must_be_positive(bad):
    with pytest.raises(ConfigError, match="positive"):
        Mixture(bad)
