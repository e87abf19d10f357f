"""Nats per step: the negative log-density of the test part in raw units, given what came before each step.

So a model of patches, of bins and of digits compare. Beside it a seasonal naive forecast with Laplace errors, whose
width is the mean absolute error of the training part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.evaluation import MODEL, MetricTable, Totals, block_totals
from core.store import TokenStore
from domains.time_series.evaluation.baselines import without_gaps
from domains.time_series.evaluation.origins import Panel, Target, Values, in_steps
from domains.time_series.tasks import Scorer, span_nats
from domains.time_series.tokenizer.shared import SeriesTokenizer


def add_nats(
    table: MetricTable,
    engine: Scorer,
    store: TokenStore,
    tokenizer: SeriesTokenizer[Any],
    panel: Panel,
    *,
    label: str,
    split: str,
    reference: str,
    seed: int,
    resamples: int,
) -> None:
    """Rows `nats_per_step`, each series with the same weight, intervals over days (or seasons)."""
    channels: dict[int, list[Target]] = {}
    for target in panel.targets:
        channels.setdefault(target.row, []).append(target)
    spans = store.spans(split)
    spans = spans[np.isin(spans[:, 0], list(channels))]
    mine, theirs = [], []
    for (row, start, stop), nats in zip(spans.tolist(), span_nats(engine, store, tokenizer, spans), strict=True):
        first, last = in_steps(tokenizer, store[row], (start, stop))
        baseline = np.sum([laplace_nats(target)[first:last] for target in channels[row]], axis=0)
        both = np.isfinite(nats) & np.isfinite(baseline)
        block = max(channels[row][0].season, panel.horizon)
        mine.append(block_totals(np.where(both, nats, np.nan), block))
        theirs.append(block_totals(np.where(both, baseline, np.nan), block))
    measured = [i for i, t in enumerate(mine) if t.weights.sum() > 0]
    if measured:
        parts = {MODEL: _equal([mine[i] for i in measured]), reference: _equal([theirs[i] for i in measured])}
        table.measure("nats_per_step", parts, split=label, seed=seed, resamples=resamples)


def laplace_nats(target: Target) -> Values:
    """(T,) of the seasonal naive forecast, NaN before a season has passed and where a value is missing."""
    values = without_gaps(target.values, target.season)
    m = target.season
    said = np.concatenate([np.full(m, np.nan), values[:-m]])
    nats: Values = np.log(2 * target.scale) + np.abs(target.values - said) / target.scale
    return nats


def _equal(parts: list[Totals]) -> Totals:
    return Totals(
        np.concatenate([p.sums / p.weights.sum() for p in parts]),
        np.concatenate([p.weights / p.weights.sum() for p in parts]),
    )
