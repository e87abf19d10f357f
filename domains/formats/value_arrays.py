"""Arrays of values as series: NumPy files and arrays, and Zarr groups, also those that xarray wrote.

Shapes: (T,) one series, (T, C) one of several channels, (N, T, C) many. Where a Zarr array names its dimensions, they
say which is time, and a coordinate of that name gives the stamps (CF: "hours since 2000-01-01"). Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError, RecordError, nearest
from core.prediction.input.array_group import CHANNELS, TIMES
from core.rejects import Reject
from domains.formats.frame_columns import FrameConfig
from domains.formats.series import Series
from domains.formats.stamps import known_zone
from domains.formats.time_grid import lay_on_grid

_UNITS = {"nanoseconds": 1, "microseconds": 10**3, "milliseconds": 10**6, "seconds": 10**9, "minutes": 60 * 10**9}
_UNITS |= {"hours": 3600 * 10**9, "days": 86400 * 10**9}


@dataclass(frozen=True)
class ArrayConfig:
    """What an array does not say itself."""

    variable: str | None = None
    """The array of a Zarr group or .npz that holds the values; None: the only one, of an .npz all."""
    frame: FrameConfig = field(default_factory=FrameConfig)
    """Its `channels`, `start`, `timezone` and `grid` hold for arrays too."""


@dataclass(frozen=True)
class _Block:
    """An array (N, T, C) of several series."""

    values: Any
    """Anything that is indexed like an array; series are read one by one."""
    ids: tuple[str, ...]
    channels: tuple[str, ...]
    stamps: NDArray[np.int64] | None = None
    """(T,) nanoseconds."""


class ArraySeries:
    """The series of one file, group or array.

    Args:
        what: a .npy or .npz file, a Zarr group, or an array.
        notes: counts what was unusual but readable.

    `records` is how many series there are. Raises InputError for a damaged file or a shape that is none of the known.
    """

    def __init__(self, what: Path | NDArray[Any], config: ArrayConfig, notes: Counter[str]) -> None:
        self.config, self.notes = config, notes
        self.file = str(what) if isinstance(what, Path) else ""
        if not isinstance(what, Path):
            self._blocks = [_shaped(what, "series", "the array")]
        elif what.is_dir():
            self._blocks = [_zarr_block(what, config.variable)]
        else:
            self._blocks = list(_numpy_blocks(what, config.variable))

    @property
    def records(self) -> int:
        together = self.config.frame.channels == "together"
        return sum(len(b.ids) * (1 if together else len(b.channels)) for b in self._blocks)

    def __iter__(self) -> Iterator[Series | Reject]:
        index = 0
        for block in self._blocks:
            for i, identity in enumerate(block.ids):
                values = np.asarray(block.values[i], np.float64)
                together = self.config.frame.channels == "together"
                for c in [slice(None)] if together else [slice(j, j + 1) for j in range(len(block.channels))]:
                    names = block.channels[c]
                    record = identity if together or len(block.channels) == 1 else f"{identity}.{names[0]}"
                    try:
                        yield make_series(
                            record,
                            values[:, c],
                            names,
                            block.stamps,
                            self.config.frame,
                            file=self.file,
                            notes=self.notes,
                        )
                    except RecordError as error:
                        yield Reject(self.file, index, record, None, None, error.reason, str(error))
                    index += 1


def make_series(
    record: str,
    values: NDArray[np.float64],
    channels: tuple[str, ...],
    stamps: NDArray[np.int64] | None,
    frame: FrameConfig,
    *,
    file: str = "",
    notes: Counter[str] | None = None,
) -> Series:
    """Values (T, C) with stamps (T,) in nanoseconds, where there are any, as a series; missing ends are left out.

    Raises RecordError for infinite values and for a series without any.
    """
    notes = Counter() if notes is None else notes
    if np.isinf(values).any():
        at = int(np.argmax(np.isinf(values).any(axis=1)))
        raise RecordError("infinite", f"series '{record}': step {at + 1:,} is infinite", record=record, position=at)
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    if not len(there):
        raise RecordError("all_missing", f"series '{record}' has no value at all", record=record)
    first, last = int(there[0]), int(there[-1]) + 1
    if first or last < len(values):
        notes["missing steps before the first or after the last value, left out"] += first + len(values) - last
    grid = frame.grid
    freq = grid.freq
    start: np.datetime64 | None = None
    if stamps is not None:
        laid = lay_on_grid(stamps[first:last], values[first:last], grid, name=record, row=lambda i: f"step {i + 1}")
        notes.update(laid.notes)
        values, freq, start = laid.values, laid.freq, np.datetime64(laid.start, "ns")
        first, last = 0, len(values)
    else:
        start = frame.first_stamp()
    timezone = frame.timezone
    if start is not None and timezone is not None:
        known_zone(timezone)
    series = Series(record, values, channels, start, freq, timezone, place=(file, None, None))
    if first or last < len(values):
        series = series.piece(first, last)
        series.part = None
    notes["missing values inside series"] += int(np.isnan(series.values).sum())
    return series


def _shaped(array: Any, name: str, what: str) -> _Block:
    """Raises InputError for a shape or type that is none of the known."""
    if np.dtype(array.dtype).kind not in "biuf":
        raise InputError(f"{what}: it holds {array.dtype}, expected numbers")
    if array.ndim not in (1, 2, 3) or 0 in array.shape:
        raise InputError(f"{what}: its shape is {array.shape}, expected (T,), (T, C) or (N, T, C)")
    if array.ndim == 3:
        digits = len(str(array.shape[0]))
        ids = tuple(f"{name}_{i + 1:0{digits}d}" for i in range(array.shape[0]))
        return _Block(array, ids, numbered(array.shape[2]))
    whole = np.asarray(array)[None]
    return _Block(
        whole[..., None] if array.ndim == 1 else whole, (name,), numbered(whole.shape[2] if array.ndim == 2 else 1)
    )


def numbered(channels: int) -> tuple[str, ...]:
    return ("value",) if channels == 1 else tuple(f"channel_{i + 1}" for i in range(channels))


def _numpy_blocks(path: Path, variable: str | None) -> Iterator[_Block]:
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            yield _shaped(loaded, path.stem, str(path))
            return
        with loaded:
            names = [variable] if variable is not None else loaded.files
            for name in names:
                if name not in loaded.files:
                    raise _no_variable(path, name, loaded.files)
                yield _shaped(loaded[name], name, f"{path}: {name}")
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a readable NumPy file of numbers ({error})", hint="Object arrays are not read."
        ) from error


def _zarr_block(path: Path, variable: str | None) -> _Block:
    import zarr

    try:
        group = zarr.open(str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a readable Zarr group ({error})") from error
    if isinstance(group, zarr.Array):
        return _shaped(group, path.stem, str(path))
    arrays: dict[str, Any] = dict(group.arrays())
    if not arrays:
        raise InputError(f"{path}: the Zarr group holds no array")
    dimensions = {name: _dimensions(array) for name, array in arrays.items()}
    coordinates = {name for name in arrays if dimensions[name] == (name,)}
    candidates = [n for n in arrays if n not in coordinates and np.dtype(arrays[n].dtype).kind in "biuf"]
    if variable is not None and variable not in arrays:
        raise _no_variable(path, variable, list(arrays))
    if variable is None and len(candidates) != 1:
        raise ConfigError(
            f"{path}: which of its arrays holds the series?",
            hint=f"Say data.variable=, one of {', '.join(candidates)}.",
        )
    name = variable or candidates[0]
    named = dimensions[name]
    if not named:
        return _shaped(arrays[name], name, f"{path}: {name}")
    return _named_block(path, name, arrays, named)


def _named_block(path: Path, name: str, arrays: Mapping[str, Any], named: tuple[str, ...]) -> _Block:
    """Dimensions in any order, brought into (N, T, C)."""
    time = next((d for d in named if d.lower() in TIMES), None)
    if time is None:
        raise InputError(f"{path}: none of the dimensions {named} of '{name}' is time", hint=f"Call it {TIMES[0]}.")
    others = [d for d in named if d != time]
    channel = next((d for d in others if d.lower() in CHANNELS), None) if len(others) else None
    series = next((d for d in others if d != channel), None)
    if len(others) - (channel is not None) - (series is not None):
        raise InputError(f"{path}: '{name}' has dimensions {named}, expected (series, time[, channel])")
    order = [named.index(d) for d in (series, time, channel) if d is not None]
    values = np.asarray(arrays[name][...], np.float64).transpose(order)
    if fill := arrays[name].attrs.get("_FillValue"):
        values = np.where(values == fill, np.nan, values)
    if series is None:
        values = values[None]
    if channel is None:
        values = values[..., None]
    ids = _texts(arrays, series) or (
        (name,) if series is None else tuple(f"{name}_{i + 1}" for i in range(len(values)))
    )
    channels = _texts(arrays, channel) or numbered(values.shape[2])
    return _Block(
        values,
        ids,
        channels,
        cf_stamps(str(path), np.asarray(arrays[time][...]), arrays[time].attrs) if time in arrays else None,
    )


def _dimensions(array: Any) -> tuple[str, ...]:
    """Zarr v3 keeps them in its metadata, xarray in v2 among the attributes."""
    named = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(str(n) for n in named) if all(n is not None for n in named) else ()


def _texts(arrays: Mapping[str, Any], name: str | None) -> tuple[str, ...]:
    return () if name is None or name not in arrays else tuple(str(v) for v in np.asarray(arrays[name][...]).tolist())


def cf_stamps(path: str, numbers: NDArray[Any], attributes: Mapping[str, Any]) -> NDArray[np.int64]:
    """Nanoseconds of a time coordinate: datetime64, or numbers with CF units. Raises InputError for other calendars."""
    if numbers.dtype.kind == "M":
        return numbers.astype("datetime64[ns]").astype(np.int64)
    units, calendar = str(attributes.get("units", "")), str(attributes.get("calendar", "standard"))
    unit, since, origin = units.partition(" since ")
    if not since or unit not in _UNITS or calendar not in ("standard", "gregorian", "proleptic_gregorian"):
        raise InputError(
            f"{path}: its time is in {units!r} of calendar {calendar!r}, expected '<unit> since <date>', standard",
            hint=f"Units: {', '.join(_UNITS)}.",
        )
    try:
        first = np.datetime64(origin.strip().replace(" ", "T"), "ns").astype(np.int64)
    except ValueError as error:
        raise InputError(f"{path}: {origin!r} in its time units is no date") from error
    scaled: NDArray[np.int64] = np.round(numbers.astype(np.float64) * _UNITS[unit]).astype(np.int64)
    if numbers.dtype.kind in "iu":
        scaled = numbers.astype(np.int64) * _UNITS[unit]
    return scaled + first


def _no_variable(path: Path, name: str, known: list[str]) -> ConfigError:
    return ConfigError(
        f"data.variable: {path} has no array '{name}'{nearest(name, known)}", hint=f"Arrays: {', '.join(known)}."
    )
