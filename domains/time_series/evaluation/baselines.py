"""What a sceptic would forecast with: naive, seasonal naive, drift, and a direct ridge regression on the past.

Each gives points and, from its own errors before the test part, quantiles: the point plus the error's quantiles at that
step ahead. AutoETS and AutoTheta come from statsforecast where they are asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from domains.time_series.evaluation.origins import Panel, Steps, Target, Values, season_index

FOLDS = 5
"""Stretches of time in the ridge regression's cross-validation."""
PENALTIES = 10.0 ** np.arange(-1, 6, 0.5)
"""Ridge penalties that are tried, for inputs in units of the series' deviation."""
MOST_WINDOWS = 50_000
"""Windows that a ridge regression is fitted on at most, evenly spread: 336 inputs are known to three digits then."""
_CLASSICAL_HISTORY = 1000


@dataclass
class Forecasts:
    """What one model says of one target."""

    point: Values
    """(O, H) what absolute errors are taken of: a median where there is one."""
    quantiles: Values
    """(O, Q, H)"""


Method = Callable[[Values, Steps, int], Values]
"""(T,) values without gaps, (O,) origins, horizon -> (O, H) points."""


def naive(values: Values, origins: Steps, horizon: int) -> Values:
    """The last value."""
    return np.repeat(values[origins - 1, None], horizon, axis=1)


