"""Valid prediction times and percentage errors against answers that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from domains.chaos.evaluation.horizon import (
    cumulative,
    diverged,
    nrmse,
    smape200,
    valid_steps,
    vpt_csmape,
    vpt_nrmse,
)

STEPS, CAP = 30.0, 10.0
SIGMA = np.array([2.0, 5.0])


def truth(starts: int = 3, horizon: int = 300) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(starts, horizon, 2)) * SIGMA


def test_a_perfect_forecast_reaches_the_cap() -> None:
    """The example."""
    y = truth()
    assert vpt_nrmse(y, y, SIGMA, STEPS, CAP).tolist() == [CAP] * 3
    assert vpt_csmape(y, y, STEPS, CAP).tolist() == [CAP] * 3
    assert smape200(y, y).max() == 0


@pytest.mark.parametrize("first", [1e-2, 1e-3, 1e-4])
def test_an_error_that_grows_by_e_a_lyapunov_time_is_valid_for_its_logarithm(first: float) -> None:
    y = truth()
    error = first * np.exp(np.arange(300) / STEPS)
    forecast = y + error[None, :, None] * SIGMA
    assert nrmse(forecast, y, SIGMA) == pytest.approx(np.tile(error, (3, 1)))
    expected = np.log(0.4 / first)
    assert vpt_nrmse(forecast, y, SIGMA, STEPS, CAP) == pytest.approx(expected, abs=1.01 / STEPS)


def test_the_norm_is_the_root_of_the_mean_over_channels() -> None:
    y = np.zeros((1, 1, 2))
    assert nrmse(y + np.array([2.0, 0.0]), y, SIGMA)[0, 0] == pytest.approx(np.sqrt(0.5))


def test_steps_are_counted_up_to_the_first_that_is_beyond() -> None:
    errors = np.array([[0.1, 0.5, 0.1, 0.9], [0.9, 0.1, 0.1, 0.1], [0.4, 0.4, 0.4, 0.4]])
    assert valid_steps(errors, 0.4).tolist() == [1, 0, 4]


def test_percentages_are_of_the_mean_of_both_sides_and_at_most_200() -> None:
    y = np.array([[[1.0, 1.0], [1.0, 0.0], [1.0, 2.0]]])
    x = np.array([[[3.0, 1.0], [-1.0, 0.0], [1.0, 2.0]]])
    assert smape200(x, y).tolist() == [[50.0, 100.0, 0.0]]
    assert cumulative(smape200(x, y)).tolist() == [[50.0, 75.0, 50.0]]
    assert smape200(-y, y).max() == 200


def test_a_cumulative_error_forgives_what_an_instant_does_not() -> None:
    y = np.ones((1, 300, 1))
    x = y.copy()
    x[0, 200] = -1  # one step of 200 %: mean 1 % so far
    assert vpt_csmape(x, y, STEPS, CAP)[0] == CAP
    assert vpt_nrmse(x, y, np.ones(1), STEPS, CAP)[0] == pytest.approx(200 / STEPS)


def test_what_is_gone_has_the_worst_error_from_there_on() -> None:
    y = truth()
    x = y.copy()
    x[0, 60:], x[1, 90, 0], x[2, 30] = np.nan, np.inf, 1e200
    assert vpt_nrmse(x, y, SIGMA, STEPS, CAP).tolist() == [2.0, 3.0, 1.0]
    assert smape200(x, y)[0, 60:].tolist() == [200.0] * 240
    assert diverged(x, np.zeros(2), 6 * SIGMA).tolist() == [True, True, True]
    assert diverged(y, np.zeros(2), 6 * SIGMA).tolist() == [False] * 3


def test_missing_truth_counts_for_nobody() -> None:
    y = truth()
    x = y + 0.1 * SIGMA
    y[:, 100:150, 0] = np.nan
    y[:, 200] = np.nan
    errors = nrmse(x, y, SIGMA)
    assert np.isnan(errors[:, 200]).all()
    assert np.delete(errors, 200, axis=1) == pytest.approx(0.1)
    assert vpt_nrmse(x, y, SIGMA, STEPS, CAP).tolist() == [CAP] * 3
    assert np.isfinite(cumulative(smape200(x, y))).all()
