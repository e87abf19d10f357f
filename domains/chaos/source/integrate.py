"""A system's motion sampled at a fixed step: DOP853 for flows, plain iteration for maps, a time limit for both.

The transient is thrown away. Whatever goes wrong (blown up, stiff, at rest) is an IntegrationError with a reason that
rejects are counted by; a trajectory is never cut short or patched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.order import rng
from domains.chaos.source.systems import State, System

RTOL = 1e-9
ATOL = 1e-9
"""Perturbations of 1e-9 reach 0.4 of an attractor's width after some 20 Lyapunov times: twice the cap of any score."""
METHOD = "DOP853"
FAR = 1e8
"""A state this large has left every attractor that is sampled here."""
AT_REST = 1e-6
"""Spread of the second half of a trajectory, relative to its size and to that of initial conditions, below which it
counts as a fixed point."""


class IntegrationError(Exception):
    """A trajectory that could not be made.

    Args:
        reason: a short code: diverged, too_slow, at_rest, failed.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def sample(
    system: System, start: NDArray[np.float64], points: int, dt: float, *, transient: float, seconds: float
) -> NDArray[np.float64]:
    """What is seen of the system, (points, C), every `dt` from `start`, the transient left out.

    Args:
        transient: time that is thrown away first.
        seconds: wall-clock time after which it is given up.

    Raises IntegrationError.
    """
    deadline = time.monotonic() + seconds
    with np.errstate(all="ignore"):
        if system.discrete:
            states = _iterate(system, start, points, int(np.ceil(transient)), deadline)
        else:
            states = _solve(system, start, points, dt, transient, deadline)
        seen = states if system.observe is None else np.asarray(system.observe(states), np.float64)
    if not np.isfinite(seen).all() or np.abs(seen).max() > FAR:
        raise IntegrationError("diverged", f"{system.name} left every bounded region")
    half = seen[len(seen) // 2 :]
    if (half.std(axis=0) <= AT_REST * (np.abs(half).mean(axis=0) + np.linalg.norm(system.spread))).all():
        raise IntegrationError("at_rest", f"{system.name} came to rest at {half[-1].tolist()}")
    return seen


def fresh_start(system: System, *counters: int | str) -> NDArray[np.float64]:
    """(D,) an initial condition that is a function of the counters and of nothing else."""
    drawn = rng("chaos", system.name, *counters).standard_normal(len(system.start))
    return np.asarray(system.start, np.float64) + drawn * np.asarray(system.spread, np.float64)


def measure_lyapunov(system: System, dt: float, *, seconds: float, segments: int = 20_000) -> float:
    """The largest Lyapunov exponent from two nearby orbits, pulled together after every `dt` (Benettin et al. 1976).

    Args:
        dt: flows: the length of a segment; maps: one iteration.
        segments: after a tenth as many that are left out. 20,000 of Lorenz-63's steps are 670 Lyapunov times, within
            about 2 %.

    Raises IntegrationError as `sample`, and ("no_chaos") where the exponent is not positive.
    """
    deadline = time.monotonic() + seconds
    apart = 1e-5 * float(np.linalg.norm(system.spread))  # far above the solver's tolerance, far below the attractor
    first = fresh_start(system, "lyapunov")
    second = first + apart / np.sqrt(len(first))
    total, left_out = 0.0, segments // 10
    with np.errstate(all="ignore"):
        for segment in range(left_out + segments):
            if system.discrete:
                first, second = (np.array(system.rhs(0.0, x), np.float64) for x in (first, second))
            else:
                pair = np.concatenate([first, second])
                both = _advance(_watched(_pairwise(system), deadline, system.name), pair, 0.0, dt)
                first, second = both[: len(first)], both[len(first) :]
            _check(first, deadline, system.name)
            distance = float(np.linalg.norm(second - first))
            if not 0 < distance < np.inf:
                raise IntegrationError("at_rest", f"{system.name}: two orbits became one")
            if segment >= left_out:
                total += np.log(distance / apart)
            second = first + (second - first) * (apart / distance)
    exponent = total / (segments * (1.0 if system.discrete else dt))
    if exponent <= 0:
        raise IntegrationError("no_chaos", f"{system.name}: nearby orbits come closer, exponent {exponent:.3g}")
    return float(exponent)


def _iterate(
    system: System, start: NDArray[np.float64], points: int, transient: int, deadline: float
) -> NDArray[np.float64]:
    states = np.empty((points, len(start)))
    x: State = start
    for i in range(-transient, points):
        x = system.rhs(float(i), np.asarray(x))
        if i >= 0:
            states[i] = x
        if i % 1024 == 0:
            _check(np.asarray(x, np.float64), deadline, system.name)
    return states


def _solve(
    system: System, start: NDArray[np.float64], points: int, dt: float, transient: float, deadline: float
) -> NDArray[np.float64]:
    watched = _watched(system.rhs, deadline, system.name)
    x = _advance(watched, start, 0.0, transient) if transient > 0 else start
    times = transient + dt * np.arange(points)
    # no step longer than a sample: what lies between a solver's steps is interpolated, an order less well [Lorenz-63:
    # errors of 5e-8 of the attractor's width without this, 5e-9 with it, at no more evaluations]
    return _run(watched, x, transient, float(times[-1]), system.name, t_eval=times, max_step=dt).T


def _advance(rhs: Callable[..., Any], x: NDArray[np.float64], begin: float, end: float) -> NDArray[np.float64]:
    last: NDArray[np.float64] = _run(rhs, x, begin, end, "the system")[:, -1]
    return last


def _run(
    rhs: Callable[..., Any], x: NDArray[np.float64], begin: float, end: float, name: str, **options: Any
) -> NDArray[np.float64]:
    """(D, n) states at the solver's own times, or at `t_eval`."""
    from scipy.integrate import solve_ivp

    try:
        solved = solve_ivp(rhs, (begin, end), x, method=METHOD, rtol=RTOL, atol=ATOL, **options)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise IntegrationError("failed", f"{name}: {error}") from error
    if not solved.success:
        raise IntegrationError("failed", f"{name}: {solved.message}")
    states: NDArray[np.float64] = solved.y
    return states


def _watched(rhs: Callable[..., Any], deadline: float, name: str) -> Callable[..., Any]:
    """`rhs` that stops the solver when time is up or the state is gone; a solver alone may shrink its steps forever."""

    calls = 0

    def motion(t: float, x: NDArray[np.float64]) -> Any:
        nonlocal calls
        calls += 1
        if calls % 64 == 0:
            _check(x, deadline, name)
        return rhs(t, x)

    return motion


def _pairwise(system: System) -> Callable[..., Any]:
    def motion(t: float, pair: NDArray[np.float64]) -> NDArray[np.float64]:
        half = len(pair) // 2
        return np.concatenate([system.rhs(t, pair[:half]), system.rhs(t, pair[half:])])

    return motion


def _check(x: NDArray[np.float64], deadline: float, name: str) -> None:
    if time.monotonic() > deadline:
        raise IntegrationError("too_slow", f"{name}: not done within the time limit (data.time_limit)")
    if not np.isfinite(x).all() or np.abs(x).max() > FAR:
        raise IntegrationError("diverged", f"{name} left every bounded region")
