"""How good a model's forecasts are: rolling origins in the test part of every series, beside a sceptic's baselines.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `by_step.csv` and the figures. The first row is the geometric mean over series of the
mean absolute error over that of the seasonal naive forecast.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from core.config_keys import from_keys
from core.durable import resources_named, write_bytes_durably
from core.evaluation import MODEL, MetricTable
from core.evaluation_options import EvaluationOptions, Limits, add_training
from core.store import TokenStore
from domains.time_series.evaluation.baselines import (
    Forecasts,
    classical_baselines,
    reference,
    ridge_baselines,
    simple_baselines,
)
from domains.time_series.evaluation.likelihood import add_nats
from domains.time_series.evaluation.measures import LEVELS, Errors, add_metrics, errors_of
from domains.time_series.evaluation.origins import Panel, collect, series_of
from domains.time_series.forecasting import Forecaster, coming_fields, forecast_contexts
from domains.time_series.tokenizer.bins import BinsTokenizer
from domains.time_series.tokenizer.shared import SeriesTokenizer

__all__ = ["EvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class EvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"horizon": 0, "origins": 1, "season": 0, "draws": 0, "ridge_lags": 0}

    horizon: int = 0
    """Steps of a forecast; 0: a day for hourly series, else that of the M4 competition for their season."""
    origins: int = 100
    """Forecasts of each series, evenly spread over its test part."""
    season: int = 0
    """m of MASE and of the seasonal naive forecast, in steps; 0: by each series' frequency."""
    draws: int = 0
    """Paths that quantiles are taken from where they are not exact; 0: 100, of bins and digits 20."""
    ridge_lags: int = 336
    """Past steps that the ridge regression reads [two weeks of hours]; fewer for short series; 0 leaves it out."""
    classical: bool = False
    """Whether AutoETS and AutoTheta are fitted at every origin [seconds each]."""
    likelihood: bool = True
    """Whether the test part is scored as well: nats per step."""


def evaluate(
    engine: Forecaster,
    store: TokenStore,
    tokenizer: SeriesTokenizer[Any],
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on one split of a store and writes everything to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that forecasts like it.
        tokenizer: of the store.
        split: train, validation or test; baselines are fitted on train, and chosen on validation where that is not it.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: no series of the split can be forecast.
    """
    config = from_keys(EvaluationConfig, options, "evaluation")
    panel = collect(
        store, tokenizer, split, horizon=config.horizon, origins=config.origins, season=config.season, say=say
    )
    forecasts: dict[str, list[Forecasts]] = {}
    count = sum(len(t.origins) for t in panel.targets)
    say(f"forecasting {panel.horizon} steps from {count:,} origins in {len(panel.targets):,} series")
    forecasts[MODEL] = forecast_panel(engine, store, tokenizer, panel, draws=config.draws, seed=config.seed)
    say("fitting baselines")
    forecasts |= simple_baselines(panel, LEVELS)
    if config.ridge_lags:
        forecasts |= ridge_baselines(panel, config.ridge_lags, LEVELS)
    if config.classical:
        say("fitting AutoETS and AutoTheta")
        forecasts |= classical_baselines(panel, LEVELS)
    errors = {
        model: [errors_of(t, f, panel.horizon) for t, f in zip(panel.targets, found, strict=True)]
        for model, found in forecasts.items()
    }
    data = config.data or store.name
    table = MetricTable()
    add_metrics(
        table,
        panel,
        errors,
        reference(panel),
        data=data,
        split=split,
        seed=config.seed,
        resamples=config.resamples,
    )
    if config.likelihood:
        say("scoring the split")
        add_nats(
            table,
            engine,
            store,
            tokenizer,
            panel,
            label=f"{data}/{split}",
            split=split,
            reference=reference(panel),
            seed=config.seed,
            resamples=config.resamples,
        )
    if isinstance(tokenizer, BinsTokenizer):
        clipped = sum(tokenizer.clipped(sequence) for sequence in store)
        table.add("clipped_percent", 100 * clipped / max(1, store.n_tokens), split=f"{data}/all")
    add_training(table, training, f"{data}/{split}")
    table.write(out, title=f"Time series: {data}/{split}")
    _write_by_step(Path(out) / "by_step.csv", panel, errors)
    if config.figures:
        from domains.time_series.evaluation.drawing import draw

        say("drawing figures")
        draw(out, table, panel, forecasts, errors, label=f"{data}/{split}")
    return table


def forecast_panel(
    engine: Forecaster,
    store: TokenStore,
    tokenizer: SeriesTokenizer[Any],
    panel: Panel,
    *,
    draws: int = 0,
    seed: int = 0,
) -> list[Forecasts]:
    """The model's forecasts of every target, each from all that came before its origin."""
    found: list[Forecasts | None] = [None] * len(panel.targets)
    contexts, ahead, where = [], [], []
    for row, numbers in series_of(panel.targets).items():
        sequence = store[row]
        starts = tokenizer.step_starts(sequence)
        for origin in panel.targets[numbers[0]].origins.tolist():
            first, stop = int(starts[origin]), int(starts[min(origin + panel.horizon, len(starts) - 1)])
            contexts.append(sequence.slice(0, first))
            ahead.append(coming_fields(tokenizer, sequence, first, stop))
        where.append((numbers, len(panel.targets[numbers[0]].origins)))
    coming = [a for a in ahead if a is not None]
    said = forecast_contexts(
        engine,
        tokenizer,
        contexts,
        panel.horizon,
        levels=LEVELS,
        draws=draws,
        seed=seed,
        ahead=coming if len(coming) == len(contexts) else None,
    )
    at = 0
    median = LEVELS.index(0.5)
    for numbers, count in where:
        quantiles = np.stack([a.quantiles for a in said[at : at + count]])
        at += count
        for number in numbers:
            mine = quantiles[..., panel.targets[number].channel]
            found[number] = Forecasts(mine[:, median], mine)
    return [f for f in found if f is not None]


def _write_by_step(path: Path, panel: Panel, errors: Mapping[str, list[Errors]]) -> None:
    """Mean absolute error over the series' scale at each step ahead: series, step, and each model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["series", "step", *(f"mase_{model}" for model in errors)])
    for i, target in enumerate(panel.targets):
        curves = np.stack([rows[i].by_step / target.scale for rows in errors.values()], axis=1)
        for step, row in enumerate(curves.tolist(), 1):
            writer.writerow([target.id, step, *(f"{v:.5f}" for v in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
