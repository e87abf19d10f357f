"""Environments by id: made, seeded, stepped, described. gymnasium is imported where one is made, not before.

A Room is one environment and what is asked of it: reset to a numbered start, step with a row of columns. Starts are
seeded by `reset(seed=)`, in Meta-World by `make(seed=)` alone: there a seed counts the goals that one make has.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.errors import ConfigError, nearest
from domains.robots.source.spaces import Space, Values, space_of, to_environment

METAWORLD = "Meta-World/MT1"
GOALS = 50
"""Meta-World: goals that one make draws (its `train_tasks`); seed s is goal s % GOALS of make(seed=s // GOALS)."""
PACKAGES = {"metaworld": "foretell[robots]", "mujoco": "foretell[robots]", "Box2D": "foretell[robots]"}


@dataclass(frozen=True)
class Where:
    """All that makes an environment, as plain values: what crosses to other processes and stands in labels."""

    env_id: str
    task: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_metaworld(self) -> bool:
        return self.env_id == METAWORLD

    def __str__(self) -> str:
        return f"{self.env_id}/{self.task}" if self.task else self.env_id


class Room:
    """One environment.

    Args:
        where: what it is made of.
        render: "rgb_array" for pictures.
        changes: attributes of the unwrapped environment that are set anew after the make (gravity, masspole), for
            tests of robustness.

    Raises ConfigError for an id that gymnasium does not know (the nearest is shown), a package that is missing (the
    extra is named), an attribute that the environment does not have, or no display to draw on.
    """

    def __init__(self, where: Where, *, render: str | None = None, changes: Mapping[str, float] | None = None) -> None:
        self.where, self._render, self._changes = where, render, dict(changes or {})
        self._made: int | None = None  # Meta-World: the seed of the make
        self.env = self._make(0) if not where.is_metaworld else None
        self._spaces: tuple[Space, Space] | None = None

    def reset(self, seed: int) -> Values:
        """(O,) the first observation of the start that `seed` counts."""
        if self.where.is_metaworld:
            return self._reset_metaworld(seed)
        assert self.env is not None
        first, _ = self.env.reset(seed=int(seed))
        return self._row(first)

    def step(self, action: Values) -> tuple[Values, float, bool, bool, float]:
        """(A,) -> observation (O,), reward, terminated, truncated, success (NaN where the environment does not say)."""
        assert self.env is not None
        observation, reward, terminated, truncated, info = self.env.step(self._action(action))
        success = float(info.get("success", info.get("is_success", np.nan)))
        return self._row(observation), float(reward), bool(terminated), bool(truncated), success

    @property
    def spaces(self) -> tuple[Space, Space]:
        """Of observations and actions, as stores have them."""
        if self._spaces is None:
            env = self.env or self._make(0)
            self._spaces = space_of(env.observation_space), space_of(env.action_space)
            if self.env is None:
                self.env, self._made = env, 0
        return self._spaces

    @property
    def limit(self) -> int:
        """Steps after which an episode is cut; 0: never."""
        env = self.env or self._make(0)
        return int(getattr(env.spec, "max_episode_steps", None) or 0)

    def picture(self) -> Any:
        """(H, W, 3) uint8. Raises ConfigError where there is nothing to draw on."""
        assert self.env is not None
        try:
            return self.env.render()
        except Exception as error:
            raise ConfigError(
                f"{self.where} cannot be drawn here: {error}", hint="Without a display: evaluation.film=false."
            ) from error

    def close(self) -> None:
        if self.env is not None:
            self.env.close()

    def _row(self, observation: Any) -> Values:
        if isinstance(observation, np.ndarray) and observation.ndim == 1:
            return observation.astype(np.float64)
        rows = self.spaces[0].row(observation)[None]
        row: Values = self.spaces[0].one_hot(rows)[0]
        return row

    def _action(self, action: Values) -> Any:
        assert self.env is not None
        return to_environment(self.env.action_space, action)

    def _make(self, seed: int) -> Any:
        import gymnasium

        known = gymnasium.registry
        options = dict(self.where.options)
        if self.where.is_metaworld:
            imported("metaworld")
            options |= {"env_name": self.where.task, "seed": int(seed)}
        elif self.where.env_id not in known:
            raise ConfigError(
                f"unknown environment '{self.where.env_id}'{nearest(self.where.env_id, known)}",
                hint="gymnasium's registry has its id, or a package that registers it must be named in plugins=.",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                env = gymnasium.make(self.where.env_id, render_mode=self._render, disable_env_checker=True, **options)
            except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
                raise ConfigError(
                    f"{self.where} needs a package that is not there: {error}",
                    hint="Install it with pip install 'foretell[robots]'.",
                ) from error
        for name, value in self._changes.items():
            self._change(env.unwrapped, name, value)
        return env

    def _change(self, env: Any, name: str, factor: float) -> None:
        """One physical constant, multiplied."""
        if self.where.is_metaworld or not hasattr(env, name):
            known = [k for k, v in vars(env).items() if isinstance(v, float)]
            raise ConfigError(
                f"{self.where} has no number '{name}' to change{nearest(name, known)}",
                hint=f"Known: {', '.join(sorted(known)) or 'none'}.",
            )
        setattr(env, name, getattr(env, name) * factor)

    def _reset_metaworld(self, seed: int) -> Values:
        make, number = divmod(int(seed), GOALS)
        if self._made != make:
            if self.env is not None:
                self.env.close()
            self.env, self._made = self._make(make), make
        assert self.env is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.env.get_wrapper_attr("toggle_sample_tasks_on_reset")(False)  # a draw with replacement, otherwise
            self.env.unwrapped.set_task(self.env.get_wrapper_attr("tasks")[number])
            first, _ = self.env.reset()
        return self._row(first)


def versions(where: Where) -> dict[str, str]:
    """Of the packages that the environment is a function of."""
    names = ["gymnasium", "numpy"]
    if where.is_metaworld:
        names += ["metaworld", "mujoco"]
    elif where.env_id.startswith("LunarLander"):
        names += ["Box2D"]
    elif "HalfCheetah" in where.env_id:
        names += ["mujoco"]
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def imported(package: str) -> Any:
    """The module `package`. Raises ConfigError that names the extra where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"this needs the package {package}, which cannot be imported: {error}",
            hint=f"Install it with pip install '{PACKAGES.get(package, package)}'.",
        ) from error
