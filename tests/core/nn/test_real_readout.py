"""Readouts of real values are likelihoods: they integrate to 1, and their inverse distribution function fits them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from core.nn.readout import REAL_READOUTS, RealReadout
from core.nn.real_readout import FLOOR, Gaussian, PointEstimate, Quantile
from core.sequence import real

VECTOR = real("x", 2)
DENSITIES = ("gaussian", "student_t", "quantile")


def readout(kind: str, width: int = 2) -> RealReadout:
    torch.manual_seed(0)
    made = REAL_READOUTS.get(kind)(8, real("x", width))
    assert isinstance(made, RealReadout)
    nn.init.normal_(made.proj.weight, std=0.3)
    return made


@pytest.mark.parametrize("kind", DENSITIES)
def test_a_density_integrates_to_one(kind: str) -> None:
    made, hidden = readout(kind, 1), torch.randn(1, 8)
    grid = torch.sinh(torch.linspace(-9, 9, 40_001).double())[:, None]
    density = (-made.double().nll(hidden.double().expand(len(grid), -1), grid)).exp()
    assert torch.trapezoid(density, grid[:, 0]).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", DENSITIES)
def test_the_inverse_distribution_function_is_that_of_the_density(kind: str) -> None:
    made, hidden = readout(kind, 1).double(), torch.randn(8).double()
    levels = torch.linspace(0.01, 0.99, 99).double()[:, None]
    values = made.icdf(hidden.expand(99, 8), levels)[:, 0]
    assert (values.diff() > 0).all()
    grid = torch.sinh(torch.linspace(-9, 9, 40_001).double())
    density = (-made.nll(hidden.expand(len(grid), -1), grid[:, None])).exp()
    mass = torch.cat((torch.zeros(1).double(), torch.cumulative_trapezoid(density, grid)))
    at = torch.searchsorted(grid, values.contiguous())
    torch.testing.assert_close(mass[at], levels[:, 0], rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", [*DENSITIES, "mse"])
def test_draws_follow_their_generator_and_lie_around_the_centre(kind: str) -> None:
    made = readout(kind)
    hidden = torch.randn(8).expand(20_000, 8)
    draws = made.sample(hidden, torch.Generator().manual_seed(1))
    torch.testing.assert_close(draws.median(0).values, made.mean(hidden[0]), rtol=0, atol=0.06)
    assert torch.equal(draws, made.sample(hidden, torch.Generator().manual_seed(1)))
    if kind != "mse":
        assert not torch.equal(draws, made.sample(hidden, torch.Generator().manual_seed(2)))


def test_a_gaussian_starts_with_scale_one_and_never_reaches_zero() -> None:
    made = Gaussian(8, VECTOR)
    torch.testing.assert_close(made.distribution(torch.zeros(8))[1], torch.ones(2), rtol=0, atol=1e-3)
    with torch.no_grad():
        made.proj.bias.fill_(-1e4)
    assert made.nll(torch.zeros(8), torch.full((2,), -1e4)).isfinite()
    assert made.distribution(torch.zeros(8))[1].min() >= FLOOR


def test_mse_is_a_gaussian_of_scale_one_without_its_constant() -> None:
    made, hidden, target = PointEstimate(8, VECTOR), torch.randn(4, 8), torch.randn(4, 2)
    normal = torch.distributions.Normal(made.mean(hidden), 1.0)
    expected = -normal.log_prob(target).sum(-1) - 2 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(made.nll(hidden, target), expected)


def test_quantiles_never_cross_and_start_as_a_standard_normal() -> None:
    made = Quantile(8, VECTOR)
    nn.init.zeros_(made.proj.weight)
    normal = torch.special.ndtri(torch.tensor(Quantile.LEVELS))
    torch.testing.assert_close(made.quantiles(torch.zeros(8))[1], normal, rtol=0, atol=1e-4)
    nn.init.normal_(made.proj.weight, std=5.0)
    assert (made.quantiles(torch.randn(100, 8)).diff(dim=-1) >= 0).all()
    assert made.nll(torch.randn(100, 8), torch.randn(100, 2)).isfinite().all()


def test_the_pinball_loss_is_least_at_the_true_quantiles() -> None:
    made = Quantile(1, real("x", 1))
    nn.init.zeros_(made.proj.weight)
    target = torch.randn(10_000, 1, generator=torch.Generator().manual_seed(0)) * 2 + 1
    optimiser = torch.optim.Adam(made.parameters(), lr=0.05)
    for _ in range(150):
        loss = made.component_loss(torch.zeros(1).expand(len(target), 1), target).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expected = torch.special.ndtri(torch.tensor(Quantile.LEVELS)) * 2 + 1
    torch.testing.assert_close(made.quantiles(torch.zeros(1))[0].detach(), expected, rtol=0, atol=0.1)
