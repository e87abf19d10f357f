"""Systems of the package dysts (Gilpin 2021, arXiv 2110.05266): its equations and parameters, our integration.

Only those on the allow-list `dysts_systems.csv` are used: try_systems.py has seen them stay bounded and in motion from
fresh initial conditions within a time limit. Delay equations are left out. The sampling step is never dysts' `dt`,
which is an integration step; the Lyapunov exponent is its `maximum_lyapunov_estimated`, one of several it has.
"""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from domains.chaos.source.systems import State, System

LIST = Path(__file__).with_name("dysts_systems.csv")
WORKS = "works"
SPREAD = 0.05
"""Fresh initial conditions lie so many standard deviations of the attractor around a point on it: in its basin, and
told apart by the 20 Lyapunov times of transient [e^20 x 0.05 is far more than the attractor]."""
CITATION = "Gilpin 2021, arXiv 2110.05266; "
LICENCE = "equations and parameters: dysts, MIT; trajectories: made here"


@dataclass(frozen=True)
class Listed:
    """One line of the allow-list."""

    name: str
    dimension: int
    """Of what is observed."""
    lyapunov: float
    period: float
    seconds: float
    """What 3,000 points took, on one core."""
    status: str
    """`works`, or why it is not used."""


@cache
def listed() -> dict[str, Listed]:
    """The allow-list, systems that are not used among it. Read without importing dysts."""
    with open(LIST, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        found = [
            Listed(
                row["name"],
                int(row["dimension"]),
                float(row["lyapunov"]),
                float(row["period"]),
                float(row["seconds"]),
                row["status"],
            )
            for row in rows
        ]
    return {line.name: line for line in found}


def allowed(dimension: int | None = None) -> list[str]:
    """Names on the allow-list, those of one dimension or all."""
    return [s.name for s in listed().values() if s.status == WORKS and dimension in (None, s.dimension)]


def dysts_system(name: str) -> System:
    """The system that dysts calls `name`.

    Raises ConfigError where dysts is not installed or has no such flow.
    """
    flows, version = flows_of_dysts()
    model = getattr(flows, name, None)
    if model is None:
        raise ConfigError(f"dysts {version} has no flow '{name}'")
    equations = model()
    keys = sorted(equations.params)
    metadata = equations.metadata
    start, spread = np.asarray(equations.ic, np.float64), np.ones(len(equations.ic))
    known = (
        np.asarray(getattr(equations, "std", None), np.float64) if getattr(equations, "std", None) is not None else 0
    )
    if np.shape(known) == spread.shape and np.isfinite(known).all():
        spread = np.where(known > 0, known, spread)
    spread = np.where(np.isin(np.arange(len(start)), equations.unbounded_indices), 1.0, spread) * SPREAD

    def scalars(t: float, x: NDArray[np.float64], **parameters: Any) -> State:
        moved: State = equations._rhs(*x.tolist(), t, *[parameters[key] for key in keys])
        return moved

    def vectors(t: float, x: NDArray[np.float64], **parameters: Any) -> State:
        equations.__dict__.update(parameters)  # a system that is written for whole states reads them from itself
        moved: State = equations.rhs(np.asarray(x), t)
        return moved

    motion = scalars if isinstance(vars(model).get("_rhs"), staticmethod) else vectors

    shape = getattr(equations, "_postprocessing", None)
    observe = None if shape is None else lambda states: np.stack(np.broadcast_arrays(*shape(*states.T)), axis=1)
    width = len(start) if observe is None else observe(start[None]).shape[1]
    return System(
        name,
        tuple("xyzw"[i] if len(start) <= 4 else f"x{i + 1}" for i in range(width)),
        motion,
        dict(equations.params),
        tuple(start.tolist()),
        tuple(spread.tolist()),
        float(equations.maximum_lyapunov_estimated),
        f"dysts {version}, maximum_lyapunov_estimated",
        period=float(equations.period),
        observe=observe,
        citation=CITATION + str(metadata.get("citation", "")),
        origin=f"dysts {version}",
    )


def flows_of_dysts() -> tuple[Any, str]:
    """The module of flows, and dysts' version. Raises ConfigError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that numba is not there is no trouble: integration is ours
            flows = importlib.import_module("dysts.flows")
    except ImportError as error:
        raise ConfigError(
            f"this system is defined by the package dysts, which cannot be imported: {error}",
            hint="Install it with pip install 'foretell[chaos]', or take data=lorenz63.",
        ) from error
    return flows, importlib.metadata.version("dysts")
