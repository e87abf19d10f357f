"""Whether a free run has the attractor's shape and rhythm, long after any forecast must fail.

    dstsp_hist   Kullback-Leibler divergence of the state space histograms, truth from run (Koppe et al. 2019, PLoS
                 Comp. Biol. 15:e1007263; Brenner et al. 2022, arXiv 2207.02542), nats; up to three channels
    dstsp_gmm    the same with a Gaussian on every standardised state, by Monte Carlo (Hershey and Olsen 2007); above
    dh_smoothed  Hellinger distance of smoothed power spectra, mean over channels (Mikhaeil et al. 2022, arXiv
                 2110.07238; Hess et al. 2023, arXiv 2306.04406), 0 to 1
    correlation_dimension  slope of the correlation sum (Grassberger and Procaccia 1983)

All depend on the length of the series, so another true trajectory of the same length stands beside each as its floor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.order import rng
from domains.chaos.source.lyapunov import rosenstein, theiler_window, unfold

Values = NDArray[np.float64]

BINS = 30
"""A dimension, as in the papers."""
ALPHA = 1e-5
"""Added to every bin, so that a bin the run never visits is improbable and not impossible; as Hess et al. 2023."""
ROOM = 0.1
"""Standard deviations that the histogram reaches beyond the truth's range."""
GMM_VARIANCE = 0.1
"""Of the Gaussians on standardised states: a third of a standard deviation, about how far states of 3,000-step runs of
ten channels lie from their nearest neighbours."""
GMM_SAMPLES = 1000
FAREST = -1e3
"""Log density of a state that is nowhere near any other."""
SPECTRAL_WIDTH = 0.005
"""Standard deviation of the smoothing kernel in cycles a step: 20 bins of a run of 4,000 steps, as the papers take for
theirs; independent of the length."""
STILL = 1e-9
"""Relative spread below which a run stands still."""
MOST_STATES = 4000
"""Of a longer series, the correlation sum takes so many, evenly spread."""
RADII = (0.05, 0.5)
"""The scaling region, in units of the attractor's standard deviation over all channels. [4,000 points of Lorenz-63,
three orbits: 2.05, 2.02, 2.07 for a dimension of 2.05 +- 0.01; Henon 1.19 for 1.21 +- 0.01.]"""


def state_space_divergence(truth: Values, run: Values) -> float:
    """D_stsp of a run (T', C) from the truth (T, C), nats; states that are not finite fall outside."""
    return _histogram_divergence(truth, run) if truth.shape[1] <= 3 else _gmm_divergence(truth, run)


def divergence_name(channels: int) -> str:
    return "dstsp_hist" if channels <= 3 else "dstsp_gmm"


def _histogram_divergence(truth: Values, run: Values) -> float:
    deviation = truth.std(axis=0)
    low, high = truth.min(axis=0) - ROOM * deviation, truth.max(axis=0) + ROOM * deviation
    edges = [np.linspace(a, b if b > a else a + 1, BINS + 1) for a, b in zip(low, high, strict=True)]
    p, q = (_shares(_finite(states), edges, len(states)) for states in (truth, run))
    return float((p * np.log(p / q)).sum())


def _shares(states: Values, edges: list[Values], count: int) -> Values:
    """Of `count` states the share in each bin. What lies outside is missing inside: a run that left is far from it,
    where shares of the states inside only would make an empty histogram a uniform one.
    """
    found: Values = (np.histogramdd(states, edges)[0] + ALPHA) / (count + ALPHA * BINS ** len(edges))
    return found


def _gmm_divergence(truth: Values, run: Values) -> float:
    centre, deviation = truth.mean(axis=0), truth.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    first, second = ((_finite(states) - centre) / deviation for states in (truth, run))
    drawn = rng("dstsp", *first.shape)
    samples = first[drawn.integers(0, len(first), GMM_SAMPLES)]
    samples = samples + np.sqrt(GMM_VARIANCE) * drawn.standard_normal(samples.shape)
    return float((_log_density(samples, first) - _log_density(samples, second)).mean())


def _log_density(samples: Values, means: Values) -> Values:
    """(M,) log of the mixture of equal Gaussians on `means`, without its constant, and not below FAREST."""
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    if not len(means):
        return np.full(len(samples), FAREST)
    exponents = -cdist(samples, means, "sqeuclidean") / (2 * GMM_VARIANCE)
    density: Values = np.maximum(logsumexp(exponents, axis=1) - np.log(len(means)), FAREST)
    return density


def spectral_distance(truth: Values, run: Values) -> float:
    """D_H of a run (T, C) from a truth (T, C); 1 where the run is not finite or stands still and the truth does not."""
    length = min(len(truth), len(run))
    if not np.isfinite(run[:length]).all():
        return 1.0
    p, q = (spectra(states[:length]) for states in (truth, run))
    overlap = np.sqrt(p * q).sum(axis=0)
    still = (p.sum(axis=0) == 0) & (q.sum(axis=0) == 0)
    return float(np.sqrt(np.clip(1 - np.where(still, 1.0, overlap), 0, None)).mean())


def spectra(values: Values) -> Values:
    """(F, C) smoothed power spectra that sum to 1; 0 for a constant channel."""
    from scipy.ndimage import gaussian_filter1d

    centred = values - values.mean(axis=0)
    power = np.abs(np.fft.rfft(centred, axis=0)) ** 2
    power = gaussian_filter1d(power, SPECTRAL_WIDTH * len(values), axis=0)
    total = power.sum(axis=0)
    alive = total > 1e-20 * (1 + (values**2).sum(axis=0)) * len(values)
    shares: Values = np.where(alive, power / np.where(alive, total, 1.0), 0.0)
    return shares


def correlation_dimension(values: Values) -> float:
    """The slope of log C(r) over log r within RADII; NaN where a run is not finite, too short or stands still.

    Pairs closer in time than the mean period are left out (Theiler 1986).
    """
    from scipy.spatial import cKDTree

    if len(_finite(values)) < len(values) or len(values) < 200:
        return float("nan")
    states = unfold(values)
    spread = np.linalg.norm(states.std(axis=0))
    if spread <= STILL * (1 + np.linalg.norm(states.mean(axis=0))):
        return float("nan")
    every = max(1, len(states) // MOST_STATES)
    window = theiler_window(states) // every
    states = states[::every] / spread
    radii = np.geomspace(*RADII, 12)
    tree = cKDTree(states)
    within = np.asarray(tree.count_neighbors(tree, radii), np.float64) - len(states)
    for apart in range(1, window + 1):
        distance = np.linalg.norm(states[apart:] - states[:-apart], axis=1)
        within -= 2 * (distance[:, None] <= radii).sum(axis=0)
    seen = within > 20
    if seen.sum() < 4:
        return float("nan")
    return float(np.polyfit(np.log(radii[seen]), np.log(within[seen]), 1)[0])


def lyapunov_exponent(values: Values, dt: float) -> float:
    """The largest exponent of a run (Rosenstein et al. 1993), per unit of time; NaN where nothing parts."""
    return rosenstein(values, dt).exponent if np.isfinite(values).all() else float("nan")


def _finite(states: Values) -> Values:
    return states[np.isfinite(states).all(axis=1)]
