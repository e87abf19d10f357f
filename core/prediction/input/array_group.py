"""Which arrays of a Zarr group are rows to predict, and what their axes and neighbours are.

What the keys do not say is read from the names of dimensions (Zarr v3, or `_ARRAY_DIMENSIONS` as xarray writes in v2).
Codecs that unpickle are refused before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store

from core.errors import ConfigError, IntegrityError, nearest

TIMES = ("time", "ds", "t", "timestamp", "step")
"""Names of dimensions that are time."""
CHANNELS = ("channel", "variable", "feature", "band")
KEYS = ("array", "values", "offsets", "ids", "time")
_OFFSETS = ("offsets", "indptr", "row_splits")


@dataclass(frozen=True)
class Named:
    """The arrays by what they are."""

    values: str
    """Texts, letters or numbers; "" where the place itself is the array."""
    offsets: str | None = None
    """Where each row starts in `values`."""
    ids: str | None = None
    time: str | None = None
    """The coordinate of time."""
    channels: str | None = None
    """The coordinate of channels."""
    row_axis: int | None = 0
    """Of `values`; None where it is one series."""
    time_axis: int | None = None
    channel_axis: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keys for the records."""

    @property
    def used(self) -> list[str]:
        named = (self.values, self.offsets, self.ids, self.time, self.channels)
        return list(dict.fromkeys(name for name in named if name is not None))

    def to_config(self) -> dict[str, str]:
        """What is what, for the plan."""
        found = {"values" if self.offsets else "array": self.values, "offsets": self.offsets}
        found |= {"ids": self.ids, "time": self.time, "channels": self.channels}
        return {key: name for key, name in found.items() if name is not None}


def open_group(path: Path, store: Store) -> zarr.Group | zarr.Array[Any]:
    """The group or array at a place. Raises IntegrityError where there is none that can be read."""
    try:
        return zarr.open(store, mode="r", use_consolidated=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is not a readable Zarr group ({error})") from error


def dtype_kind(array: zarr.Array[Any]) -> str:
    """text, bytes, numbers or other. Raises IntegrityError for objects that would have to be unpickled."""
    said = str({key: value for key, value in array.metadata.to_dict().items() if key != "attributes"})
    kind = array.dtype.kind
    if "pickle" in said or (kind == "O" and "vlen" not in said.lower()):
        raise IntegrityError(f"array '{array.path}' holds pickled objects, which are not read", hint="Store texts.")
    if kind in "UTO":
        return "text"
    return "bytes" if kind == "S" else "numbers" if kind in "biuf" else "other"


def find_arrays(path: Path, group: zarr.Group | zarr.Array[Any], keys: Mapping[str, Any], *, values: bool) -> Named:
    """Settles which array is what.

    Args:
        values: whether rows are series of numbers; else they are texts.

    Raises ConfigError for a key that does not fit, IntegrityError for arrays that are not read.
    """
    options = {key: value for key, value in keys.items() if key not in KEYS and value is not None}
    asked = {key: str(keys[key]) for key in KEYS if keys.get(key) is not None}
    if isinstance(group, zarr.Array):
        if asked:
            raise ConfigError(f"input.{next(iter(asked))}: {path} is one array, not a group of them")
        return _with_axes(path, Named("", options=options), {"": group}, values)
    try:
        arrays: dict[str, zarr.Array[Any]] = dict(_all_arrays(group))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path}: one of its arrays cannot be read: {error}", hint="Leave it out.") from error
    for key, name in asked.items():
        if name not in arrays:
            raise ConfigError(
                f"input.{key}: {path} has no array '{name}'{nearest(name, arrays)}", hint=f"Arrays: {sorted(arrays)}."
            )
    if ("values" in asked) != ("offsets" in asked) or ("array" in asked and "values" in asked):
        raise ConfigError("give either input.array=NAME, or input.values=NAME with input.offsets=NAME")
    found = asked.get("values") or asked.get("array") or _only_candidate(path, arrays, values)
    named = Named(found, asked.get("offsets"), asked.get("ids"), asked.get("time"), options=options)
    if named.offsets and arrays[named.offsets].dtype.kind not in "iu":
        raise ConfigError(f"input.offsets: '{named.offsets}' holds {arrays[named.offsets].dtype}, expected integers")
    return _with_axes(path, named, arrays, values)


def _all_arrays(group: zarr.Group, prefix: str = "") -> list[tuple[str, zarr.Array[Any]]]:
    found = [(f"{prefix}{name}", array) for name, array in group.arrays()]
    for name, inner in group.groups():
        found += _all_arrays(inner, f"{prefix}{name}/")
    return found