def seasonal_naive(season: int) -> Method:
    """The value one season before, or two ... where the horizon is longer."""

    def forecast(values: Values, origins: Steps, horizon: int) -> Values:
        ahead = np.arange(horizon)
        back = season * (ahead // season + 1) - ahead
        points: Values = values[np.maximum(origins[:, None] - back, 0)]
        return points

    return forecast


def drift(values: Values, origins: Steps, horizon: int) -> Values:
    """The line from the first to the last value goes on."""
    slope: Values = (values[origins - 1] - values[0]) / np.maximum(origins - 1, 1)
    line: Values = values[origins - 1, None] + slope[:, None] * np.arange(1, horizon + 1)
    return line


def without_gaps(values: Values, season: int) -> Values:
    """Missing steps have the value of a season before, else the last one, else the first; causal but for the start."""
    out = values.copy()
    for back in (season, 1):
        for at in np.flatnonzero(np.isnan(out)):
            if at >= back:
                out[at] = out[at - back]
    first = out[np.argmax(np.isfinite(out))] if np.isfinite(out).any() else 0.0
    return np.where(np.isnan(out), first, out)


def simple_baselines(panel: Panel, levels: Sequence[float]) -> dict[str, list[Forecasts]]:
    """naive, drift, and the seasonal naive forecasts of a season and, for days of hours, of a week."""
    found: dict[str, list[Forecasts]] = {}
    for name, method in _simple(panel).items():
        found[name] = [_with_errors(target, method(target), panel.horizon, levels) for target in panel.targets]
    return found


def _simple(panel: Panel) -> dict[str, Callable[[Target], Method]]:
    m = panel.season
    methods: dict[str, Callable[[Target], Method]] = {}
    if any(t.season > 1 for t in panel.targets):
        methods[f"seasonal_naive_{m}"] = lambda t: seasonal_naive(t.season)
    if m in (24, 48):
        methods[f"seasonal_naive_{7 * m}"] = lambda t: seasonal_naive(7 * t.season)
    return {**methods, "naive": lambda t: naive, "drift": lambda t: drift}


def reference(panel: Panel) -> str:
    """The baseline that ratios are taken to: the seasonal naive one, naive where there is no season."""
    return next(iter(_simple(panel)))


def _with_errors(target: Target, method: Method, horizon: int, levels: Sequence[float]) -> Forecasts:
    """Points, and quantiles from the errors on every step of the training and validation parts."""
    values = without_gaps(target.values, target.season)
    first = min(target.train[0] + max(2 * target.season, 2), target.train[1])
    stop = max(target.train[1], target.validation[1])
    past = np.arange(first, stop - horizon + 1)
    errors = np.full((0, horizon), np.nan)
    if len(past):
        past = past[:: -(-len(past) // MOST_WINDOWS)]
        errors = target.values[past[:, None] + np.arange(horizon)] - method(values, past, horizon)
    return spread_out(method(values, target.origins, horizon), errors, levels)


def spread_out(point: Values, errors: Values, levels: Sequence[float]) -> Forecasts:
    """Points (O, H) with the quantiles of errors (N, H) at each step ahead; the points alone where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step ahead that was never observed
        around = np.nanquantile(errors, levels, axis=0) if len(errors) else np.zeros((len(levels), point.shape[1]))
    return Forecasts(point, point[:, None] + np.nan_to_num(around))


@dataclass(frozen=True)
class RidgeDesign:
    """Inputs of a direct linear forecast: `lags` past values less their recent mean, that mean, and, with `places`, an
    intercept for each place in the longer season.
    """

    lags: int
    recent: int
    """Steps of the mean that is taken off."""
    centre: float
    spread: float
    places: Steps | None = None
    """(T,)"""
    n_places: int = 0

    def inputs(self, values: Values, origins: Steps) -> tuple[Values, Values]:
        """(O, F) inputs and (O, 1) the mean that was taken off."""
        windows = np.lib.stride_tricks.sliding_window_view(values, self.lags)[origins - self.lags]
        mean = windows[:, -self.recent :].mean(axis=1, keepdims=True)
        columns = [(windows - mean) / self.spread, (mean - self.centre) / self.spread, np.ones_like(mean)]
        if self.places is not None:
            columns.append((self.places[origins, None] == np.arange(self.n_places)).astype(np.float64))
        return np.concatenate(columns, axis=1), mean

    def targets(self, values: Values, origins: Steps, mean: Values, horizon: int) -> Values:
        scaled: Values = (values[origins[:, None] + np.arange(horizon)] - mean) / self.spread
        return scaled


def ridge(target: Target, lags: int, horizon: int, levels: Sequence[float], *, places: bool) -> Forecasts:
    """A ridge regression of each of the next `horizon` values on the last `lags` (Hastie et al. 2009, eq. 3.44).

    Training and validation parts are cut into FOLDS stretches of time: the penalty is what forecasts each of them best
    from the others, and those errors give the quantiles.
    """
    values = without_gaps(target.values, target.season)
    start, stop = _learned_from(target)
    place = season_index(target) if places else None
    part = values[start:stop]
    design = RidgeDesign(
        lags,
        min(lags, 7 * target.season),
        float(part.mean()),
        float(part.std()) or 1.0,
        None if place is None else place[0],
        0 if place is None else place[1],
    )
    origins = np.arange(start + lags, stop - horizon + 1)
    folds = np.array_split(origins[:: -(-len(origins) // MOST_WINDOWS)], FOLDS)
    inputs, means = zip(*(design.inputs(values, fold) for fold in folds), strict=True)
    wanted = [design.targets(values, f, m, horizon) for f, m in zip(folds, means, strict=True)]
    grams = np.stack([x.T @ x for x in inputs])
    moments = np.stack([x.T @ y for x, y in zip(inputs, wanted, strict=True)])
    errors: dict[float, list[Values]] = {penalty: [] for penalty in PENALTIES}
    for k, fold in enumerate(folds):
        sizes, axes = np.linalg.eigh(grams.sum(0) - grams[k])
        rotated = axes.T @ (moments.sum(0) - moments[k])
        seen, truth = inputs[k] @ axes, target.values[fold[:, None] + np.arange(horizon)]
        for penalty in PENALTIES:
            said = seen @ (rotated / (np.maximum(sizes, 0) + penalty)[:, None]) * design.spread + means[k]
            errors[penalty].append(truth - said)
    chosen = min(PENALTIES, key=lambda p: float(np.nanmean([np.nanmean(np.abs(e)) for e in errors[p]])))
    weights = np.linalg.solve(grams.sum(0) + chosen * np.eye(grams.shape[1]), moments.sum(0))
    now, mean = design.inputs(values, target.origins)
    return spread_out(now @ weights * design.spread + mean, np.concatenate(errors[chosen]), levels)


def _learned_from(target: Target) -> tuple[int, int]:
    """Training and validation parts, which stand beside each other, as one."""
    (start, stop), validation = target.train, target.validation
    return (start, max(stop, validation[1])) if validation[0] == stop else (start, stop)


def ridge_baselines(panel: Panel, lags: int, levels: Sequence[float]) -> dict[str, list[Forecasts]]:
    """With and without an intercept for each place in the season; none where the shortest series has no room for it."""
    room = min(min(stop - start, int(t.origins[0])) for t in panel.targets for start, stop in [_learned_from(t)])
    lags = min(lags, room // 4)
    if lags < max(3, panel.season) or room - lags < FOLDS * (panel.horizon + 1):
        return {}
    found = {f"ridge_ar_{lags}": [ridge(t, lags, panel.horizon, levels, places=False) for t in panel.targets]}
    if all(season_index(t) is not None for t in panel.targets):
        from domains.time_series.tokenizer.calendar import usual_calendar

        name = usual_calendar(panel.targets[0].freq)[0]
        found[f"ridge_ar_{lags}_{name}"] = [ridge(t, lags, panel.horizon, levels, places=True) for t in panel.targets]
    return found


def classical_baselines(panel: Panel, levels: Sequence[float]) -> dict[str, list[Forecasts]]:
    """AutoETS and AutoTheta of statsforecast, fitted anew at every origin on the last _CLASSICAL_HISTORY steps.

    Raises ConfigError where statsforecast is not installed.
    """
    try:
        from statsforecast.models import AutoETS, AutoTheta
    except ImportError as error:
        raise ConfigError(
            "evaluation.classical=true needs statsforecast", hint="Install it: pip install 'foretell[time_series]'."
        ) from error
    found: dict[str, list[Forecasts]] = {}
    for name, model in (("auto_ets", AutoETS), ("auto_theta", AutoTheta)):
        found[name] = [_classical(t, model(season_length=t.season), panel.horizon, levels) for t in panel.targets]
    return found


def _classical(target: Target, model: object, horizon: int, levels: Sequence[float]) -> Forecasts:
    """Its mean and the normal quantiles of its 80 % interval, as statsforecast gives them."""
    from scipy.stats import norm

    values = without_gaps(target.values, target.season)
    points = np.empty((len(target.origins), horizon))
    deviations = np.empty_like(points)
    for i, origin in enumerate(target.origins):
        history = values[max(0, origin - _CLASSICAL_HISTORY) : origin]
        said = model.forecast(y=history, h=horizon, level=[80])  # type: ignore[attr-defined]
        points[i] = said["mean"]
        deviations[i] = (said["hi-80"] - said["lo-80"]) / (2 * norm.ppf(0.9))
    z = norm.ppf(np.asarray(levels))
    quantiles: NDArray[np.float64] = points[:, None] + z[:, None] * deviations[:, None]
    return Forecasts(points, quantiles)
