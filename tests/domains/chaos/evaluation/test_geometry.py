"""Geometry of attractors against what is known of them, and against series that are not them."""

from __future__ import annotations

import numpy as np
import pytest

from domains.chaos.evaluation.geometry import (
    correlation_dimension,
    divergence_name,
    lyapunov_exponent,
    spectra,
    spectral_distance,
    state_space_divergence,
)
from domains.chaos.source.lyapunov import first_decorrelation, rosenstein, theiler_window, unfold

DT = 1 / 0.9056 / 30


def test_lorenz_63_has_its_known_invariants(orbit) -> None:
    """The example: dimension 2.05, exponent 0.906."""
    values = orbit("lorenz63", 4000)
    assert correlation_dimension(values) == pytest.approx(2.05, abs=0.1)
    assert lyapunov_exponent(values, DT) == pytest.approx(0.906, rel=0.15)
    assert lyapunov_exponent(values[:, :1], DT) == pytest.approx(0.906, rel=0.2)  # from x alone, by delays


def test_henon_has_its_known_invariants(orbit) -> None:
    values = orbit("henon", 4000)
    assert correlation_dimension(values) == pytest.approx(1.21, abs=0.06)
    assert lyapunov_exponent(values, 1.0) == pytest.approx(0.419, rel=0.05)


def test_a_set_diverges_from_itself_by_nothing_and_from_others_by_their_distance(orbit) -> None:
    truth, other = (orbit("lorenz63", 4000, i) for i in range(2))
    deviation = truth.std(axis=0)
    assert state_space_divergence(truth, truth) == pytest.approx(0, abs=1e-9)
    floor = state_space_divergence(truth, other)
    shifted = [state_space_divergence(truth, other + share * deviation) for share in (0.1, 0.3, 1.0)]
    assert 0 < floor < shifted[0] < shifted[1] < shifted[2]
    nowhere = state_space_divergence(truth, np.full((4000, 3), np.nan))
    assert np.isfinite(nowhere)
    assert nowhere > shifted[2]
    half = np.where(np.arange(4000)[:, None] < 2000, truth, np.inf)
    assert floor < state_space_divergence(truth, half) < nowhere


def test_above_three_channels_the_states_are_gaussians(orbit) -> None:
    truth, other = (orbit("lorenz96", 800, i) for i in range(2))
    assert (divergence_name(3), divergence_name(10)) == ("dstsp_hist", "dstsp_gmm")
    assert state_space_divergence(truth, truth) == pytest.approx(0, abs=1e-9)
    floor = state_space_divergence(truth, other)
    assert 0 < floor < state_space_divergence(truth, other + truth.std(axis=0))
    assert np.isfinite(state_space_divergence(truth, np.full((100, 10), np.inf)))


def test_spectra_are_equal_shifted_or_apart(orbit) -> None:
    truth, other = (orbit("lorenz63", 4000, i) for i in range(2))
    assert spectral_distance(truth, truth) == pytest.approx(0, abs=1e-7)
    assert spectral_distance(truth, 7 * truth - 3) == pytest.approx(0, abs=1e-7)  # each standardised by itself
    assert spectral_distance(truth, other) < 0.15
    faster = orbit("lorenz63", 4000, 1)[::2]
    assert spectral_distance(truth[:2000], faster) > 2 * spectral_distance(truth[:2000], other[:2000])
    time = np.arange(4000)[:, None]
    low, high = np.sin(2 * np.pi * 0.01 * time), np.sin(2 * np.pi * 0.2 * time)
    assert spectral_distance(low, high) == pytest.approx(1, abs=1e-6)
    assert spectra(low).sum() == pytest.approx(1)


def test_a_run_that_stands_still_or_is_gone_is_as_far_as_can_be(orbit) -> None:
    truth = orbit("lorenz63", 4000)
    still = np.repeat(truth[:1], 4000, axis=0)
    for run in (still, np.full_like(truth, np.inf)):
        assert spectral_distance(truth, run) == 1
        assert np.isnan(correlation_dimension(run))
        assert np.isnan(lyapunov_exponent(run, DT))
    assert spectral_distance(still, still) == 0


def test_a_line_and_a_square_have_their_dimensions() -> None:
    draw = np.random.default_rng(0).uniform(size=(4000, 2))
    assert correlation_dimension(draw) == pytest.approx(2, abs=0.1)
    assert correlation_dimension(np.stack([draw[:, 0], 2 * draw[:, 0]], axis=1)) == pytest.approx(1, abs=0.05)


def test_noise_and_cycles_have_no_exponent() -> None:
    draw = np.random.default_rng(0)
    assert np.isnan(rosenstein(draw.normal(size=(3000, 1))).exponent)
    assert np.isnan(rosenstein(np.zeros((3000, 2))).exponent)
    assert np.isnan(rosenstein(draw.normal(size=(50, 2))).exponent)


def test_periods_and_delays_are_those_of_a_sine() -> None:
    wave = np.sin(2 * np.pi * np.arange(2000) / 40)[:, None]
    assert theiler_window(wave) == 40
    assert first_decorrelation(wave) == pytest.approx(40 * np.arccos(1 / np.e) / (2 * np.pi), abs=1)
    vectors = unfold(wave)
    lag = first_decorrelation(wave)
    assert np.array_equal(vectors[0], wave[6 * lag :: -lag, 0][:7])
