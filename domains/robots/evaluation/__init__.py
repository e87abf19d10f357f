"""How good a model of episodes is: what it achieves when it acts, from starts that the data never had.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `episodes.csv` and the figures. The model and every baseline act from the same seeds,
which are asserted to be none of the store's. Beside that, what the model says of recorded episodes (open loop).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from core.engine import Engine
from core.errors import InputError
from core.evaluation import MODEL, MetricTable
from core.evaluation_options import add_training
from core.report.gallery import Gallery
from core.store import TokenStore
from domains.robots.evaluation import open_loop
from domains.robots.evaluation.closed_loop import Runs, run
from domains.robots.evaluation.config import EvaluationConfig
from domains.robots.evaluation.imagination import imagine
from domains.robots.evaluation.measures import add_changed, add_open_loop, add_runs, add_speed, write_episodes
from domains.robots.evaluation.policies import Material, has_expert, make_policy
from domains.robots.evaluation.starts import (
    changes_of,
    check_display,
    check_spaces,
    environments_of,
    prompts_of,
    rows_of,
    seeds_of,
)
from domains.robots.source.environments import Where
from domains.robots.source.episode import Episode

__all__ = ["EvaluationConfig", "evaluate"]


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
    label = config.label(store, split)
    if not len(store.spans(split)):
        raise InputError(f"{store.path} has no episode in its {split} part")
    table, gallery = MetricTable(), Gallery(out)
    episodes = _episodes(store, tokenizer, "train")
    wheres = environments_of(store, config) if config.episodes else []
    runs: dict[str, Runs] = {}
    if wheres:
        seeds = seeds_of(store, config)
        if config.film:
            check_display(wheres[0])
        starts = rows_of(wheres, seeds)
        check_spaces(wheres[0], tokenizer)
        material = _material(episodes, tokenizer)

        prompts = prompts_of(store, tokenizer, wheres)

        def mine() -> Any:
            return model_policy(engine, tokenizer, config, _targets(episodes, wheres, config), prompts)

        def acted(**changed: Any) -> Runs:
            """Behind a prompt one environment after the other: rows that are read side by side have one length."""
            if not prompts:
                return run(mine(), starts, max_steps=config.max_steps, **changed)
            alone = ([(where, [seed]) for seed in seeds] for where in wheres)
            return reduce(Runs.__add__, (run(mine(), rows, max_steps=config.max_steps, **changed) for rows in alone))

        say(f"acting: {len(wheres) * len(seeds)} episodes, {len(starts)} environments at once")
        runs[MODEL] = acted()
        for name in config.baselines:
            if name == "expert" and not all(map(has_expert, wheres)):
                continue
            say(f"acting: {name}")
            runs[name] = run(make_policy(name, material, config.seed), starts, max_steps=config.max_steps)
        add_runs(table, runs, label, config)
        add_speed(table, runs, label)
        for what, changed in changes_of(config, wheres, tokenizer):
            say(f"acting: {what}")
            add_changed(table, acted(**changed), what, label, config)
    say("open loop")
    recorded = open_loop.measure(engine, store, tokenizer, split, config.spans)
    add_open_loop(table, recorded, tokenizer, label, config)
    for ahead, by_model in imagine(engine, tokenizer, _episodes(store, tokenizer, split)).items():
        table.measure(f"observation_nrmse_{ahead}", by_model, **config.measuring(label))
    add_training(table, training, label)
    table.write(out, title=f"Robots: {label}")
    if runs:
        write_episodes(Path(out) / "episodes.csv", runs)
    if config.figures:
        from domains.robots.evaluation.drawing import draw

        say("drawing figures")
        draw(gallery, runs, recorded, tokenizer, label)
    if config.film and wheres:
        from domains.robots.evaluation.film import film

        place = Path(out) / "roll_out.gif"
        frames = film(place, mine(), wheres[0], seeds[0])
        gallery.add_film(place, alt=f"A film of {frames} frames: one roll-out of the model in {label}", portrait=True)
    gallery.write()
    return table


def _episodes(store: TokenStore, tokenizer: Any, split: str) -> list[Episode]:
    return [
        tokenizer.decode(store[row].slice(start, stop)).query
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
    actions = np.concatenate([one.wanted for one in known])
    return Material(seen[there], actions[there], tasks[there], tokenizer.action_space)


def _targets(episodes: list[Episode], wheres: list[Where], config: EvaluationConfig) -> dict[str, float]:
    found = {}
    for where in wheres:
        returns = [e.total for e in episodes if e.task == where.task and np.isfinite(e.total)]
        best = max(returns, default=0.0)
        found[str(where)] = best if config.target_return is None else float(config.target_return)
    return found
