"""How a system is sampled: the step, and which trajectories a data set has, each from an initial condition of its own.

Train, validation and test never share an orbit: every trajectory starts from a fresh state and throws away 20 Lyapunov
times, in which any memory of where it started is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from core.errors import ConfigError
from domains.chaos.source.systems import System

TRANSIENT = 20.0
"""Lyapunov times that are thrown away at the start of every trajectory."""
LEAST_PER_PERIOD = 12.0
"""Points a dominant period that a slowly diverging system is sampled with at least; its Lyapunov time is many periods
[Tsucs2: 21], and 30 points of that would miss its oscillations."""
LEAST_VALIDATION = 25.0
"""Lyapunov times of the validation trajectory at least: one context and roll-outs of several starts."""


@dataclass(frozen=True)
class SamplingConfig:
    """What is made of each system."""

    points: int = 30_000
    """Points to train on, over all training trajectories of a system."""
    trajectories: int = 1
    """How many training trajectories share these points."""
    validation_points: int | None = None
    """Points of the validation trajectory; None: a tenth of `points`, and at least 25 Lyapunov times."""
    points_per_lyapunov_time: float = 30.0
    """As in the papers whose figures stand in BARS.md; more where that were fewer than 12 a period. Not for maps."""
    test_starts: int = 20
    """Test trajectories that are forecast, each from its own initial condition."""
    context: float = 5.0
    """Lyapunov times given of each of them."""
    horizon: float = 10.0
    """Lyapunov times of truth that follow: the cap of valid prediction times."""
    long_points: int = 4000
    """Points of truth of the long test trajectories, for the attractor's geometry."""
    long_trajectories: int = 4
    """How many of them; each is another one's floor. 0 leaves geometry out."""
    noise: float = 0.0
    """Standard deviation of Gaussian observation noise as a share of each channel's: in train, in validation and in the
    context of test trajectories. What must be forecast stays clean."""
    seed: int = 0
    """Of initial conditions and noise."""

    def __post_init__(self) -> None:
        for key, least in (
            ("points", 2),
            ("trajectories", 1),
            ("points_per_lyapunov_time", 1),
            ("test_starts", 0),
            ("long_points", 100),
            ("long_trajectories", 0),
            ("noise", 0),
        ):
            value = getattr(self, key)
            whole = isinstance(getattr(SamplingConfig, key), int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < least:
                kind = "whole number" if whole else "number"
                raise ConfigError(f"data.{key}: got {value!r}, allowed: a {kind} of at least {least}")
        for key in ("context", "horizon"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
                raise ConfigError(f"data.{key}: got {value!r}, allowed: Lyapunov times above 0")
        if self.validation_points is not None and self.validation_points < 2:
            raise ConfigError(f"data.validation_points: got {self.validation_points!r}, allowed: 2 or more, or null")
        if self.points // self.trajectories < 2:
            raise ConfigError(f"data.trajectories: got {self.trajectories}, more than half of data.points")


@dataclass(frozen=True)
class Orbit:
    """One trajectory to be made."""

    id: str
    split: str
    purpose: str
    points: int
    context: int
    """Of its points, how many are given."""
    counters: tuple[int | str, ...]
    """What its initial condition is a function of."""


def sampling_step(system: System, points_per_lyapunov_time: float = 30.0) -> float:
    """Time from one point to the next; 1 for maps.

    Raises ConfigError where the system's Lyapunov exponent is not known.
    """
    if system.discrete:
        return 1.0
    if system.dt is not None:
        return system.dt
    if not system.lyapunov:
        raise ConfigError(f"system '{system.name}': its Lyapunov exponent is not known", hint="Give it a step dt.")
    step = 1 / (system.lyapunov * points_per_lyapunov_time)
    return step if system.period is None else min(step, system.period / LEAST_PER_PERIOD)


def orbits(system: System, config: SamplingConfig, *, held_out: bool = False) -> list[Orbit]:
    """The trajectories of one system, training first; `held_out` leaves test trajectories only."""
    assert system.lyapunov is not None
    dt = sampling_step(system, config.points_per_lyapunov_time)
    steps = 1 / (system.lyapunov * dt)  # of one Lyapunov time
    context, horizon = max(1, ceil(config.context * steps)), ceil(config.horizon * steps)
    validation = config.validation_points or max(config.points // 10, ceil(LEAST_VALIDATION * steps))
    plan: list[tuple[str, str, int, int, int]] = []
    if not held_out:
        plan.append(("train", "series", config.trajectories, config.points // config.trajectories, 0))
        plan.append(("validation", "series", 1, validation, 0))
    plan.append(("test", "forecast", config.test_starts, context + horizon, context))
    plan.append(("test", "geometry", config.long_trajectories, context + config.long_points, context))
    return [
        Orbit(
            f"{system.name}/{split if purpose == 'series' else purpose}/{i}",
            split,
            purpose,
            points,
            given,
            (config.seed, split, purpose, i),
        )
        for split, purpose, count, points, given in plan
        for i in range(count)
    ]


def described(system: System, config: SamplingConfig) -> Mapping[str, Any]:
    """What the provenance says of a system as it was sampled."""
    return {
        **system.facts(),
        "dt": sampling_step(system, config.points_per_lyapunov_time),
        "lyapunov_exponent": system.lyapunov,
        "lyapunov_source": system.lyapunov_source,
        "citation": system.citation,
    }
