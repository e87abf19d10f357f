"""One part of a store measured: forecasts of every model from the same starts, free runs of every model, their scores.

Everything that figures are drawn from is kept; `tables.py` says what of it becomes rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from domains.chaos.evaluation.baselines import BASELINES, Forecaster
from domains.chaos.evaluation.baselines.material import Values
from domains.chaos.evaluation.cases import Case, Start, interpolated
from domains.chaos.evaluation.geometry import (
    correlation_dimension,
    lyapunov_exponent,
    spectral_distance,
    state_space_divergence,
)
from domains.chaos.evaluation.horizon import diverged, nrmse, smape200, vpt_csmape, vpt_nrmse
from domains.chaos.source.trajectory import Trajectory

TRUTH = "truth"
"""What the floor of a geometry metric is called: another true trajectory in the place of the model's run."""
ONE_STEP_PLACES = 12
"""Places along each start's truth where the next step is predicted from the true past; with observation noise only the
first, since what follows the context has none."""
SMAPE_TIMES = (1, 4, 10)
"""Units of time."""

Model = Callable[[list[Trajectory], int], list[Values]]
"""(contexts, steps) to (steps, C) each."""


@dataclass
class Forecasts:
    """One system's forecasts by model, in the data's own units."""

    case: Case
    truth: Values
    """(S, H, C)"""
    paths: dict[str, Values]
    """(S, H, C) by model."""
    errors: dict[str, Values]
    """(S, H) nrmse by model."""


@dataclass
class FreeRuns:
    """One system's long runs by model, and the truth of the same length; geometry by metric and model."""

    case: Case
    truths: list[Values]
    runs: dict[str, list[Values]]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Found:
    """What was measured of one part."""

    forecasts: list[Forecasts] = field(default_factory=list)
    free_runs: list[FreeRuns] = field(default_factory=list)
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Metric to model to one value a start, over all systems in order."""

    def add(self, metric: str, model: str, values: Iterable[float]) -> None:
        self.scores.setdefault(metric, {}).setdefault(model, []).extend(float(v) for v in values)


def measure_forecasts(case: Case, models: Mapping[str, Model], found: Found, *, cap: float) -> Forecasts:
    """Rolls every model out from every start of a case and adds the scores to `found`.

    Args:
        cap: units of time after which a valid prediction time ends.
    """
    truth = np.stack([start.truth for start in case.starts])
    contexts = [start.context for start in case.starts]
    sigma = case.sigma
    middle, width = case.extent
    paths, errors = {}, {}
    for name, model in models.items():
        path = np.stack(model(contexts, case.horizon))
        paths[name], errors[name] = path, nrmse(path, truth, sigma)
        found.add("vpt_nrmse_0.4", name, vpt_nrmse(path, truth, sigma, case.steps, cap))
        found.add("vpt_csmape200_30", name, vpt_csmape(path, truth, case.steps, cap))
        percent = smape200(path, truth)
        for times in SMAPE_TIMES:
            steps = max(1, round(times * case.steps))
            if steps <= case.horizon:
                found.add(f"smape200_{times}", name, np.nanmean(percent[:, :steps], axis=1))
        found.add("nrmse_one_step", name, _one_step(case, model))
        found.add("diverged_share", name, diverged(path, middle, width))
    return Forecasts(case, truth, paths, errors)


def measure_free_runs(case: Case, models: Mapping[str, Model], *, steps: int) -> FreeRuns | None:
    """Runs every model on from the start of every long truth; None where there is none of at least 200 steps.

    Each run is compared with a truth that it did not start from where there are two, and the truths with each other:
    that is the floor. With a single one the floor is the end of the training series.
    """
    long = [start for start in case.long if len(start.truth) >= 200]
    if not long:
        return None
    length = min(steps, *(len(start.truth) for start in long))
    truths = [interpolated(start.truth[:length]) for start in long]
    others = truths[1:] + truths[:1] if len(truths) > 1 else truths
    runs: dict[str, list[Values]] = {}
    for name, model in models.items():
        runs[name] = [run[:length] for run in model([start.context for start in long], length)]
    if len(truths) > 1:
        runs[TRUTH] = truths
    elif case.train and len(case.train[-1]) >= length:
        runs[TRUTH] = [interpolated(case.train[-1][-length:])]
    scored = FreeRuns(case, truths, runs)
    for name, each in runs.items():
        pairs = list(zip(others, each, strict=True))
        for metric, values in _geometry(case, pairs).items():
            scored.scores.setdefault(metric, {})[name] = _mean(values)
    return scored


def _geometry(case: Case, pairs: list[tuple[Values, Values]]) -> dict[str, list[float]]:
    """Every geometry metric of each (truth, run)."""
    middle, width = case.extent
    found: dict[str, list[float]] = {
        "dstsp": [state_space_divergence(truth, run) for truth, run in pairs],
        "dh_smoothed": [spectral_distance(truth, run) for truth, run in pairs],
        "free_run_diverged_share": [float(diverged(run[None], middle, width)[0]) for _, run in pairs],
    }
    bounded = [run for (_, run), gone in zip(pairs, found["free_run_diverged_share"], strict=True) if not gone]
    found["correlation_dimension"] = [correlation_dimension(run) for run in bounded]
    if case.lyapunov is not None:
        found["lyapunov_exponent"] = [lyapunov_exponent(run, case.dt) for run in bounded]
    return found


def _one_step(case: Case, model: Model) -> list[float]:
    """Per start the root mean square of the error of the next step, in standard deviations of the attractor."""
    places = 1 if case.noise else min(ONE_STEP_PLACES, case.horizon)
    offsets = np.linspace(0, case.horizon - 1, places).astype(int)
    contexts = [_history(start, int(offset)) for start in case.starts for offset in offsets]
    truth = np.stack([start.truth[offset] for start in case.starts for offset in offsets])[:, None]
    paths = np.stack(model(contexts, 1))
    errors = nrmse(paths, truth, case.sigma).reshape(len(case.starts), places)
    squares = np.where(np.isfinite(errors), errors, np.nan) ** 2
    return [float(np.sqrt(np.nanmean(row))) if np.isfinite(row).any() else float("nan") for row in squares]


def _history(start: Start, offset: int) -> Trajectory:
    """The context as it is `offset` steps later, of the same length."""
    past = np.concatenate([start.context.values, start.truth[:offset]])
    return replace(start.context, values=past[len(past) - len(start.context) :])


def baseline(case: Case, forecaster: Forecaster) -> Model:
    """A fitted baseline in the data's own units."""

    def model(contexts: list[Trajectory], steps: int) -> list[Values]:
        given = np.stack([case.standardised(context.values) for context in contexts])
        with np.errstate(invalid="ignore"):
            return list(forecaster.roll_out(given, steps) * case.sigma + case.centre)

    return model


def fit_baselines(case: Case, names: Iterable[str], say: Callable[[str], None]) -> dict[str, Model]:
    """The named baselines fitted to one case."""
    material = case.material()
    fitted: dict[str, Model] = {}
    for name in names:
        say(f"fitting {name}" + (f" to {case.system}" if case.system else ""))
        forecaster = BASELINES[name](material)
        fitted[forecaster.name] = baseline(case, forecaster)
    return fitted


def _mean(values: list[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")
