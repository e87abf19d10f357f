"""The keys below `data`: how systems are sampled, and how files are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from core.errors import ConfigError, nearest
from domains.chaos.source.sampling import SamplingConfig


@dataclass(frozen=True)
class SourceConfig(SamplingConfig):
    """The keys below `data`: how systems are sampled, and how files are read."""

    parameters: Mapping[str, float] = field(default_factory=dict)
    """Changed parameters of the system: data.parameters.rho=35. Its Lyapunov exponent is then measured."""
    systems: tuple[str, ...] = ()
    """data=dysts: which; none: all that work and have `dimension` channels."""
    holdout_systems: tuple[str, ...] = ()
    """Systems that are only tested on: zero-shot."""
    dimension: int = 3
    """data=dysts: of the systems that are taken where `systems` does not name them."""
    system: str | None = None
    """A Python file with rhs(t, x, **parameters), which is run: equations of one's own."""
    channels: tuple[str, ...] = ()
    """Only these channels are observed; none: all."""
    time_limit: float = 600.0
    """Seconds of integration for one system; one that is slower is rejected."""
    workers: int = 0
    """Processes that integrate what is not in the cache; 0: one a core where there is much to do, else this one."""
    dt: float | None = None
    """Files: time from one row to the next, where no time column says it; 1 where neither does."""
    lyapunov: float | None = None
    """Files: the largest Lyapunov exponent, per unit of time; None: estimated from the longest series."""
    id_column: str | None = None
    """Files: the column that tells series apart; None looks for a usual name."""
    time_column: str | None = None
    """Files: the column of the times, evenly spaced; None looks for a usual name."""
    split_column: str | None = None
    """Files: train, validation or test of each series."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("time_limit", "dt", "lyapunov"):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
                raise ConfigError(f"data.{key}: got {value!r}, allowed: a positive number")
        if not isinstance(self.workers, int) or self.workers < 0:
            raise ConfigError(f"data.workers: got {self.workers!r}, allowed: a whole number of at least 0")
        if not isinstance(self.parameters, Mapping):
            raise ConfigError(f"data.parameters: got {self.parameters!r}, expected keys like data.parameters.rho=35")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one, or a value that is not allowed."""
        known = [f.name for f in fields(cls)]
        for key in options:
            if key not in known:
                raise ConfigError(f"data.{key} is unknown{nearest(key, known)}", hint=f"Known: {', '.join(known)}.")
        listed = ("systems", "holdout_systems", "channels")
        given: dict[str, Any] = {
            key: ((value,) if isinstance(value, str) else tuple(map(str, value))) if key in listed else value
            for key, value in options.items()
            if value is not None
        }
        return cls(**given)
