"""A run's plan: what the recipe leaves open, decided once at the start, kept in `plan.json` and followed ever after.

A budget in tokens or minutes becomes steps, `auto` becomes a precision, 0 becomes an interval. A run that goes on reads
its plan; it may set a later end, nothing else that changes a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.durable import read_json, write_json_durably
from core.errors import IntegrityError
from core.run_folder import difference
from core.training.config import TrainingConfig

VALIDATIONS, SAVES = 20, 10
"""In a run whose recipe names no interval; validations are fewer where a budget in minutes is short."""


@dataclass(frozen=True)
class Plan:
    """What is decided; all whole numbers are steps."""

    steps: int
    val_every: int
    save_every: int
    precision: str
    """`fp32` or `bf16`."""
    training: dict[str, Any]
    """The recipe it was made from, as `TrainingConfig.to_config` gives it."""
    parameters: dict[str, list[int]]
    """Shapes of everything that is trained, by name."""

    def validates(self, step: int) -> bool:
        """Whether the weights after `step` finished steps are validated."""
        if step == 0:
            return bool(self.training.get("val_first"))
        return step % self.val_every == 0 or step == self.steps

    def saves(self, step: int) -> bool:
        return step > 0 and (step % self.save_every == 0 or step == self.steps)


@dataclass(frozen=True)
class Situation:
    """What a plan is made for, with its two costly answers as functions."""

    precision: str
    parameters: dict[str, list[int]]
    tokens_per_step: Callable[[], float]
    steps_in: Callable[[float], tuple[int, int]]
    """How many steps, and validations among them, fit into so many seconds."""


def make_plan(path: Path, config: TrainingConfig, situation: Situation) -> Plan:
    """The plan at `path`, or a new one that is written there.

    Raises IntegrityError where the plan there is another run's; the difference is shown.
    """
    if path.exists():
        return _follow(path, config, situation)
    kind, amount = config.budget
    validations = VALIDATIONS
    if kind == "steps":
        steps = int(amount)
    elif kind == "tokens":
        steps = math.ceil(amount / situation.tokens_per_step())
    else:
        steps, validations = situation.steps_in(60 * amount)
    steps = max(1, steps)
    plan = Plan(
        steps,
        config.val_every or math.ceil(steps / validations),
        config.save_every or math.ceil(steps / SAVES),
        situation.precision,
        config.to_config(),
        situation.parameters,
    )
    write_json_durably(path, asdict(plan))
    return plan


def _follow(path: Path, config: TrainingConfig, situation: Situation) -> Plan:
    try:
        plan = Plan(**read_json(path))
    except TypeError as error:
        raise IntegrityError(f"{path} is not the plan of a run ({error})") from error
    now = config.to_config()
    changes = difference({"training": plan.training}, {"training": now})
    changes += difference({"parameters": plan.parameters}, {"parameters": situation.parameters})
    if changes:
        shown = "\n".join(f"    {line}" for line in changes[:12])
        raise IntegrityError(
            f"{path.parent} holds another run; before -> now:\n{shown}",
            hint="Give the first command again to go on with it, or choose another run folder.",
        )
    kind, amount = config.budget
    if amount > plan.training[kind]:
        later = int(amount) if kind == "steps" else round(plan.steps * amount / plan.training[kind])
        plan = replace(plan, steps=later, training=now)
        write_json_durably(path, asdict(plan))
    return plan
