"""Monash .tsf files: a header of @ lines, then one series a line, `name:start:values` with `?` for missing.

The format is that of the Monash archive (Godahewa et al. 2021, arXiv 2105.06643). A line that cannot be read is a
Reject with its number; a header that cannot is an InputError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.series import Series
from domains.formats.text import InputFile

FREQUENCIES = {
    "4_seconds": "4s",
    "minutely": "min",
    "10_minutes": "10min",
    "15_minutes": "15min",
    "half_hourly": "30min",
    "hourly": "h",
    "daily": "D",
    "weekly": "W",
    "monthly": "MS",
    "quarterly": "QS",
    "yearly": "YS",
}
_CALENDAR = {"MS": "M", "QS": "M", "YS": "Y"}
_KINDS = ("string", "numeric", "date")
_NAMES = ("series_name", "name", "id")


def read_tsf(file: InputFile, notes: Counter[str]) -> Iterator[Series | Reject]:
    """Every series of `file`.

    Series of months, quarters and years begin with that period; other attributes become labels.
    Raises InputError where the header does not say what a line holds, and for damage to the container.
    """
    attributes: list[tuple[str, str]] = []
    freq: str | None = None
    in_data = False
    index = 0
    for number, raw in enumerate(file.lines(), 1):
        line = file.text(raw).strip()
        if not line or line.startswith("#"):
            continue
        if not in_data:
            words = line.split()
            if words[0].lower() == "@attribute":
                if len(words) != 3 or words[2].lower() not in _KINDS:
                    raise file.damaged(f"line {number:,} is {line!r}, expected '@attribute NAME string|numeric|date'")
                attributes.append((words[1], words[2].lower()))
            elif words[0].lower() == "@frequency":
                freq = _frequency(file, words[-1].lower())
            elif words[0].lower() == "@data":
                in_data = True
            elif not line.startswith("@"):
                raise file.damaged(f"line {number:,} stands before @data and begins with no @", "Is this a .tsf file?")
            continue
        name = ""
        try:
            cells = line.split(":")
            if len(cells) != len(attributes) + 1:
                raise RecordError(
                    "ragged_row", f"{len(cells) - 1} attributes, the header declares {len(attributes)}", record=name
                )
            given = dict(zip((a for a, _ in attributes), cells, strict=False))
            name = next((given[key] for key in _NAMES if key in given), f"series_{index + 1}")
            yield _series(name, cells[-1], given, attributes, freq, (str(file.path), number, None), notes)
        except RecordError as error:
            yield Reject(str(file.path), index, name, number, None, error.reason, f"line {number:,}: {error.message}")
        index += 1
        file.records = index
    if not in_data:
        raise file.damaged("it has no @data line", "Is this a .tsf file?")


def _frequency(file: InputFile, word: str) -> str:
    if word not in FREQUENCIES:
        raise file.damaged(f"@frequency {word!r} is unknown", f"Known: {', '.join(FREQUENCIES)}.")
    return FREQUENCIES[word]


def _series(
    name: str,
    values: str,
    given: dict[str, str],
    attributes: list[tuple[str, str]],
    freq: str | None,
    place: tuple[str, int | None, int | None],
    notes: Counter[str],
) -> Series:
    """Raises RecordError."""
    cells = [cell.strip() for cell in values.split(",")]
    missing = [cell in ("?", "") for cell in cells]
    try:
        numbers = np.array([np.nan if gone else float(cell) for cell, gone in zip(cells, missing, strict=True)])
    except ValueError as error:
        raise RecordError("not_a_number", f"series '{name}': {error}", record=name) from error
    if np.isinf(numbers).any():
        raise RecordError("infinite", f"series '{name}': an infinite value", record=name)
    if np.isnan(numbers).all():
        raise RecordError("all_missing", f"series '{name}' has no value at all", record=name)
    notes["missing values inside series"] += int(np.isnan(numbers).sum())
    start, labels = None, {}
    for key, kind in attributes:
        if kind == "date":
            start = _start(name, given[key], freq)
        elif key not in _NAMES:
            labels[key] = float(given[key]) if kind == "numeric" else given[key]
    return Series(name, numbers, start=start, freq=freq, labels=labels, place=place)


def _start(name: str, text: str, freq: str | None) -> np.datetime64:
    """`1972-01-01 00-00-00`, whose time has hyphens too; the first day of its period for months and longer."""
    day, _, clock = text.strip().partition(" ")
    try:
        stamp = np.datetime64(f"{day}T{(clock or '00-00-00').replace('-', ':')}", "s")
    except ValueError as error:
        raise RecordError("bad_stamp", f"series '{name}': {text!r} is no time stamp", record=name) from error
    unit = _CALENDAR.get(freq or "")
    start: np.datetime64 = (stamp.astype(f"datetime64[{unit}]") if unit else stamp).astype("datetime64[ns]")
    return start
