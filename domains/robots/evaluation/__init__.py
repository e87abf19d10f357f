"""How good a model of episodes is: what it achieves when it acts, from starts that the data never had.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `episodes.csv` and the figures. The model and every baseline act from the same seeds,
which are asserted to be none of the store's. Beside that, what the model says of recorded episodes (open loop).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config_keys import from_keys
from core.durable import write_bytes_durably
from core.engine import Engine
from core.errors import ConfigError, InputError, nearest
from core.evaluation import MODEL, RESAMPLES, MetricTable, Totals
from core.report.gallery import Gallery
from core.store import TokenStore
from domains.robots.evaluation import open_loop
from domains.robots.evaluation.closed_loop import Runs, run
from domains.robots.evaluation.imagination import imagine
from domains.robots.evaluation.policies import BASELINES, Material, has_expert, make_policy
from domains.robots.source.environments import Room, Where
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Space

__all__ = ["EvaluationConfig", "evaluate"]

FIRST_SEED = 10_000_000
"""Of evaluation: far above what data are made with, and checked all the same."""
SIDE_BY_SIDE = 32
"""Environments that run at once, where an environment has no tasks."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and how much of it."""

    data: str = ""
    """The data set's name in the split column. Empty: the name that the store gives its source."""
    baselines: tuple[str, ...] = BASELINES
    """Which act beside the model."""
    episodes: int = 20
    """Roll-outs of every task; 0: open loop only."""
    rounds: int = 1
    """S: the same again with so many sets of seeds."""
    first_seed: int = FIRST_SEED
    """Seeds of roll-outs are counted from here."""
    env: str = ""
    """The environment to act in, of data that do not name theirs."""
    max_steps: int = 0
    """Steps of a roll-out at most; 0: the limit of the environment."""
    target_return: float | None = None
    """Return that is asked for, of models that are given one; None: the best of the training episodes of the task."""
    temperature: float = 0.0
    """Of choices; 0 takes the likeliest."""
    context: int = 0
    """Tokens that the model reads at most before it reads the last half of them anew; 0: as it needs."""
    drop: tuple[str, ...] = ()
    """Columns of the observation by number or name; for each, roll-outs in which the model does not see it."""
    changes: Mapping[str, float] = field(default_factory=dict)
    """Physical constants, each multiplied in roll-outs of its own: evaluation.changes.gravity=1.5."""
    spans: int = 200
    """Recorded episodes that are measured in open loop, at most."""
    film: bool = False
    """Whether a short film of one roll-out is made; needs something to draw on."""
    resamples: int = RESAMPLES
    """Of the bootstrap over episodes."""
    seed: int = 0
    figures: bool = True
    """Whether figures are drawn."""

    def __post_init__(self) -> None:
        for key, least in (
            ("episodes", 0),
            ("rounds", 1),
            ("first_seed", 0),
            ("max_steps", 0),
            ("context", 0),
            ("spans", 1),
            ("resamples", 100),
        ):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"evaluation.{key}: got {value!r}, allowed: {least} or more")
        if not isinstance(self.temperature, int | float) or not 0 <= self.temperature <= 100:
            raise ConfigError(f"evaluation.temperature: got {self.temperature!r}, allowed: 0 or a positive number")
        for name in self.baselines:
            if name not in BASELINES:
                raise ConfigError(
                    f"evaluation.baselines: there is no '{name}'{nearest(name, BASELINES)}",
                    hint=f"Known: {', '.join(BASELINES)}.",
                )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> EvaluationConfig:
        """Raises ConfigError for an unknown option, with the nearest one, or a value that is not allowed."""
        listed = dict(options)
        for key in ("baselines", "drop"):
            if key in listed:
                given = listed[key]
                several = given if isinstance(given, list | tuple) else () if given is None else (given,)
                listed[key] = tuple(str(value) for value in several)
        return from_keys(cls, listed, "evaluation")


