"""Columns of time stamps as nanoseconds: text (ISO 8601 or a given format), dates, or plain step numbers.

Local stamps of a declared time zone become UTC: an hour that a clock shows twice is told apart by order, one that it
skips is left out; both are counted. Stamps with and without an offset in one series cannot be compared and are refused
by the caller, to whom every row's offset is given. Never guesses whether 03/04 is April or March.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError

if TYPE_CHECKING:
    import pandas as pd

NAIVE = 2**15 - 1
"""The "offset" of a stamp that states none."""
_OFFSET = r":\d{2}(?:[.,]\d+)?\s*(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})\s*$"
_READABLE = 0.5
"""Share of cells that must be stamps before the others count as bad ones, not as another format."""


@dataclass
class StampColumn:
    """The stamps of a table's rows."""

    values: NDArray[np.int64]
    """(n,) nanoseconds since 1970, or step numbers."""
    bad: NDArray[np.bool_]
    """(n,) True where a cell holds no stamp."""
    clock: bool
    """False for step numbers."""
    offsets: NDArray[np.int16]
    """(n,) minutes that each stamp says it is ahead of UTC; NAIVE where it says nothing. `values` are UTC then."""
    skipped: NDArray[np.bool_]
    """(n,) True for local hours that do not exist (the clock was put forward); such rows are left out."""
    zone: str | None = None
    """The time zone that the column itself is of; UTC where its stamps only have offsets."""


def step_numbers(series: NDArray[np.int64]) -> StampColumn:
    """0, 1, 2 ... within each series, for tables without a time column."""
    order = np.argsort(series, kind="stable")
    sizes = np.bincount(series)
    numbers = np.empty(len(series), np.int64)
    numbers[order] = np.arange(len(series)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    never = np.zeros(len(series), bool)
    return StampColumn(numbers, never, False, np.full(len(series), NAIVE, np.int16), never.copy())


def read_stamps(column: pd.Series, time_format: str | None = None) -> StampColumn:
    """The stamps in a column of text, dates or numbers.

    Raises InputError where the text is neither ISO 8601 nor of `time_format`.
    """
    import pandas as pd

    n = len(column)
    offsets, never = np.full(n, NAIVE, np.int16), np.zeros(n, bool)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None)
        offsets[:] = ((column.dt.tz_localize(None) - utc).dt.total_seconds().fillna(0) / 60).to_numpy()
        return StampColumn(*_nanoseconds(utc), True, offsets, never, str(column.dtype.tz))
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return StampColumn(*_nanoseconds(column), True, offsets, never)
    if pd.api.types.is_numeric_dtype(column.dtype) and time_format is None:
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
        return StampColumn(np.where(bad, 0, numbers).astype(np.int64), bad, False, offsets, never)
    text = _as_text(column)
    if time_format is None and text.str.fullmatch(r"\s*-?\d{1,18}\s*").all():
        return StampColumn(text.to_numpy(dtype=object).astype(np.int64), never, False, offsets, never)
    return _from_text(text, time_format)


def localize(column: StampColumn, series: NDArray[np.int64], timezone: str, notes: Counter[str]) -> None:
    """Turns stamps without an offset, read on clocks of `timezone`, into UTC, in place.

    Args:
        series: (n,) number of the series of each row; which of two equal hours is the later one is told within it.

    Raises ConfigError for an unknown time zone.
    """
    import pandas as pd

    zone = known_zone(timezone)
    rows = np.flatnonzero((column.offsets == NAIVE) & ~column.bad)
    local = pd.to_datetime(column.values[rows])
    utc = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    unsure = np.flatnonzero(utc.isna())
    resolved = utc.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]").copy()
    if len(unsure):
        shown = local[unsure]
        frame = pd.DataFrame({"series": series[rows[unsure]], "stamp": shown})
        again = frame.groupby(["series", "stamp"], sort=False).cumcount().to_numpy() > 0
        second = shown.tz_localize(zone, ambiguous=~again, nonexistent="NaT")
        resolved[unsure] = second.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]")
        gone = np.asarray(second.isna())
        column.skipped[rows[unsure[gone]]] = True
        notes["local hours that do not exist (clock put forward), left out"] += int(gone.sum())
        notes["local hours that a clock shows twice, told apart by order"] += int((~gone).sum())
    values = resolved.astype(np.int64)
    values[column.skipped[rows]] = 0
    column.values[rows] = values


def known_zone(timezone: str) -> Any:
    """The time zone of that name. Raises ConfigError where there is none."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"data.timezone: there is no time zone {timezone!r}", hint="Named as in Europe/Berlin, or UTC."
        ) from error


def mixed_offsets(offsets: NDArray[np.int16]) -> int | None:
    """The first row of a series (n,) whose stamp cannot be of the same zone as the first one's; None where all can.

    With and without an offset do not mix; two offsets an hour apart are summer and winter time of one place.
    """
    if (offsets == offsets[0]).all():
        return None
    other = offsets != offsets[0]
    if (offsets == NAIVE).any():
        return int(np.argmax((offsets == NAIVE) != (offsets[0] == NAIVE)))
    kinds = np.unique(offsets.astype(np.int64))
    return None if len(kinds) == 2 and kinds[1] - kinds[0] == 60 else int(np.argmax(other))


def _as_text(column: pd.Series) -> pd.Series:
    """Cells as text; a date or Timestamp among objects as it spells itself in ISO 8601."""
    missing = column.isna()
    text = column.map(lambda cell: cell if isinstance(cell, str) else str(cell))
    return text.mask(missing, "").str.strip()


def _from_text(text: pd.Series, time_format: str | None) -> StampColumn:
    import pandas as pd

    n = len(text)
    offsets, never = np.full(n, NAIVE, np.int16), np.zeros(n, bool)
    if time_format is not None and "%z" not in time_format:
        values, bad = _nanoseconds(pd.to_datetime(text, format=time_format, errors="coerce"))
    elif time_format is not None:
        parsed = pd.to_datetime(text, format=time_format, errors="coerce", utc=True)
        values, bad = _nanoseconds(parsed.dt.tz_localize(None))
        offsets[:] = 0
    else:
        stated = text.str.extract(_OFFSET, expand=False)
        there = stated.notna().to_numpy()
        plain = (
            text if not there.any() else text.str.replace(_OFFSET, lambda m: m[0][: m.start(1) - m.start()], regex=True)
        )
        values, bad = _nanoseconds(pd.to_datetime(plain, format="ISO8601", errors="coerce"))
        if there.any():
            offsets[there] = [_minutes(offset) for offset in stated[there]]
            values[there] -= offsets[there].astype(np.int64) * 60_000_000_000
    if n and bad.mean() > _READABLE:
        cell = text[int(np.argmax(bad))]
        spelled = f"of the format {time_format!r}" if time_format else "ISO 8601 (2024-03-31 02:00)"
        raise InputError(
            f"stamps such as {cell!r} are not {spelled}",
            hint="Say how they are written: data.time_format='%d/%m/%Y %H:%M'.",
        )
    return StampColumn(values, bad, True, offsets, never, "UTC" if (offsets != NAIVE).any() else None)


def _minutes(offset: str) -> int:
    if offset == "Z":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
    return (-1 if offset[0] == "-" else 1) * (60 * hours + minutes)


def _nanoseconds(column: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    bad = column.isna().to_numpy()
    values = column.to_numpy("datetime64[ns]").astype(np.int64)
    return np.where(bad, 0, values), bad
