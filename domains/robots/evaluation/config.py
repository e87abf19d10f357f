"""What of a model of episodes is measured, and how much of it: the keys below `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from core.config_keys import from_keys
from core.evaluation_options import EvaluationOptions, Limits
from domains.robots.evaluation.policies import BASELINES

FIRST_SEED = 10_000_000
"""Of evaluation: far above what data are made with, and checked all the same."""


@dataclass(frozen=True)
class EvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"episodes": 0, "rounds": 1, "first_seed": 0, "max_steps": 0, "context": 0, "spans": 1}

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
    tasks: tuple[str, ...] = ()
    """Of several tasks those to act in; none for all."""
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_temperature(self.temperature)
        self.check_baselines(self.baselines, BASELINES)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> EvaluationConfig:
        """Raises ConfigError for an unknown option, with the nearest one, or a value that is not allowed."""
        listed = dict(options)
        for key in ("baselines", "drop", "tasks"):
            if key in listed:
                given = listed[key]
                several = given if isinstance(given, list | tuple) else () if given is None else (given,)
                listed[key] = tuple(str(value) for value in several)
        return from_keys(cls, listed, "evaluation")
