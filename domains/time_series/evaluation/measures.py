"""From forecasts to rows of a metric table: MASE, sMAPE, quantile loss, CRPS, coverage, calibration.

Every mean is kept as sums by origin, so that intervals resample origins of one series together for all models.
Origins closer to each other than a season or a horizon are resampled as one block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.evaluation import MINUS, MODEL, MetricTable, Totals, interval
from core.order import rng
from domains.time_series.evaluation.baselines import Forecasts
from domains.time_series.evaluation.origins import Panel, Target, Values

BANDS = (50, 80, 90)
"""Central bands whose coverage is counted, in per cent."""
LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Quantiles that every model gives: the ends of BANDS, the deciles of WQL, and 20 bins of probability for the PIT."""
DECILES = tuple(round(0.1 * i, 1) for i in range(1, 10))
MANY_SERIES = 20
"""From so many series on, series are resampled, not origins within each; fewer have rows of their own."""
WEIGHTED = "wql"


@dataclass
class Errors:
    """One model's errors on one target, summed over the observed steps of each block of origins; U blocks."""

    absolute: Values
    """(U,) of the points."""
    symmetric: Values
    """(U,) 200 |e| / (|y| + |f|)."""
    pinball: Values
    """(U,) twice the quantile loss, mean over DECILES."""
    crps: Values
    """(U,) twice the quantile loss, mean over LEVELS: the CRPS up to the step between levels (Laio and Tamea 2007)."""
    inside: Values
    """(len(BANDS), U) steps inside each band."""
    n: Values
    """(U,) observed steps."""
    size: Values
    """(U,) sum of |y|."""
    pit: Values
    """(len(LEVELS) + 1,) how often the truth fell between which quantiles."""
    by_step: Values
    """(H,) mean absolute error at each step ahead."""


