"""Dynamical systems that need no further package: Lorenz-63, Rossler, Lorenz-96 and three maps.

A `System` is a right-hand side (flows) or a step (maps) with what is needed to sample it: a point near the attractor,
how far fresh initial conditions lie from it, its largest Lyapunov exponent and where that number comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest

State = Sequence[float] | NDArray[np.float64]
Motion = Callable[..., State]
"""`rhs(t, x, **parameters)`: dx/dt of a flow, the next x of a map."""


@dataclass(frozen=True)
class System:
    """One system with its parameters."""

    name: str
    channels: tuple[str, ...]
    motion: Motion
    parameters: Mapping[str, Any]
    start: tuple[float, ...]
    """A state near the attractor."""
    spread: tuple[float, ...]
    """Standard deviation of fresh initial conditions around `start`; the transient brings them onto the attractor."""
    lyapunov: float | None
    """Largest Lyapunov exponent, per unit of time (flows) or per iteration (maps); None: to be measured."""
    lyapunov_source: str
    """Where that number comes from."""
    period: float | None = None
    """Dominant period, where it is known: bounds the sampling step from above."""
    discrete: bool = False
    """Whether it is a map."""
    dt: float | None = None
    """The sampling step, where the system itself says one."""
    observe: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """Of states (T, D): what is seen of them (T, C); None: all."""
    citation: str = ""
    origin: str = "foretell"
    """What defines it: foretell, a version of dysts, or a file and its sha256."""

    def rhs(self, t: float, x: NDArray[np.float64]) -> State:
        return self.motion(t, x, **self.parameters)

    def facts(self) -> dict[str, Any]:
        """What a store's provenance and the cache's key say of it."""
        return {
            "parameters": {k: np.asarray(v).tolist() for k, v in self.parameters.items()},
            "start": list(self.start),
            "spread": list(self.spread),
            "discrete": self.discrete,
            "origin": self.origin,
        }


def _lorenz63(t: float, x: NDArray[np.float64], *, sigma: float, rho: float, beta: float) -> State:
    a, b, c = x.tolist()  # Python's floats multiply three times faster than numpy's scalars
    return sigma * (b - a), a * (rho - c) - b, a * b - beta * c


def _rossler(t: float, x: NDArray[np.float64], *, a: float, b: float, c: float) -> State:
    u, v, w = x.tolist()
    return -v - w, u + a * v, b + w * (u - c)


def _lorenz96(t: float, x: NDArray[np.float64], *, forcing: float) -> State:
    behind, ahead = np.roll(x, 1), np.roll(x, -1)
    return behind * (ahead - np.roll(x, 2)) - x + forcing


def _henon(t: float, x: State, *, a: float, b: float) -> State:
    return 1 - a * x[0] ** 2 + x[1], b * x[0]


def _logistic(t: float, x: State, *, r: float) -> State:
    return (r * x[0] * (1 - x[0]),)


def _ikeda(t: float, x: State, *, u: float) -> State:
    angle = 0.4 - 6 / (1 + x[0] ** 2 + x[1] ** 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    return 1 + u * (x[0] * cosine - x[1] * sine), u * (x[0] * sine + x[1] * cosine)


def _built_in() -> list[System]:
    return [
        System(
            "lorenz63",
            ("x", "y", "z"),
            _lorenz63,
            {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3},
            (0.0, 0.0, 25.0),
            (8.0, 9.0, 8.5),
            0.9056,
            "Sprott 2003, Chaos and Time-Series Analysis",
            period=0.75,
            citation="Lorenz 1963, J. Atmos. Sci. 20:130",
        ),
        System(
            "rossler",
            ("x", "y", "z"),
            _rossler,
            {"a": 0.2, "b": 0.2, "c": 5.7},
            (0.0, -5.0, 0.1),
            (1.0, 1.0, 0.05),
            0.0714,
            "Sprott 2003, Chaos and Time-Series Analysis",
            period=5.9,
            citation="Rossler 1976, Phys. Lett. A 57:397",
        ),
        System(
            "lorenz96",
            tuple(f"x{i + 1}" for i in range(10)),
            _lorenz96,
            {"forcing": 8.0},
            (2.3,) * 10,
            (3.6,) * 10,
            1.188,
            "two orbits pulled together 40,000 times every 0.05 (Benettin et al. 1976), measured here",
            period=2.0,
            citation="Lorenz 1996, Proc. Seminar on Predictability, ECMWF",
        ),
        System(
            "henon",
            ("x", "y"),
            _henon,
            {"a": 1.4, "b": 0.3},
            (0.0, 0.0),
            (0.1, 0.1),
            0.4192,
            "Sprott 2003, Chaos and Time-Series Analysis",
            discrete=True,
            citation="Henon 1976, Commun. Math. Phys. 50:69",
        ),
        System(
            "logistic",
            ("x",),
            _logistic,
            {"r": 3.99},  # at r = 4 doubles fall into short cycles
            (0.4,),
            (0.1,),
            0.640,
            "two orbits pulled together a million times (Benettin et al. 1976), measured here",
            discrete=True,
            citation="May 1976, Nature 261:459",
        ),
        System(
            "ikeda",
            ("x", "y"),
            _ikeda,
            {"u": 0.9},
            (0.5, 0.0),
            (0.1, 0.1),
            0.5073,
            "Sprott 2003, Chaos and Time-Series Analysis",
            discrete=True,
            citation="Hammel, Jones and Moloney 1985, J. Opt. Soc. Am. B 2:552",
        ),
    ]


BUILT_IN: dict[str, System] = {system.name: system for system in _built_in()}


def changed(system: System, values: Mapping[str, Any]) -> System:
    """`system` with some parameters changed: its Lyapunov exponent must then be measured anew.

    Raises ConfigError for a parameter that it does not have (the nearest is shown), or a value that is no number.
    """
    for key, value in values.items():
        if key not in system.parameters:
            raise ConfigError(
                f"data.parameters.{key}: system '{system.name}' has no such parameter{nearest(key, system.parameters)}",
                hint=f"It has {', '.join(system.parameters) or 'none'}.",
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ConfigError(f"data.parameters.{key}={value!r}: expected a number")
    parameters = {**system.parameters, **{key: float(value) for key, value in values.items()}}
    if all(np.array_equal(parameters[key], system.parameters[key]) for key in values):
        return system
    return replace(system, parameters=parameters, lyapunov=None, lyapunov_source="")