def evaluate(
    engine: Engine,
    store: TokenStore,
    tokenizer: Any,
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on one split of a store and writes everything to the folder `out`.

    Args:
        engine: of the model; its device and precision are used.
        tokenizer: of the store.
        split: train, validation or test, for open loop; roll-outs start from seeds that no split has.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, a value that is not allowed, an environment that cannot be made, whose spaces
            are not the model's, or whose seeds the data already have.
        InputError: the split holds no episode.
    """
    from domains.robots.evaluation.acting import model_policy

    config = EvaluationConfig.from_options(options)
    label = f"{config.data or store.name}/{split}"
    if not len(store.spans(split)):
        raise InputError(f"{store.path} has no episode in its {split} part")
    table, gallery = MetricTable(), Gallery(out)
    episodes = _episodes(store, tokenizer, "train")
    wheres = _wheres(store, config) if config.episodes else []
    runs: dict[str, Runs] = {}
    if wheres:
        seeds = _seeds(store, config)
        if config.film:
            _check_display(wheres[0])
        starts = _starts(wheres, seeds)
        _check_spaces(wheres[0], tokenizer)
        material = _material(episodes, tokenizer)

        def mine() -> Any:
            return model_policy(engine, tokenizer, config, _targets(episodes, wheres, config))

        say(f"acting: {len(wheres) * len(seeds)} episodes, {len(starts)} environments at once")
        runs[MODEL] = run(mine(), starts, max_steps=config.max_steps)
        for name in config.baselines:
            if name == "expert" and not all(map(has_expert, wheres)):
                continue
            say(f"acting: {name}")
            runs[name] = run(make_policy(name, material, config.seed), starts, max_steps=config.max_steps)
        _add_runs(table, runs, label, config)
        _add_speed(table, runs, label)
        for what, changed in _robustness(config, wheres, tokenizer):
            say(f"acting: {what}")
            _add_changed(table, run(mine(), starts, max_steps=config.max_steps, **changed), what, label, config)
    say("open loop")
    recorded = open_loop.measure(engine, store, tokenizer, split, config.spans)
    _add_open_loop(table, recorded, tokenizer, label, config)
    for ahead, by_model in imagine(engine, tokenizer, _episodes(store, tokenizer, split)).items():
        table.measure(f"observation_nrmse_{ahead}", by_model, split=label, seed=config.seed, resamples=config.resamples)
    facts = training or {}
    for row, key in (("seconds_training", "seconds"), ("seed", "seed")):
        if facts.get(key) is not None:
            table.add(row, float(facts[key]), split=label)
    table.write(out, title=f"Robots: {label}")
    if runs:
        _write_episodes(Path(out) / "episodes.csv", runs)
    if config.figures:
        from domains.robots.evaluation.drawing import draw

        say("drawing figures")
        draw(gallery, runs, recorded, tokenizer, label)
        gallery.write()
    if config.film and wheres:
        from domains.robots.evaluation.film import film

        film(Path(out) / "roll_out.gif", mine(), wheres[0], seeds[0])
    return table


def _wheres(store: TokenStore, config: EvaluationConfig) -> list[Where]:
    """Environments to act in: those of the store, each task once."""
    if config.env:
        return [Where(config.env)]
    rows = zip(*(store.labels(key).tolist() for key in ("env_id", "task", "options")), strict=True)
    found: dict[str, Where] = {}
    for env_id, task, options in rows:
        if env_id:
            where = Where(str(env_id), str(task), json.loads(str(options) or "{}"))
            found.setdefault(str(where), where)
    if not found:
        raise ConfigError(
            f"{store.path} names no environment to act in",
            hint="Name it with evaluation.env=, or leave roll-outs out with evaluation.episodes=0.",
        )
    return list(found.values())


def _seeds(store: TokenStore, config: EvaluationConfig) -> list[int]:
    """Seeds of roll-outs. Raises ConfigError where the data have one of them."""
    wanted = range(config.first_seed, config.first_seed + config.episodes * config.rounds)
    shared = set(wanted) & {int(seed) for seed in store.labels("seed").tolist()}
    if shared:
        raise ConfigError(
            f"evaluation.first_seed: {len(shared)} of the seeds {wanted.start} to {wanted.stop - 1} stand in the store",
            hint="Roll-outs must start where no demonstration started: choose others.",
        )
    return list(wanted)


def _starts(wheres: list[Where], seeds: list[int]) -> list[tuple[Where, list[int]]]:
    """Rows: of one environment its seeds dealt out, of several one row each."""
    if len(wheres) > 1:
        return [(where, seeds) for where in wheres]
    rows = min(SIDE_BY_SIDE, len(seeds)) if not wheres[0].is_metaworld else 1
    return [(wheres[0], seeds[row::rows]) for row in range(rows)]


def _check_display(where: Where) -> None:
    """Raises ConfigError where no picture can be drawn, before any work is done for it."""
    room = Room(where, render="rgb_array")
    room.reset(0)
    room.picture()
    room.close()


def _check_spaces(where: Where, tokenizer: Any) -> None:
    """Raises ConfigError where the environment's spaces are not those that the model was trained on."""
    room = Room(where)
    observed, acting = room.spaces
    room.close()
    columns = sum(part.size for part in observed.parts)
    learned: Space = tokenizer.action_space
    kinds = [[(part.kind, part.size) for part in space.parts] for space in (acting, learned)]
    if columns != tokenizer.config.observations or kinds[0] != kinds[1]:
        raise ConfigError(
            f"{where} has {columns} observation columns and actions {kinds[0]}; "
            f"the model has {tokenizer.config.observations} and {kinds[1]}",
            hint="Is this the environment that the episodes were recorded in, with the same options?",
        )


def _episodes(store: TokenStore, tokenizer: Any, split: str) -> list[Episode]:
    return [
        tokenizer.decode(store[row].slice(start, stop))
        for row, start, stop in store.spans(split).tolist()
        if stop - start > 1
    ]


def _material(episodes: list[Episode], tokenizer: Any) -> Material:
    known = [one for one in episodes if np.isfinite(one.actions).all()]
    if not known:
        raise InputError("no training episode has its actions: there is nothing that baselines could learn from")
    seen = np.concatenate([one.observations[: len(one)] for one in known])
    there = np.isfinite(seen).any(axis=1)  # of chunks only one in H is kept
    tasks = np.concatenate([np.full(len(one), one.task) for one in known])
    actions = np.concatenate([one.actions for one in known])
    return Material(seen[there], actions[there], tasks[there], tokenizer.action_space)


def _targets(episodes: list[Episode], wheres: list[Where], config: EvaluationConfig) -> dict[str, float]:
    found = {}
    for where in wheres:
        returns = [e.total for e in episodes if e.task == where.task and np.isfinite(e.total)]
        best = max(returns, default=0.0)
        found[str(where)] = best if config.target_return is None else float(config.target_return)
    return found


def _add_runs(table: MetricTable, runs: dict[str, Runs], label: str, config: EvaluationConfig) -> None:
    """Success first where the environment says it, then returns, plain and between random (0) and expert (1)."""
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    columns = {
        "success_last_step": "success_last",
        "success_any_step": "success_any",
        "return_mean": "total",
        "episode_steps": "steps",
    }
    for name, attribute in columns.items():
        by_model = {m: _totals([getattr(o, attribute) for o in r.outcomes]) for m, r in runs.items()}
        if by_model[MODEL].weights.sum():
            table.measure(name, by_model, differences=name != "episode_steps", **options)
    if {"random", "expert"} <= set(runs):
        table.measure("return_normalised", {m: _totals(v) for m, v in normalised(runs).items()}, **options)


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


def _add_speed(table: MetricTable, runs: dict[str, Runs], label: str) -> None:
    for model, one in runs.items():
        table.add("action_latency_ms", one.latency, split=label, model=model, n=one.calls)
        rate = one.actions / max(1e-9, one.act_seconds + one.step_seconds)
        table.add("steps_per_second", rate, split=label, model=model)


def _robustness(config: EvaluationConfig, wheres: list[Where], tokenizer: Any) -> list[tuple[str, dict[str, Any]]]:
    room = Room(wheres[0])
    names = list(room.spaces[0].names)
    room.close()
    found: list[tuple[str, dict[str, Any]]] = []
    for column in config.drop:
        number = names.index(column) if column in names else int(column) if column.isdigit() else -1
        if not 0 <= number < tokenizer.config.observations:
            raise ConfigError(
                f"evaluation.drop: there is no column '{column}'", hint=f"Known: {', '.join(names)}, or their numbers."
            )
        found.append((f"without_{number}", {"drop": [number]}))
    for name, factor in config.changes.items():
        found.append((f"{name}_x{float(factor):g}", {"changes": {name: float(factor)}}))
    return found


def _add_changed(table: MetricTable, runs: Runs, what: str, label: str, config: EvaluationConfig) -> None:
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    for name, attribute in (("success_last_step", "success_last"), ("return_mean", "total")):
        totals = _totals([getattr(o, attribute) for o in runs.outcomes])
        if totals.weights.sum():
            table.measure(f"{name}_{what}", {MODEL: totals}, **options)


def _add_open_loop(
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


def _totals(values: list[float]) -> Totals:
    """One unit of weight a value, none for what is not a number."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    return Totals(np.where(known, array, 0.0), known.astype(np.float64))


def _write_episodes(path: Path, runs: dict[str, Runs]) -> None:
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
