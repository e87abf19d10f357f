"""How files of time series are read: the keys below `data` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from core.errors import ConfigError, nearest
from domains.formats.frame_columns import FrameConfig
from domains.formats.time_grid import GridPolicy

FORMATS = ("auto", "table", "tsf", "numpy", "zarr")
_LISTS = ("time_column", "target", "known", "past", "labels", "missing")
_KEYS = {
    **{f.name: "grid" for f in fields(GridPolicy)},
    **{f.name: "frame" for f in fields(FrameConfig) if f.name != "grid"},
    "format": "",
    "variable": "",
    "horizon": "",
}
"""Every key to the part that it belongs to."""


@dataclass(frozen=True)
class SourceConfig:
    """How series are read out of whatever holds them. On the command line all keys stand below `data`."""

    format: str = "auto"
    """table (CSV, TSV, Parquet), tsf, numpy or zarr for all files; "auto" tells by each file's ending."""
    variable: str | None = None
    """The array of a Zarr group that holds the values, where there are several."""
    horizon: int = 0
    """Steps put behind every series with their stamps and no values, for `predict what=[forecast] origin=held_out`."""
    frame: FrameConfig = field(default_factory=FrameConfig)
    """Columns, missing words, time zone and grid of tables."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(
                f"data.format: got {self.format!r}{nearest(self.format, FORMATS)}",
                hint=f"Allowed: {', '.join(FORMATS)}.",
            )
        if self.horizon < 0:
            raise ConfigError(f"data.horizon: got {self.horizon}, allowed: 0 or a positive whole number")

    @classmethod
    def from_options(cls, options: Mapping[str, Any], base: SourceConfig | None = None) -> SourceConfig:
        """`base` with the values that are given. Raises ConfigError for an unknown key, with the nearest one."""
        made = base or cls()
        parts: dict[str, dict[str, Any]] = {"": {}, "frame": {}, "grid": {}}
        for key, value in options.items():
            if key not in _KEYS:
                raise ConfigError(f"data.{key} is unknown{nearest(key, _KEYS)}", hint=f"Known: {', '.join(_KEYS)}.")
            listed = key in _LISTS and value is not None
            parts[_KEYS[key]][key] = (
                (value,) if listed and isinstance(value, str) else tuple(value) if listed else value
            )
        grid = replace(made.frame.grid, **parts["grid"])
        return replace(made, frame=replace(made.frame, **parts["frame"], grid=grid), **parts[""])