def errors_of(target: Target, forecasts: Forecasts, horizon: int) -> Errors:
    """Every error of one model on one target."""
    truth = target.truth(horizon)
    there = np.isfinite(truth)
    y = np.where(there, truth, 0.0)
    blocks = np.unique((target.origins - target.origins[0]) // max(target.season, horizon), return_inverse=True)[1]
    levels = np.array(LEVELS)

    def summed(values: Values) -> Values:
        """(..., O, H) -> (..., U)"""
        per_origin = np.where(there, values, 0.0).sum(-1)
        belongs = (blocks[:, None] == np.arange(int(blocks.max()) + 1)).astype(np.float64)
        totals: Values = per_origin @ belongs
        return totals

    error = np.abs(y - forecasts.point)
    both = np.abs(y) + np.abs(forecasts.point)
    q = np.moveaxis(forecasts.quantiles, 1, 0)
    over = y[None] - q
    loss = 2 * np.maximum(levels[:, None, None] * over, (levels[:, None, None] - 1) * over)
    deciles = np.isin(levels, DECILES)
    inside = []
    for band in BANDS:
        low, high = (q[_index(0.5 + side * band / 200)] for side in (-1, 1))
        inside.append((low <= y) & (y <= high))
    # On a border of several equal quantiles the truth counts half on either side.
    bins = ((q < y).sum(0) + (q <= y).sum(0)) / 2
    pit = np.bincount(np.floor(bins[there]).astype(np.int64), minlength=len(LEVELS) + 1).astype(np.float64)
    counts = there.sum(0)
    by_step = np.divide(np.where(there, error, 0).sum(0), counts, out=np.full(horizon, np.nan), where=counts > 0)
    return Errors(
        summed(error),
        summed(np.divide(200 * error, both, out=np.zeros_like(error), where=both > 0)),
        summed(loss[deciles].mean(0)),
        summed(loss.mean(0)),
        summed(np.stack(inside).astype(np.float64)),
        summed(there.astype(np.float64)),
        summed(np.abs(y)),
        pit,
        by_step,
    )


def _index(level: float) -> int:
    return LEVELS.index(round(level, 2))


Table = Mapping[str, Sequence[Errors]]
"""Model to its errors, one a target of the panel."""


def add_metrics(
    table: MetricTable, panel: Panel, errors: Table, reference: str, *, data: str, split: str, seed: int, resamples: int
) -> None:
    """All rows: first the ratios to the reference over all series, then means, then each series by itself."""
    m = panel.season
    label = f"{data}/{split}"
    suffix = f"{'snaive' if m > 1 else 'naive'}{m}"
    ratio = _Ratios(panel, errors, reference, seed, resamples)
    ratio.add(table, f"mase_ratio_{suffix}", label, lambda e: e.absolute)
    ratio.add(table, f"wql_ratio_{suffix}", label, lambda e: e.pinball)
    measures = _measures(panel, m)
    for name, parts in measures.items():
        pooled = {
            model: _pooled([parts(t, e) for t, e in zip(panel.targets, rows, strict=True)])
            for model, rows in errors.items()
        }
        table.measure(name, pooled, split=label, seed=seed, resamples=resamples)
    if 1 < len(panel.targets) < MANY_SERIES:
        for i, target in enumerate(panel.targets):
            own = f"{target.id if target.id != data else f'{data}.{target.id}'}/{split}"
            single = Panel([target], panel.horizon)
            alone = {model: [rows[i]] for model, rows in errors.items()}
            ratio = _Ratios(single, alone, reference, seed, resamples)
            ratio.add(table, f"mase_ratio_{suffix}", own, lambda e: e.absolute)
            ratio.add(table, f"wql_ratio_{suffix}", own, lambda e: e.pinball)
            for name, parts in measures.items():
                totals = {model: parts(target, rows[i]) for model, rows in errors.items()}
                table.measure(name, totals, split=own, seed=seed, resamples=resamples)


def _measures(panel: Panel, season: int) -> dict[str, Callable[[Target, Errors], Totals]]:
    """Name to the parts of the mean that it is; in all of them each series has its own weight of 1 when pooled."""
    found: dict[str, Callable[[Target, Errors], Totals]] = {
        f"mase_m{season}": lambda t, e: Totals(e.absolute / t.scale, e.n),
        WEIGHTED: lambda t, e: Totals(e.pinball, e.size),
        "smape200": lambda t, e: Totals(e.symmetric, e.n),
        f"crps_over_m{season}": lambda t, e: Totals(e.crps / t.scale, e.n),
    }
    for i, band in enumerate(BANDS):
        found[f"coverage_{band}"] = lambda t, e, i=i: Totals(100 * e.inside[i], e.n)  # type: ignore[misc]
    return found


def _pooled(parts: Sequence[Totals]) -> Totals:
    """Blocks of several series, each series with the same weight; whole series as the blocks where they are many."""
    if len(parts) >= MANY_SERIES:
        return Totals(np.array([p.mean for p in parts]), np.ones(len(parts)))
    return Totals(
        np.concatenate([p.sums / p.weights.sum() for p in parts]),
        np.concatenate([p.weights / p.weights.sum() for p in parts]),
    )


class _Ratios:
    """Geometric means over series of a model's loss over the reference's, with paired intervals."""

    def __init__(self, panel: Panel, errors: Table, reference: str, seed: int, resamples: int) -> None:
        self.panel, self.errors, self.reference, self.resamples = panel, errors, reference, resamples
        sizes = [len(e.n) for e in errors[reference]]
        self.n = len(sizes) if len(sizes) >= MANY_SERIES else sum(sizes)
        random = rng("bootstrap", seed, "ratios")
        if len(sizes) >= MANY_SERIES:
            chosen = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples)
            self._series = chosen.astype(np.float64)
            self._blocks: list[Values] = []
        else:
            self._series = np.ones((resamples, len(sizes)))
            self._blocks = [random.multinomial(u, np.full(u, 1 / u), size=resamples).astype(np.float64) for u in sizes]

    def add(self, table: MetricTable, name: str, label: str, loss: Callable[[Errors], Values]) -> None:
        """A row for every model, and of foretell's difference to each baseline."""
        values, draws = {}, {}
        for model, rows in self.errors.items():
            pairs = [(loss(e), loss(r)) for e, r in zip(rows, self.errors[self.reference], strict=True)]
            logs = np.array([_log_ratio(a.sum(), b.sum()) for a, b in pairs])
            values[model] = float(np.exp(logs.mean()))
            if self._blocks:
                drawn = np.stack(
                    [_log_ratio(w @ a, w @ b) for w, (a, b) in zip(self._blocks, pairs, strict=True)], axis=1
                )
            else:
                drawn = np.broadcast_to(logs, (self.resamples, len(logs)))
            # Hours without snow may be all that a draw has of a series: nobody errs there, which compares nothing.
            weights = self._series * (drawn < np.inf)
            logs_told = np.where(weights > 0, drawn, 0.0) * weights
            draws[model] = np.exp(logs_told.sum(1) / np.maximum(weights.sum(1), 1))
        for model, value in values.items():
            low, high = interval(draws[model]) if self.n > 1 else (None, None)
            table.add(name, value, split=label, model=model, low=low, high=high, n=self.n)
        for model, value in values.items():
            if model == MODEL or MODEL not in values:
                continue
            low, high = interval(draws[MODEL] - draws[model]) if self.n > 1 else (None, None)
            table.add(f"{name}{MINUS}{model}", values[MODEL] - value, split=label, low=low, high=high, n=self.n)


def _log_ratio(loss: Values, reference: Values) -> Values:
    """0 / 0 counts as equal: both are perfect."""
    loss, reference = np.asarray(loss, np.float64), np.asarray(reference, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((loss == 0) & (reference == 0), 0.0, np.log(loss) - np.log(reference))
