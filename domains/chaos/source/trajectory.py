"""The record of the domain: a trajectory of a dynamical system, sampled at a fixed step.

What an evaluation must know of it (its step, its Lyapunov time, how many of its first steps are given as context)
travels with it as labels of the store's row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import InputError, RecordError

Values = NDArray[np.float64]
PURPOSES = ("series", "forecast", "geometry")
"""series: to be learned from, or cut into starts; forecast: context, then the truth to be met; geometry: as forecast,
with a truth long enough to show the attractor."""


@dataclass(frozen=True)
class Trajectory:
    """Values (T, C) of a system's state, or of what is observed of it.

    Raises InputError where the shapes disagree.
    """

    id: str
    values: Values
    """(T, C); NaN where a value is missing."""
    channels: tuple[str, ...] = ()
    """Names of the C channels; x1, x2 ... where not given."""
    dt: float = 1.0
    """Time from one step to the next."""
    lyapunov_time: float | None = None
    """1 / largest Lyapunov exponent, in the unit of `dt`; None where it is not known."""
    system: str = ""
    """Trajectories of one system are one group."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    split: str | None = None
    purpose: str = "series"
    """One of PURPOSES."""
    context: int = 0
    """Of a forecast or geometry trajectory: how many of the first steps are given. They have observation noise where
    `noise` is not 0; what follows is the truth and has none."""
    noise: float = 0.0
    """Standard deviation of the observation noise as a share of each channel's."""
    place: tuple[str, int | None, int | None] = ("", None, None)
    """File, line and byte offset."""

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.shape[1]:
            raise InputError(f"trajectory '{self.id}' has shape {values.shape}, expected (steps, channels)")
        object.__setattr__(self, "values", values)
        names = self.channels or tuple(f"x{i + 1}" for i in range(values.shape[1]))
        if len(names) != values.shape[1]:
            raise InputError(
                f"trajectory '{self.id}' has {values.shape[1]} channels and {len(names)} names of channels"
            )
        object.__setattr__(self, "channels", tuple(names))

    def __len__(self) -> int:
        """Steps."""
        return len(self.values)

    def labels(self) -> dict[str, Any]:
        """What a store keeps of it beside the values: plain numbers and texts, the same keys for every trajectory."""
        return {
            "system": self.system,
            "channels": ",".join(self.channels),
            "parameters": json.dumps(dict(self.parameters), sort_keys=True),
            "dt": float(self.dt),
            "lyapunov_time": float("nan") if self.lyapunov_time is None else float(self.lyapunov_time),
            "purpose": self.purpose,
            "context": int(self.context),
            "noise": float(self.noise),
        }

    @classmethod
    def from_labels(cls, name: str, values: Values, labels: Mapping[str, Any]) -> Trajectory:
        """The trajectory that has these values and `labels()`; what the labels lack has its default."""
        known = float(labels.get("lyapunov_time", np.nan))
        channels = tuple(part for part in str(labels.get("channels", "")).split(",") if part)
        return cls(
            name,
            values,
            channels if len(channels) == np.shape(values)[-1] else (),
            float(labels.get("dt", 1.0)),
            known if np.isfinite(known) else None,
            str(labels.get("system", "")),
            json.loads(labels.get("parameters") or "{}"),
            purpose=str(labels.get("purpose", "series")),
            context=int(labels.get("context", 0)),
            noise=float(labels.get("noise", 0.0)),
        )

    def part(self, start: int, stop: int) -> Trajectory:
        """Steps [start, stop) under the same id."""
        return replace(self, values=self.values[start:stop], context=max(0, min(self.context, stop) - start))


def as_trajectory(record: Trajectory | ArrayLike) -> Trajectory:
    """A Trajectory as it is; an array (T, C) or (T,) as one without a name.

    Raises RecordError for anything else.
    """
    if isinstance(record, Trajectory):
        return record
    try:
        return Trajectory("", np.asarray(record, np.float64))
    except (TypeError, ValueError, InputError) as error:
        raise RecordError("not_numbers", f"record '' is no array of numbers (steps, channels): {error}") from error
