"""How good a model of chaos is: how long its forecasts hold, and whether it runs on the attractor after that.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `starts.csv` and the figures. Every model, baselines first of all, forecasts from the
same contexts; with observation noise the contexts have it and the truth has not.
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
from core.durable import write_bytes_durably
from core.errors import ConfigError
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import EvaluationOptions, Limits, add_training
from core.report.gallery import Gallery
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.chaos.evaluation.baselines import BASELINES, CONTEXT_ONLY
from domains.chaos.evaluation.cases import Case, Cutting, read_cases
from domains.chaos.evaluation.forecasts import Engine, forecast
from domains.chaos.evaluation.geometry import divergence_name
from domains.chaos.evaluation.measuring import Found, fit_baselines, measure_forecasts, measure_free_runs
from domains.chaos.source.trajectory import Trajectory

__all__ = ["EvaluationConfig", "evaluate"]

MANY_SYSTEMS = 5
"""Systems from which on a geometry metric has an interval: over fewer there is nothing to resample."""


@dataclass(frozen=True)
class EvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"starts": 1, "free_run": 0, "systems": 0}

    baselines: tuple[str, ...] = tuple(BASELINES)
    """Which; `esn_500` takes most of the time."""
    starts: int = 20
    """Forecasts a system, at most."""
    horizon: float = 10.0
    """Lyapunov times of a forecast, and the cap of valid prediction times."""
    context: float = 5.0
    """Lyapunov times given, of series that are cut into starts here; made test trajectories say it themselves."""
    free_run: int = 4000
    """Steps of the run whose geometry is measured, at most; 0 leaves it out. D_stsp and D_H want 3,000 or more."""
    systems: int = 0
    """Systems that are measured, from the first; 0: all."""
    temperature: float = 0.0
    """Of models of symbols: 0 takes the likeliest symbol."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("horizon", "context"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
                raise ConfigError(f"evaluation.{key}: got {value!r}, allowed: Lyapunov times above 0")
        self.check_temperature(self.temperature)
        self.check_baselines(self.baselines, BASELINES)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> EvaluationConfig:
        """Raises ConfigError for an unknown option, with the nearest one, or a value that is not allowed."""
        listed = {**options}
        if "baselines" in listed:
            given = listed["baselines"]
            listed["baselines"] = (given,) if isinstance(given, str) else tuple(given or ())
        return from_keys(cls, listed, "evaluation")


@dataclass
class Part:
    """Cases that are measured together: seen in training or not, in Lyapunov times or mean periods."""

    label: str
    unit: str
    """What follows a metric's name: empty for Lyapunov times, `_periods` for mean periods."""
    cases: list[Case]
    found: Found


def evaluate(
    engine: Engine,
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on one split of a store and writes everything to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that rolls out (real values) or samples (symbols) like it.
        tokenizer: of the store.
        split: train, validation or test; the baselines are always fitted on train and chosen on validation.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split holds no series that is longer than a context.
    """
    config = EvaluationConfig.from_options(options)
    label = config.label(store, split)
    cases = read_cases(store, tokenizer, split, Cutting(config.context, config.horizon, config.starts), say)
    table = MetricTable()
    parts = _parts(cases[: config.systems or None], label)

    def mine(contexts: list[Trajectory], steps: int) -> list[Any]:
        return forecast(engine, tokenizer, contexts, steps, temperature=config.temperature, seed=config.seed)

    for part in parts:
        _measure(part, mine, config, say)
        _add_rows(table, part, config)
    add_training(table, training, parts[0].label)
    table.write(out, title=f"Chaos: {label}")
    _write_starts(Path(out) / "starts.csv", parts)
    if config.figures:
        from domains.chaos.evaluation.drawing import draw

        say("drawing figures")
        gallery = Gallery(out)
        for part in parts:
            draw(gallery, table, part.found, label=part.label, unit=part.unit)
        gallery.write()
    return table


def _parts(cases: list[Case], label: str) -> list[Part]:
    parts: dict[tuple[bool, bool], Part] = {}
    for case in cases:
        key = (case.zero_shot, case.lyapunov is None)
        if key not in parts:
            name = label + ("_zero_shot" if case.zero_shot else "")
            parts[key] = Part(name, "_periods" if case.lyapunov is None else "", [], Found())
        parts[key].cases.append(case)
    return [parts[key] for key in sorted(parts)]


def _measure(part: Part, mine: Any, config: EvaluationConfig, say: Callable[[str], None]) -> None:
    names = [n for n in config.baselines if not part.cases[0].zero_shot or n in CONTEXT_ONLY]
    for case in part.cases:
        say(f"{case.system or 'series'}: {len(case.starts)} forecasts of {case.horizon} steps")
        models = {MODEL: mine, **fit_baselines(case, names, say)}
        part.found.forecasts.append(measure_forecasts(case, models, part.found, cap=config.horizon))
        if config.free_run:
            say(f"running free for {config.free_run:,} steps")
            runs = measure_free_runs(case, models, steps=config.free_run)
            part.found.free_runs += [runs] if runs else []


def _add_rows(table: MetricTable, part: Part, config: EvaluationConfig) -> None:
    options = config.measuring(part.label)
    for metric, by_model in part.found.scores.items():
        table.measure(_metric_name(metric, part.unit), {m: _totals(v) for m, v in by_model.items()}, **options)
        if metric == "vpt_csmape200_30":
            table.add(f"vpt_cap{part.unit}", config.horizon, split=part.label)
    runs = part.found.free_runs
    for metric in dict.fromkeys(metric for one in runs for metric in one.scores):
        by_model = {
            model: [one.scores[metric].get(model, float("nan")) for one in runs if metric in one.scores]
            for model in runs[0].scores[metric]
        }
        name = divergence_name(len(part.cases[0].channels)) if metric == "dstsp" else metric
        if len(runs) >= MANY_SYSTEMS:
            table.measure(name, {m: _totals(v) for m, v in by_model.items()}, **options)
            continue
        for model, values in by_model.items():
            totals = _totals(values)
            table.add(name, totals.mean, split=part.label, model=model, n=max(1, len(values)))


def _metric_name(metric: str, unit: str) -> str:
    if metric.startswith("vpt_"):
        return metric + unit
    if metric.startswith("smape200_"):
        return metric + (unit.removeprefix("_") or "lt")
    return metric


def _totals(values: list[float]) -> Totals:
    """One unit of weight a value, none for what is not a number."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    return Totals(np.where(known, array, 0.0), known.astype(np.float64))


def _write_starts(path: Path, parts: list[Part]) -> None:
    """Every start's scores by model: what the intervals are resampled from."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    metrics = list(dict.fromkeys(metric for part in parts for metric in part.found.scores))
    writer.writerow(["split", "system", "start", "model", *metrics])
    for part in parts:
        starts = [(case.system, start.id) for case in part.cases for start in case.starts]
        for model in part.found.scores[metrics[0]]:
            columns = [part.found.scores.get(metric, {}).get(model, []) for metric in metrics]
            for row, (system, start) in enumerate(starts):
                values = [f"{column[row]:.6g}" if row < len(column) else "" for column in columns]
                writer.writerow([part.label, system, start, model, *values])
    write_bytes_durably(path, text.getvalue().encode())
