"""Readouts are likelihoods: they sum or integrate to 1, and their draws have the moments that they state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from core.errors import ConfigError
from core.nn.readout import Categorical, Gaussian, PointEstimate, make_readout, readout_kinds
from core.sequence import TokenSpec, real, symbol
from core.vocabulary import Vocabulary

LETTERS = symbol("s", Vocabulary(("A", "B")))
VECTOR = real("x", 2)


def test_a_categorical_sums_to_one_over_the_whole_vocabulary() -> None:
    readout, hidden = Categorical(8, LETTERS), torch.randn(3, 5, 8)
    nats = torch.stack([readout.nll(hidden, torch.full((3, 5), i)) for i in range(7)])
    torch.testing.assert_close((-nats).exp().sum(0), torch.ones(3, 5))
    torch.testing.assert_close(nats[6], -readout.logits(hidden).log_softmax(-1)[..., 6])
    assert readout.nll(hidden[0, 0], torch.tensor(6)).shape == ()


def test_a_small_vocabulary_is_read_out_in_float32_under_autocast() -> None:
    readout, hidden = Categorical(64, LETTERS), torch.randn(50, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = readout.logits(hidden)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, readout.logits(hidden))


def test_a_gaussian_integrates_to_one() -> None:
    readout, hidden = Gaussian(8, real("x", 1)), torch.randn(1, 8)
    grid = torch.linspace(-12, 12, 20_001)[:, None]
    density = (-readout.nll(hidden.expand(len(grid), -1), grid)).exp()
    assert (density.sum() * 24 / 20_000).item() == pytest.approx(1, abs=1e-4)


def test_draws_of_a_gaussian_have_its_moments_and_follow_their_generator() -> None:
    torch.manual_seed(0)
    readout = Gaussian(8, VECTOR)
    nn.init.normal_(readout.proj.weight)
    hidden = torch.randn(8).expand(100_000, 8)
    draws = readout.sample(hidden, torch.Generator().manual_seed(1))
    mean, scale = readout.distribution(hidden[0])
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.05)
    torch.testing.assert_close(draws.std(0), scale, rtol=0.02, atol=0)
    torch.testing.assert_close(readout.mean(hidden[0]), mean)
    assert torch.equal(draws, readout.sample(hidden, torch.Generator().manual_seed(1)))
    assert not torch.equal(draws, readout.sample(hidden, torch.Generator().manual_seed(2)))


def test_a_gaussian_starts_with_scale_one_and_never_reaches_zero() -> None:
    readout = Gaussian(8, VECTOR)
    torch.testing.assert_close(readout.distribution(torch.zeros(8))[1], torch.ones(2), rtol=0, atol=1e-3)
    with torch.no_grad():
        readout.proj.bias.fill_(-1e4)
    assert readout.nll(torch.zeros(8), torch.full((2,), -1e4)).isfinite()
    assert readout.distribution(torch.zeros(8))[1].min() >= Gaussian.FLOOR


def test_mse_is_a_gaussian_of_scale_one_without_its_constant() -> None:
    readout, hidden, target = PointEstimate(8, VECTOR), torch.randn(4, 8), torch.randn(4, 2)
    normal = torch.distributions.Normal(readout.mean(hidden), 1.0)
    expected = -normal.log_prob(target).sum(-1) - 2 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(readout.nll(hidden, target), expected)
    assert torch.equal(readout.sample(hidden), readout.mean(hidden))


def test_kinds_have_defaults_and_must_fit_their_field() -> None:
    spec = TokenSpec((LETTERS, VECTOR))
    assert readout_kinds(spec) == {"s": "categorical", "x": "gaussian"}
    assert isinstance(make_readout(readout_kinds(spec, {"x": "mse"})["x"], 8, VECTOR), PointEstimate)
    with pytest.raises(ConfigError, match="unknown readout of a symbol field 'gaussian'"):
        readout_kinds(spec, {"s": "gaussian"})
    with pytest.raises(ConfigError, match="unknown readout of a real field 'gausian'; did you mean 'gaussian'"):
        readout_kinds(spec, {"x": "gausian"})
    with pytest.raises(ConfigError, match="'y': that is not a target field"):
        readout_kinds(spec, {"y": "mse"})