def dimensions(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of an array's axes; () where not all of them have one."""
    said: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(str(name) for name in said) if all(name is not None for name in said) else ()


def _only_candidate(path: Path, arrays: Mapping[str, zarr.Array[Any]], values: bool) -> str:
    """The one array that can be the rows, coordinates left out."""
    coordinates = {name for name, array in arrays.items() if dimensions(array) == (name,)}
    fits = [n for n, a in arrays.items() if n not in coordinates and n not in _OFFSETS and _problem(a, values) is None]
    if len(fits) == 1 and not any(name in _OFFSETS for name in arrays):
        return fits[0]
    kind = "numbers" if values else "texts or letters"
    if not fits:
        raise ConfigError(f"{path} has no array of {kind}, which the bundle reads", hint=f"Arrays: {sorted(arrays)}.")
    raise ConfigError(
        f"{path}: which of its arrays is to be predicted?",
        hint=f"Say input.array=, or input.values= and input.offsets=; of {kind}: {', '.join(fits)}.",
    )


def _problem(array: zarr.Array[Any], values: bool) -> str | None:
    """Why an array cannot be rows; None where it can."""
    kind = dtype_kind(array)
    if values:
        return None if kind == "numbers" else f"holds {array.dtype}, the bundle reads numbers"
    letters = array.dtype == np.uint8 or (kind == "bytes" and array.dtype.itemsize == 1)
    if kind in ("text", "bytes") and array.ndim == 1:
        return None
    if letters and array.ndim <= 2:
        return None
    return f"holds {array.dtype} {array.shape}, the bundle reads texts (N,) or letters, uint8 or S1, (N, length)"


def _with_axes(path: Path, named: Named, arrays: Mapping[str, zarr.Array[Any]], values: bool) -> Named:
    array = arrays[named.values]
    if problem := _problem(array, values):
        raise ConfigError(f"{path}: array '{named.values}' {problem}")
    letters = array.dtype == np.uint8 or (dtype_kind(array) == "bytes" and array.dtype.itemsize == 1)
    if named.offsets:
        wrong = array.ndim > 2 if values else array.ndim != 1 or not letters
        if wrong:
            raise ConfigError(
                f"input.values: '{named.values}' holds {array.dtype} {array.shape}, expected "
                + ("numbers (T,) or (T, C)" if values else "letters, uint8 or S1, (T,)")
            )
    names = dimensions(array)
    if not values or named.offsets:
        if not values and not named.offsets and array.ndim == 1 and letters and array.dtype == np.uint8:
            raise ConfigError(
                f"{path}: array '{named.values}' holds letters (T,) end to end", hint="Say input.offsets=NAME too."
            )
        ids = named.ids or (_coordinate(names[0], arrays, array.shape[0]) if names and not named.offsets else None)
        return _replaced(named, ids=ids, time_axis=1 if array.ndim == 2 and not values else None)
    row, time, channel = _axes(path, named.values, names, array.ndim)
    ids = named.ids or (_coordinate(names[row], arrays, array.shape[row]) if names and row is not None else None)
    stamps = named.time or (_coordinate(names[time], arrays, array.shape[time]) if names else None)
    channels = _coordinate(names[channel], arrays, array.shape[channel]) if names and channel is not None else None
    return _replaced(named, ids=ids, time=stamps, channels=channels, row_axis=row, time_axis=time, channel_axis=channel)


def _axes(path: Path, name: str, names: tuple[str, ...], ndim: int) -> tuple[int | None, int, int | None]:
    """Axes of series, time and channel."""
    if not names:
        if ndim not in (2, 3):
            raise ConfigError(f"{path}: '{name}' has {ndim} axes, expected (series, time[, channel])")
        return 0, 1, 2 if ndim == 3 else None
    time = next((i for i, n in enumerate(names) if n.lower() in TIMES), None)
    others = [i for i in range(len(names)) if i != time]
    channel = next((i for i in others if names[i].lower() in CHANNELS), None)
    rest = [i for i in others if i != channel]
    if time is None or len(rest) > 1:
        raise ConfigError(
            f"{path}: '{name}' has dimensions {names}, expected (series, time[, channel]) in any order",
            hint=f"Time is called {' or '.join(TIMES)}; channels {' or '.join(CHANNELS)}.",
        )
    return rest[0] if rest else None, time, channel


def _coordinate(name: str, arrays: Mapping[str, zarr.Array[Any]], length: int) -> str | None:
    found = arrays.get(name)
    return name if found is not None and found.shape == (length,) else None


def _replaced(named: Named, **changes: Any) -> Named:
    from dataclasses import replace

    return replace(named, **changes)
