"""The largest Lyapunov exponent of a series, where no equations are known (Rosenstein, Collins and De Luca 1993).

Each state's nearest neighbour on another pass of the orbit is followed; the mean logarithm of their distance grows with
the exponent as its slope, until the distance is that of the attractor. Also what it stands on: delay vectors
(Takens 1981), and the time within which neighbours are neighbours in time only (Theiler 1986).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DELAYS = 7
"""Delay vectors of a scalar series: above twice the dimension of the low-dimensional attractors seen here."""
NEIGHBOURS = 40
"""How many neighbours are looked through for one outside the Theiler window."""
POINTS = 20_000
"""Of a longer series the first so many are taken."""
LOWER, UPPER = 0.15, 0.5
"""The slope is fitted between these shares of the rise of the mean log distance: behind the alignment with the fastest
direction, before saturation. [4,000 points, five orbits, share of the known exponent: Lorenz-63 0.99 +- 0.07, Henon
1.01 +- 0.01, Rossler 0.83 +- 0.02.]"""

STILL = 1e-9
"""Relative spread below which a channel stands still."""
LEAST_RISE = 1.5
"""Nats that the mean log distance must rise: nearest neighbours that are already as far apart as an ECG's (1.1) show
noise or too short a series, and a slope of theirs is no exponent."""


@dataclass(frozen=True)
class Divergence:
    """How nearby orbits part."""

    times: NDArray[np.float64]
    """(K,) in the unit of `dt`."""
    log_distance: NDArray[np.float64]
    """(K,) mean of the logarithm."""
    exponent: float
    """Slope per unit of time; NaN where there is no rise to fit."""
    fitted: tuple[int, int]
    """First and one after the last of the points that the slope is fitted to."""


def rosenstein(values: NDArray[np.float64], dt: float = 1.0, *, horizon: int | None = None) -> Divergence:
    """The divergence curve of a series (T, C) and its slope.

    Args:
        horizon: steps that neighbours are followed; None: until the curve stands, 10 mean periods at most.

    A series that is constant, too short, too noisy, or not finite has no exponent: NaN.
    """
    from scipy.spatial import cKDTree

    states = unfold(np.asarray(values, np.float64)[:POINTS])
    nothing = Divergence(np.zeros(0), np.zeros(0), float("nan"), (0, 0))
    if not len(states) or not np.isfinite(states).all():
        return nothing
    spread = states.std(axis=0)
    moving = spread > STILL * (np.abs(states.mean(axis=0)) + spread.max())
    if not moving.any():
        return nothing
    states = states[:, moving] / spread[moving]
    window = theiler_window(states)
    follow = horizon or max(20, min(10 * window, len(states) // 4))
    starts = len(states) - follow
    if starts < 10 * NEIGHBOURS:
        return nothing
    _, near = cKDTree(states[:starts]).query(states[:starts], k=NEIGHBOURS)
    apart = np.abs(near - np.arange(starts)[:, None]) > window
    found = apart.any(axis=1)
    index = np.flatnonzero(found)
    other = near[index, apart[index].argmax(axis=1)]
    if len(index) < 10:
        return nothing
    curve = np.empty(follow)
    for k in range(follow):
        distance = np.linalg.norm(states[index + k] - states[other + k], axis=1)
        curve[k] = np.log(distance[distance > 0]).mean() if (distance > 0).any() else -np.inf
    times = np.arange(follow, dtype=np.float64) * dt
    first, last = _rise(curve)
    if last - first < 3:
        return Divergence(times, curve, float("nan"), (first, last))
    slope = float(np.polyfit(times[first:last], curve[first:last], 1)[0])
    return Divergence(times, curve, slope if slope > 0 else float("nan"), (first, last))


def unfold(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """States (T', D): several channels as they are, a single one as delay vectors (Takens 1981)."""
    if values.shape[1] > 1:
        return values
    return delay_vectors(values, DELAYS, first_decorrelation(values))


def delay_vectors(values: NDArray[np.float64], delays: int, lag: int) -> NDArray[np.float64]:
    """(T - (delays - 1) lag, delays C): each state with `delays - 1` earlier ones, `lag` steps apart, the latest
    first."""
    length = len(values) - (delays - 1) * lag
    if length < 1:
        return np.zeros((0, delays * values.shape[1]))
    parts = [values[(delays - 1 - j) * lag : (delays - 1 - j) * lag + length] for j in range(delays)]
    return np.concatenate(parts, axis=1)


def first_decorrelation(values: NDArray[np.float64]) -> int:
    """The first lag in steps at which the autocorrelation, averaged over channels, has fallen to 1 / e."""
    centred = values - values.mean(axis=0)
    power = np.abs(np.fft.rfft(centred, 2 * len(values), axis=0)) ** 2
    correlation = np.fft.irfft(power, axis=0)[: len(values)].sum(axis=1)
    below = np.flatnonzero(correlation < correlation[0] / np.e)
    return int(max(1, below[0])) if len(below) else 1


def theiler_window(values: NDArray[np.float64]) -> int:
    """The mean period in steps: the inverse of the mean frequency of the power spectrum, as Rosenstein et al. take."""
    power = (np.abs(np.fft.rfft(values - values.mean(axis=0), axis=0)) ** 2).sum(axis=1)
    frequencies = np.fft.rfftfreq(len(values))
    mean = float((power * frequencies).sum() / power.sum()) if power.sum() else 0.0
    return int(min(np.ceil(1 / mean), len(values) // 4)) if mean > 0 else 1


def _rise(curve: NDArray[np.float64]) -> tuple[int, int]:
    """Where the curve is between LOWER and UPPER of its way from the start to where it stands."""
    ceiling = float(np.median(np.sort(curve)[-max(3, len(curve) // 5) :]))
    floor = float(curve[0])
    if not np.isfinite(floor) or ceiling < floor + LEAST_RISE:
        return 0, 0
    share = (curve - floor) / (ceiling - floor)
    last = int(np.argmax(share >= UPPER)) if (share >= UPPER).any() else len(curve)
    below = np.flatnonzero(share[:last] <= LOWER)
    return (int(below[-1]) + 1 if len(below) else 0), last
