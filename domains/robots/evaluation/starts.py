"""Where roll-outs begin: environments and seeds that no demonstration had, and what is changed in some of them.

What would go wrong in an environment (other spaces, nothing to draw on, an unknown sensor) is said before any work.
"""

from __future__ import annotations

import json
from typing import Any

from core.errors import ConfigError, nearest
from core.store import TokenStore
from domains.robots.evaluation.config import EvaluationConfig
from domains.robots.source.environments import Room, Where
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Space

SIDE_BY_SIDE = 32
"""Environments that run at once, where an environment has no tasks."""


def environments_of(store: TokenStore, config: EvaluationConfig) -> list[Where]:
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
    known = [where.task for where in found.values()]
    for task in config.tasks:
        if task not in known:
            raise ConfigError(
                f"evaluation.tasks: {store.path} has no task '{task}'{nearest(task, known)}",
                hint=f"Known: {', '.join(filter(None, known)) or 'none by name'}.",
            )
    return [where for where in found.values() if not config.tasks or where.task in config.tasks]


def prompts_of(store: TokenStore, tokenizer: Any, wheres: list[Where]) -> dict[str, Episode]:
    """By environment the demonstrations that a model of prompts reads first: those of the first record of its task.

    Empty for a store without prompts.
    """
    found: dict[str, Episode] = {}
    names = {where.task: str(where) for where in wheres}
    if "prompt" not in store.label_names:
        return found
    steps = store.labels("prompt").tolist()
    for row, task in enumerate(store.labels("task").tolist()):
        name = names.get(str(task))
        if steps[row] and name is not None and name not in found:
            record: Episode = tokenizer.decode(store[row])
            found[name] = record.part(0, record.prompt)
    return found


def seeds_of(store: TokenStore, config: EvaluationConfig) -> list[int]:
    """Seeds of roll-outs. Raises ConfigError where the data have one of them."""
    wanted = range(config.first_seed, config.first_seed + config.episodes * config.rounds)
    shared = set(wanted) & {int(seed) for seed in store.labels("seed").tolist()}
    if shared:
        raise ConfigError(
            f"evaluation.first_seed: {len(shared)} of the seeds {wanted.start} to {wanted.stop - 1} stand in the store",
            hint="Roll-outs must start where no demonstration started: choose others.",
        )
    return list(wanted)


def rows_of(wheres: list[Where], seeds: list[int]) -> list[tuple[Where, list[int]]]:
    """Rows: of one environment its seeds dealt out, of several one row each."""
    if len(wheres) > 1:
        return [(where, seeds) for where in wheres]
    rows = min(SIDE_BY_SIDE, len(seeds)) if not wheres[0].is_metaworld else 1
    return [(wheres[0], seeds[row::rows]) for row in range(rows)]


def check_display(where: Where) -> None:
    """Raises ConfigError where no picture can be drawn, before any work is done for it."""
    room = Room(where, render="rgb_array")
    room.reset(0)
    room.picture()
    room.close()


def check_spaces(where: Where, tokenizer: Any) -> None:
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


def changes_of(config: EvaluationConfig, wheres: list[Where], tokenizer: Any) -> list[tuple[str, dict[str, Any]]]:
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
