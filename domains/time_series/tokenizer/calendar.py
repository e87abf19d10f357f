"""Calendar fields: what a step's stamp says of the hour, the weekday and the month, as symbols known ahead.

They are read on local clocks: where a series has a time zone its UTC stamps are turned back first. A series without
stamps has UNK in all of them. Which fields suit is told by the frequency; the config can name others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.sequence import Array
from core.vocabulary import SPECIALS, UNK, Vocabulary
from domains.formats.time_grid import mean_step, offset_of, stamps_of

_HOUR = 3_600_000_000_000
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Local = NDArray[np.datetime64]


@dataclass(frozen=True)
class CalendarField:
    """One symbol a step, read off its stamp."""

    symbols: tuple[str, ...]
    read: Callable[[Local], NDArray[np.int64]]
    """(T,) datetime64[ns] on local clocks -> (T,) number of the symbol, from 0."""


def _hour(stamps: Local) -> NDArray[np.int64]:
    return stamps.astype("datetime64[h]").astype(np.int64) % 24


def _weekday(stamps: Local) -> NDArray[np.int64]:
    """Monday is 0; 1970 began on a Thursday."""
    return (stamps.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _month(stamps: Local) -> NDArray[np.int64]:
    return stamps.astype("datetime64[M]").astype(np.int64) % 12


CALENDAR: Mapping[str, CalendarField] = {
    "hour_of_week": CalendarField(
        tuple(f"{day} {hour:02d}" for day in _DAYS for hour in range(24)), lambda s: 24 * _weekday(s) + _hour(s)
    ),
    "hour_of_day": CalendarField(tuple(f"{hour:02d} h" for hour in range(24)), _hour),
    "day_of_week": CalendarField(_DAYS, _weekday),
    "month": CalendarField(_MONTHS, _month),
}


def usual_calendar(freq: str | None) -> tuple[str, ...]:
    """The fields that say something at this frequency."""
    if freq is None:
        return ()
    import pandas as pd

    hours = mean_step(freq) / _HOUR
    if hours < 24:
        return ("hour_of_week",)
    if hours == 24 or isinstance(offset_of(freq), pd.offsets.BusinessDay):
        return ("day_of_week", "month")
    return ("month",) if hours < 24 * 360 else ()


def calendar_vocabulary(name: str, extension: tuple[str, ...] = ()) -> Vocabulary:
    return Vocabulary((*CALENDAR[name].symbols, *extension))


def calendar_arrays(
    vocabularies: Mapping[str, Vocabulary], start: np.datetime64 | None, freq: str | None, timezone: str | None, n: int
) -> dict[str, Array]:
    """(n,) ids of each field for the steps from `start` on; UNK where there are no stamps."""
    local = local_stamps(start, freq, timezone, n) if vocabularies else None
    return {
        name: np.full(n, UNK, vocabulary.dtype)
        if local is None
        else (CALENDAR[name].read(local) + len(SPECIALS)).astype(vocabulary.dtype)
        for name, vocabulary in vocabularies.items()
    }


def local_stamps(start: np.datetime64 | None, freq: str | None, timezone: str | None, n: int) -> Local | None:
    """(n,) datetime64[ns] as clocks there show them; None where there are no stamps."""
    if start is None or freq is None:
        return None
    stamps = stamps_of(start, freq, n)
    if timezone is None:
        return stamps
    import pandas as pd

    return pd.to_datetime(stamps).tz_localize("UTC").tz_convert(timezone).tz_localize(None).to_numpy("datetime64[ns]")
