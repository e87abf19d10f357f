"""Trajectories out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import ConfigError, RecordError
from core.prediction.input import ArrayRow
from domains.chaos.source.trajectory import Trajectory


def trajectory_row(row: ArrayRow, tokenizer: object, *, dt: float | None = None, **options: Any) -> Trajectory:
    """One row, missing steps behind its last value left out.

    Args:
        dt: time from one step to the next; None: the step of a time coordinate of numbers, else 1.

    Raises RecordError where it has no finite value or infinite ones, ConfigError for an unknown option.
    """
    if options:
        raise ConfigError(f"input.{next(iter(options))} is unknown", hint="Known: dt, and what names arrays.")
    values = np.asarray(row.value, np.float64)
    if np.isinf(values).any():
        raise RecordError("infinite", f"trajectory '{row.id}' has infinite values", record=row.id)
    there = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(there):
        raise RecordError("all_missing", f"trajectory '{row.id}' has no value at all", record=row.id)
    if dt is None:
        numbers = row.stamps is not None and row.stamps.dtype.kind in "iuf" and len(row.stamps) > 1
        dt = float(row.stamps[1] - row.stamps[0]) if numbers and row.stamps is not None else 1.0
    return Trajectory(row.id, values[: there[-1] + 1], row.channels, dt=float(dt))
