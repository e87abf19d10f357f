"""Roll-outs and recorded episodes as rows of the metric table, and every roll-out as a line of `episodes.csv`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import write_bytes_durably
from core.evaluation import MODEL, MetricTable, Totals
from domains.robots.evaluation import open_loop
from domains.robots.evaluation.closed_loop import Runs
from domains.robots.evaluation.config import EvaluationConfig


def add_runs(table: MetricTable, runs: dict[str, Runs], label: str, config: EvaluationConfig) -> None:
    """Success first where the environment says it, then returns, plain and between random (0) and expert (1)."""
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    columns = {
        "success_last_step": "success_last",
        "success_any_step": "success_any",
        "return_mean": "total",
        "episode_steps": "steps",
    }
    for name, attribute in columns.items():
        by_model = {m: totals([getattr(o, attribute) for o in r.outcomes]) for m, r in runs.items()}
        if by_model[MODEL].weights.sum():
            table.measure(name, by_model, differences=name != "episode_steps", **options)
    if {"random", "expert"} <= set(runs):
        table.measure("return_normalised", {m: totals(v) for m, v in normalised(runs).items()}, **options)


def normalised(runs: dict[str, Runs]) -> dict[str, list[float]]:
    """Per model every episode's return, such that random actions have 0 and the expert 1 in each environment."""
    ends: dict[str, tuple[float, float]] = {}
    for where in {str(o.where) for o in runs[MODEL].outcomes}:
        low, high = (
            float(np.mean([o.total for o in runs[who].outcomes if str(o.where) == where]))
            for who in ("random", "expert")
        )
        ends[where] = low, high

    def scaled(total: float, where: str) -> float:
        low, high = ends[where]
        return (total - low) / (high - low) if high != low else float("nan")

    return {model: [scaled(o.total, str(o.where)) for o in r.outcomes] for model, r in runs.items()}


def add_speed(table: MetricTable, runs: dict[str, Runs], label: str) -> None:
    for model, one in runs.items():
        table.add("action_latency_ms", one.latency, split=label, model=model, n=one.calls)
        rate = one.actions / max(1e-9, one.act_seconds + one.step_seconds)
        table.add("steps_per_second", rate, split=label, model=model)


def add_changed(table: MetricTable, runs: Runs, what: str, label: str, config: EvaluationConfig) -> None:
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    for name, attribute in (("success_last_step", "success_last"), ("return_mean", "total")):
        found = totals([getattr(o, attribute) for o in runs.outcomes])
        if found.weights.sum():
            table.measure(f"{name}_{what}", {MODEL: found}, **options)


def add_open_loop(
    table: MetricTable, recorded: open_loop.OpenLoop, tokenizer: Any, label: str, config: EvaluationConfig
) -> None:
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    for name in recorded.nats:
        table.measure(f"{name}_nats_per_step", {MODEL: recorded.totals(name)}, **options)
    for name, by_model in open_loop.action_errors(recorded.said, tokenizer.action_space):
        if by_model[MODEL].weights.sum():
            table.measure(name, by_model, **options)
    seen = open_loop.foresight(recorded.said, np.asarray(tokenizer.config.constant, bool))
    if seen[MODEL].weights.sum():
        table.measure("observation_nrmse", seen, **options)


def totals(values: list[float]) -> Totals:
    """One unit of weight a value, none for what is not a number."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    return Totals(np.where(known, array, 0.0), known.astype(np.float64))


def write_episodes(path: Path, runs: dict[str, Runs]) -> None:
    """Every roll-out: what the intervals are resampled from."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("return", "steps", "terminated", "success_any_step", "success_last_step")
    writer.writerow(["model", "env", "task", "seed", *names])
    for model, one in runs.items():
        for o in one.outcomes:
            said = [f"{o.total:.6g}", o.steps, int(o.terminated)]
            said += ["" if np.isnan(v) else f"{v:g}" for v in (o.success_any, o.success_last)]
            writer.writerow([model, o.where.env_id, o.where.task, o.seed, *said])
    write_bytes_durably(path, text.getvalue().encode())
