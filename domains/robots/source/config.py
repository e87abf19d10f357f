"""The keys below `data`: which demonstrations are made, and how files of one's own are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.errors import ConfigError, nearest

LISTED = ("noise", "tasks", "held_out", "observation_columns", "action_columns", "observation_keys")


@dataclass(frozen=True)
class SourceConfig:
    """The keys below `data`."""

    env: str = ""
    """data=classic: the environment, CartPole-v1 where not given; files: the id that gymnasium knows it by, without
    which nothing can be rolled out."""
    tasks: tuple[str, ...] = ()
    """Meta-World: which tasks; none: those of the data set."""
    episodes: int = 0
    """Demonstrations a task; 0: 60 of classic control, 20 of Meta-World."""
    noise: tuple[float, ...] = (0.0, 0.1, 0.3)
    """Levels of noise on the expert's actions, in turn: a mixture of skills. Meta-World takes 0 where not given."""
    first_seed: int = 0
    """Seeds are counted from here, one an episode; evaluation takes others."""
    max_steps: int = 0
    """Steps of an episode at most; 0: the environment's own limit."""
    after_success: int = 25
    """Meta-World: steps that are kept after the task is solved, which the environment does not end by itself."""
    demonstrations: int = 0
    """Made episodes: so many demonstrations of the same task stand before each, to be read and not learned (ICRT)."""
    held_out: tuple[str, ...] = ()
    """Meta-World: tasks whose episodes are all in the test part; of the others a tenth is for validation."""
    without_actions: float = 0.0
    """Share of episodes of which the actions are not known, as in motion capture."""
    reference_episodes: int = -1
    """Episodes for the measured scores of random actions and of the expert, stored with the data; -1: 100 of classic
    control, none of Meta-World beyond the demonstrations themselves; 0: none."""
    workers: int = 0
    """Processes; 0: one a core where there is much to do."""
    observation_columns: tuple[str, ...] = ()
    """CSV: columns of the observation; none: those called obs..., observation... ."""
    action_columns: tuple[str, ...] = ()
    """CSV: columns of the action; none: those called act..., action... ."""
    observation_keys: tuple[str, ...] = ()
    """Files with several arrays of observations: which are read, in this order; none: all, as they are stored."""
    discrete: bool = False
    """Files without a description of their spaces: whether an action is a choice, counted from 0."""

    def __post_init__(self) -> None:
        for key, least in (
            ("episodes", 0),
            ("first_seed", 0),
            ("max_steps", 0),
            ("after_success", 0),
            ("reference_episodes", -1),
            ("workers", 0),
            ("demonstrations", 0),
        ):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"data.{key}: got {value!r}, allowed: a whole number of at least {least}")
        for level in self.noise:
            if isinstance(level, bool) or not isinstance(level, int | float) or not 0 <= level <= 1:
                raise ConfigError(f"data.noise: got {level!r}, allowed: shares from 0 to 1")
        if not self.noise:
            raise ConfigError("data.noise: at least one level, 0 for none")
        if not isinstance(self.without_actions, int | float) or not 0 <= self.without_actions < 1:
            raise ConfigError(f"data.without_actions: got {self.without_actions!r}, allowed: a share from 0 to below 1")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one, or a value that is not allowed."""
        known = [f.name for f in fields(cls)]
        for key in options:
            if key not in known:
                raise ConfigError(f"data.{key} is unknown{nearest(key, known)}", hint=f"Known: {', '.join(known)}.")
        given: dict[str, Any] = {
            key: (tuple(value) if isinstance(value, list | tuple) else (value,)) if key in LISTED else value
            for key, value in options.items()
            if value is not None
        }
        return cls(**given)
