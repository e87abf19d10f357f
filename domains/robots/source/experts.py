"""Experts of gymnasium's environments: a few lines of control theory each, from a state to an action.

An expert is a function of the observation, HalfCheetah's of the time as well; `noisy` makes a worse one of it, so that
a data set holds several levels of skill. What they score is measured where data are made, and stored with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.errors import ConfigError, nearest
from domains.robots.source.spaces import CHOICE, Space, Values

Act = Callable[[Values], Values]


@dataclass(frozen=True)
class Classic:
    """An environment of gymnasium with an expert of ours."""

    env_id: str
    expert: str
    """What the expert is called."""
    start: Callable[[], Act]
    """Of an episode: a function (O,) -> (A,)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `gymnasium.make` is given beside the id."""


def balance_pole(state: Values) -> Values:
    """CartPole: push to the side to which the pole falls, or the cart drifts with it: the sign of a linear rule."""
    position, velocity, angle, turning = state
    return np.array([float(0.1 * position + 0.3 * velocity + 4.0 * angle + turning > 0)])


def swing_up(state: Values) -> Values:
    """Pendulum: pump energy until it is that of the upright, then hold it there (Astrom and Furuta 2000).

    Observation: cosine and sine of the angle from the upright, its rate; m = l = 1, g = 10, moment of inertia 1/3.
    """
    cosine, sine, rate = state
    if cosine > 0.9:
        angle = np.arctan2(sine, cosine)
        torque = -(16.0 * angle + 3.5 * rate)
    else:
        energy = rate**2 / 6 + 5.0 * (cosine - 1)  # above that at rest in the upright
        torque = -4.0 * energy * np.sign(rate if rate else 1.0)
    return np.array([np.clip(torque, -2.0, 2.0)])


def rock_up(state: Values) -> Values:
    """MountainCarContinuous: push along the motion, which adds energy at every swing."""
    _, velocity = state
    return np.array([1.0 if velocity >= 0 else -1.0])


def land(state: Values) -> Values:
    """LunarLander, continuous: fall along a funnel above the pad, upright; proportional and derivative in both.

    The tilt that is wanted leads back to the middle and brakes sideways motion; the height that is wanted grows with
    the distance from the middle. With a leg on the ground only the fall is braked.
    """
    x, y, vx, vy, angle, turning, left, right = state
    if left or right:
        turn, lift = 0.0, -0.5 * vy
    else:
        wanted = np.clip(0.5 * x + vx, -0.4, 0.4)
        turn = 0.5 * (wanted - angle) - turning
        lift = 0.5 * (0.55 * abs(x) - y) - 0.5 * vy
    thrust: Values = np.clip([20 * lift - 1, -20 * turn], -1.0, 1.0)
    return thrust


def _running() -> Act:
    from domains.robots.source.gait import running

    return running()


CHEETAH = "HalfCheetah-v5"
CLASSIC: dict[str, Classic] = {
    one.env_id: one
    for one in (
        Classic("CartPole-v1", "linear rule", lambda: balance_pole),
        Classic("Pendulum-v1", "energy swing-up", lambda: swing_up),
        Classic("MountainCarContinuous-v0", "push along the motion", lambda: rock_up),
        Classic("LunarLander-v3", "proportional-derivative landing", lambda: land, {"continuous": True}),
        Classic(CHEETAH, "gait of the cross-entropy method", _running),
    )
}


def classic(env_id: str) -> Classic:
    """Raises ConfigError for an environment without an expert here, with the nearest name."""
    if env_id not in CLASSIC:
        raise ConfigError(
            f"data.env: there is no expert for '{env_id}'{nearest(env_id, CLASSIC)}",
            hint=f"Known: {', '.join(CLASSIC)}; demonstrations of other environments are read with data.path=.",
        )
    return CLASSIC[env_id]


def noisy(action: Values, space: Space, noise: float, rng: np.random.Generator) -> Values:
    """The action of a less able expert.

    A choice is replaced by a random one with probability `noise`; a number is moved by a normal of deviation `noise`
    times half its range, and clipped.
    """
    if not noise:
        return action
    moved = np.array(action, np.float64)
    low, high = space.bounds
    for part, where in space.columns():
        if part.kind == CHOICE:
            if rng.random() < noise:
                moved[where] = part.first + rng.integers(part.size)
        else:
            half = (high[where] - low[where]) / 2
            moved[where] += noise * half * rng.standard_normal(part.size)
    return space.clipped(moved)


def random_action(space: Space, rng: np.random.Generator) -> Values:
    """(A,) uniform over the space; a number without bounds is a standard normal."""
    low, high = space.bounds
    drawn = np.empty(space.width)
    for part, where in space.columns():
        if part.kind == CHOICE:
            drawn[where] = part.first + rng.integers(part.size)
            continue
        bounded = np.isfinite(low[where]) & np.isfinite(high[where])
        uniform = rng.random(part.size)
        normal = rng.standard_normal(part.size)
        drawn[where] = np.where(
            bounded, np.where(bounded, low[where], 0) + uniform * np.where(bounded, high[where] - low[where], 0), normal
        )
    return drawn
