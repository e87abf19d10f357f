"""From logits to a symbol: filters are what they say, draws have the distribution they should."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decoding.sampling import SamplingConfig, draw, filtered
from core.decoding.slots import uniforms
from core.errors import ConfigError


def test_temperature_zero_takes_the_likeliest_and_the_lowest_id_among_equals():
    found = filtered(torch.tensor([[0.0, 3.0, 3.0, -1.0]]), SamplingConfig(temperature=0.0))
    assert found.tolist() == [[0.0, 1.0, 0.0, 0.0]]


@settings(max_examples=60, deadline=None)
@given(
    # equal, or further apart than an exponential function's last digit
    st.lists(st.integers(-512, 512).map(lambda i: i / 64), min_size=2, max_size=12),
    st.floats(0.1, 3),
    st.integers(0, 12),
    st.floats(0.05, 1),
    st.floats(0, 1),
)
def test_filters_are_what_they_say(logits, temperature, top_k, top_p, min_p):
    weights = filtered(torch.tensor([logits]), SamplingConfig(temperature, top_k, top_p, min_p))[0].numpy()
    full = np.exp(np.float32(logits).astype(np.float64) / temperature)
    order = np.argsort(-full, kind="stable")
    kept = np.ones(len(logits), bool)
    if top_k:
        kept[order[top_k:]] = False
    share = np.where(kept, full, 0) / full[kept].sum()
    before = np.cumsum(share[order]) - share[order]
    kept[order[before >= top_p + 1e-12]] = False
    kept &= full >= min_p * full.max() * (1 - 1e-12)
    doubtful = np.zeros(len(logits), bool)
    doubtful[order[np.abs(before - top_p) < 1e-9]] = True
    assert ((weights > 0) == kept)[~doubtful].all()
    assert weights[order[0]] > 0
    both = (weights > 0) & kept
    assert np.allclose(weights[both] / weights[order[0]], full[both] / full[order[0]])


def test_draws_have_the_distribution_they_should():
    weights = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0]], dtype=torch.float64)
    n = 20_000
    drawn = draw(weights.expand(n, -1), torch.from_numpy(uniforms(n, 0)))
    counts = np.bincount(drawn.numpy(), minlength=6) / n
    assert np.abs(counts - weights[0].numpy()).max() < 4 * np.sqrt(0.25 / n)
    assert counts[[0, 2, 5]].sum() == 0
    edges = draw(weights.expand(2, -1), torch.tensor([0.0, 1 - 2.0**-32], dtype=torch.float64))
    assert edges.tolist() == [1, 4]


@pytest.mark.parametrize(
    "key, value", [("temperature", -1), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0), ("min_p", 2)]
)
def test_values_that_are_not_allowed_are_named(key, value):
    with pytest.raises(ConfigError, match=f"sampling.{key}"):
        SamplingConfig(**{key: value})
