"""How long a forecast is right, and how wrong it is on the way: valid prediction times, sMAPE, one-step error.

Errors are those of channels against the truth, (S, H, C) for S starts and H steps. The unit of time is the Lyapunov
time; `steps` says how many steps that is.

    nrmse(k) = sqrt(mean over channels of ((x_k - y_k) / sigma)^2), sigma the attractor's standard deviation per channel
    vpt_nrmse_0.4      steps before nrmse first exceeds 0.4
    smape200(k) = 200 mean over channels of |x_k - y_k| / (|x_k| + |y_k|), 0 to 200
    vpt_csmape200_30   steps before the mean of smape200 over all steps so far first exceeds 30
                       (the convention of dysts' benchmarks, Gilpin 2021, arXiv 2110.05266, and of arXiv 2505.11349)

A forecast that is not finite, or so far away that its square is not, has the worst error there is from then on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NRMSE_LIMIT = 0.4
"""As Vlachas et al. 2020 (arXiv 1910.05266) and most papers on reservoirs since."""
SMAPE_LIMIT = 30.0
WORST_SMAPE = 200.0


def nrmse(forecast: Values, truth: Values, sigma: Values) -> Values:
    """(S, H) the norm of the error at each step; inf where the forecast is gone, NaN where no truth is known."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = ((forecast - truth) / sigma) ** 2
    squares[~np.isfinite(forecast)] = np.inf
    known = np.isfinite(truth)
    sums, count = np.where(known, squares, 0).sum(axis=-1), known.sum(axis=-1)
    mean: Values = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)
    return np.sqrt(mean)


def smape200(forecast: Values, truth: Values) -> Values:
    """(S, H) symmetric mean absolute percentage error over channels, 0 to 200; NaN where no truth is known."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(forecast) + np.abs(truth)
        share = np.divide(np.abs(forecast - truth), size, out=np.zeros(size.shape), where=size > 0)
    share[~np.isfinite(forecast) | ~np.isfinite(size)] = 1.0
    known = np.isfinite(truth)
    sums, count = np.where(known, share, 0).sum(axis=-1), known.sum(axis=-1)
    mean: Values = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)
    return WORST_SMAPE * mean


def cumulative(errors: Values) -> Values:
    """(S, H) the mean of all steps so far, steps without a truth left out."""
    known = np.isfinite(errors)
    sums, count = np.where(known, errors, 0).cumsum(axis=-1), known.cumsum(axis=-1)
    mean: Values = np.divide(sums, count, out=np.zeros(sums.shape), where=count > 0)
    return mean


def valid_steps(errors: Values, limit: float) -> Values:
    """(S,) how many steps come before `errors` (S, H) first exceed `limit`; H where they never do."""
    beyond = errors > limit
    valid: Values = np.where(beyond.any(axis=-1), beyond.argmax(axis=-1), errors.shape[-1]).astype(np.float64)
    return valid


def vpt_nrmse(forecast: Values, truth: Values, sigma: Values, steps: float, cap: float) -> Values:
    """(S,) valid prediction times in Lyapunov times, `cap` where the error stays below 0.4 to the end."""
    return _times(valid_steps(nrmse(forecast, truth, sigma), NRMSE_LIMIT), truth.shape[1], steps, cap)


def vpt_csmape(forecast: Values, truth: Values, steps: float, cap: float) -> Values:
    """(S,) the same where the cumulative sMAPE stays below 30."""
    return _times(valid_steps(cumulative(smape200(forecast, truth)), SMAPE_LIMIT), truth.shape[1], steps, cap)


def diverged(runs: Values, centre: Values, width: Values) -> NDArray[np.bool_]:
    """(S,) whether a run (S, H, C) is ever not finite, or further than 10 widths of the attractor from its centre.

    Args:
        centre: (C,) middle of the attractor's range.
        width: (C,) its range.
    """
    with np.errstate(invalid="ignore"):
        inside = np.abs(runs - centre) <= 10 * width
    return np.logical_not(inside.all(axis=(1, 2)))


def _times(valid: Values, horizon: int, steps: float, cap: float) -> Values:
    return np.where(valid >= horizon, cap, np.minimum(valid / steps, cap))
