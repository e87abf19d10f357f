"""A system of the user's own: a small Python file, run because its owner asks for it by name (`data.system=my.py`).

    parameters = {"a": 0.2, "b": 0.2, "c": 5.7}
    x0 = [1.0, 1.0, 0.0]
    lyapunov = 0.0714           # or dt = 0.2, and the exponent is measured

    def rhs(t, x, a, b, c):
        return -x[1] - x[2], x[0] + a * x[1], b + x[2] * (x[0] - c)

Further names it may set: `channels`, `spread` (of initial conditions), `period`, `dt`, `discrete` (rhs is a map).
"""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from domains.chaos.source.systems import System
from domains.formats.text import missing

SPREAD = 0.1
"""Fresh initial conditions lie within about this share of x0's size, where the file says nothing else."""


def own_system(path: Path) -> System:
    """The system that the file defines; the file is run.

    Raises InputError where there is no such file, it fails, or what it defines is not a system.
    """
    if not path.is_file():
        raise missing(path)
    content = path.read_bytes()
    try:
        said = runpy.run_path(str(path), run_name="foretell_system")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InputError(f"{path}: running it failed: {type(error).__name__}: {error}") from error
    motion = said.get("rhs")
    if not callable(motion):
        raise InputError(f"{path}: it defines no function rhs(t, x, **parameters)")
    parameters = said.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InputError(f"{path}: parameters is {parameters!r}, expected a dict of names and numbers")
    start = _vector(path, "x0", said.get("x0"))
    spread = _vector(path, "spread", said.get("spread", np.maximum(np.abs(start), 1.0) * SPREAD))
    if spread.shape != start.shape or (spread < 0).any() or not spread.any():
        raise InputError(f"{path}: spread must be {len(start)} numbers of at least 0, not all of them 0")
    channels = tuple(str(c) for c in said.get("channels", ())) or tuple(f"x{i + 1}" for i in range(len(start)))
    if len(channels) != len(start):
        raise InputError(f"{path}: channels has {len(channels)} names, x0 has {len(start)} numbers")
    lyapunov, dt, period = (_positive(path, key, said.get(key)) for key in ("lyapunov", "dt", "period"))
    discrete = bool(said.get("discrete", False))
    if lyapunov is None and dt is None and not discrete:
        raise InputError(
            f"{path}: nothing says how fast the system is",
            hint="Set lyapunov (its largest exponent, per unit of time), or dt (the step to sample it with).",
        )
    system = System(
        path.stem,
        channels,
        motion,
        dict(parameters),
        tuple(start.tolist()),
        tuple(spread.tolist()),
        lyapunov,
        f"{path.name} says so" if lyapunov else "",
        period=period,
        discrete=discrete,
        dt=dt,
        origin=f"{path.name}, sha256 {hashlib.sha256(content).hexdigest()}",
    )
    _try(path, system, start)
    return system


def _try(path: Path, system: System, start: NDArray[np.float64]) -> None:
    """Raises InputError unless rhs takes x0 and gives as many numbers."""
    try:
        moved = np.asarray(system.rhs(0.0, start), np.float64)
    except Exception as error:  # whatever a user's function may raise
        raise InputError(f"{path}: rhs(0.0, x0, **parameters) failed: {type(error).__name__}: {error}") from error
    if moved.shape != start.shape or not np.isfinite(moved).all():
        raise InputError(f"{path}: rhs(0.0, x0, **parameters) gave {moved.tolist()}, expected {len(start)} numbers")


def _vector(path: Path, key: str, value: Any) -> NDArray[np.float64]:
    try:
        vector = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        vector = np.zeros((0, 0))
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise InputError(f"{path}: {key} is {value!r}, expected a list of numbers")
    return vector


def _positive(path: Path, key: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise InputError(f"{path}: {key} is {value!r}, expected a positive number")
    return float(value)
