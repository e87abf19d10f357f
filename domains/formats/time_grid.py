"""Stamps and regular grids: which frequency stamps have, which step each of them is, and back from steps to stamps.

A frequency is spelled as pandas spells it. Those of a fixed length (minutes, hours, days, weeks) are whole numbers of
nanoseconds; months, quarters, years and business days follow pandas' calendar. What does not fit the grid is refused
by name and row, or averaged where that is asked for; nothing is moved silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest

Stamps = NDArray[np.int64]
"""(n,) nanoseconds since 1970, or step numbers."""

DUPLICATES = ("refuse", "mean", "first")
RESAMPLES = ("", "mean")
_DAY = 86_400_000_000_000
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MOST_GAPS = 100
"""Grid points for each stamp at most: beyond, a single wrong year would make a grid of a million empty steps."""
_FEW = 1000
_ON_GRID = 0.9
"""Share of the stamps that must lie on an inferred grid before single ones are called off it."""


@dataclass(frozen=True)
class GridPolicy:
    """What is done with stamps that do not make a regular grid by themselves."""

    freq: str | None = None
    """The frequency, as pandas spells it; None: the most common distance of each series."""
    duplicates: str = "refuse"
    """Rows of one stamp: "refuse" the series, take their "mean", or the "first" of them."""
    resample: str = ""
    """"mean": values of one step of `freq` are averaged; "": a stamp off the grid is an error."""

    def __post_init__(self) -> None:
        for key, allowed in (("duplicates", DUPLICATES), ("resample", RESAMPLES)):
            value = getattr(self, key)
            if value not in allowed:
                shown = ", ".join(word or "(nothing)" for word in allowed)
                raise ConfigError(f"data.{key}: got {value!r}{nearest(str(value), allowed)}", hint=f"Allowed: {shown}.")
        if self.freq is not None:
            offset_of(self.freq)
        if self.resample and self.freq is None:
            raise ConfigError("data.resample=mean needs to know to which data.freq=, as pandas spells it (h, D, MS)")


@dataclass
class Grid:
    """Values on a regular grid."""

    start: int
    """Stamp of the first step."""
    freq: str | None
    """None for step numbers, and where fewer than two stamps give none."""
    values: NDArray[np.float64]
    """(T, K), NaN in gaps."""
    notes: Counter[str] = field(default_factory=Counter)


@cache
def offset_of(freq: str) -> Any:
    """pandas' offset. Raises ConfigError for a text that is no frequency."""
    import pandas as pd

    try:
        return pd.tseries.frequencies.to_offset(freq)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"data.freq: got {freq!r}, which is no frequency", hint="Spelled as pandas does: h, 30min, D, B, W, MS, QS."
        ) from error


@cache
def fixed_step(freq: str) -> int | None:
    """Nanoseconds of a step, None where they differ from step to step (months, business days)."""
    import pandas as pd

    offset = offset_of(freq)
    if isinstance(offset, pd.offsets.Week):
        return int(offset.n) * 7 * _DAY
    if isinstance(offset, pd.offsets.Day):
        return int(offset.n) * _DAY
    return int(offset.nanos) if isinstance(offset, pd.offsets.Tick) else None


def mean_step(freq: str) -> float:
    """Nanoseconds of a step on average."""
    fixed = fixed_step(freq)
    if fixed is not None:
        return float(fixed)
    stamps = stamps_of(np.datetime64("2000-01-01", "ns"), freq, 41).astype(np.int64)
    return float(stamps[-1] - stamps[0]) / 40


def stamps_of(start: np.datetime64, freq: str, n: int) -> NDArray[np.datetime64]:
    """(n,) datetime64[ns] from `start` on."""
    first, step = start.astype("datetime64[ns]"), fixed_step(freq)
    if step is not None:
        even: NDArray[np.datetime64] = first + (np.arange(n) * step).astype("timedelta64[ns]")
        return even
    import pandas as pd

    dates: NDArray[np.datetime64] = pd.date_range(pd.Timestamp(first), periods=n, freq=offset_of(freq)).to_numpy()
    return dates.astype("datetime64[ns]")


def advance(start: np.datetime64, freq: str, steps: int) -> np.datetime64:
    """The stamp `steps` (0 or more) steps after `start`."""
    step = fixed_step(freq)
    moved: np.datetime64
    if step is not None:
        moved = start.astype("datetime64[ns]") + np.timedelta64(steps * step, "ns")
    else:
        moved = stamps_of(start, freq, steps + 1)[-1]
    return moved


def season_of(freq: str | None) -> int:
    """Steps of the season that forecasts are compared by: a day below a day, else a week of days, a year of weeks,
    months or quarters; 1 where there is none (Hyndman and Athanasopoulos 2021, section 2.1).
    """
    if freq is None:
        return 1
    import pandas as pd

    if isinstance(offset_of(freq), pd.offsets.BusinessDay):
        return 5
    days = mean_step(freq) / _DAY
    if days < 1:
        return round(1 / days) if abs(round(1 / days) * days - 1) < 1e-9 else 1
    lengths = ((1, 1, 7), (7, 7, 52), (28, 31, 12), (89, 93, 4))
    return next((season for low, high, season in lengths if low <= days <= high), 1)


def infer_freq(stamps: Stamps) -> str | None:
    """The frequency of sorted, distinct stamps in nanoseconds; None where fewer than two are given."""
    if len(stamps) < 2:
        return None
    steps, counts = np.unique(np.diff(stamps), return_counts=True)
    step = int(steps[np.argmax(counts)])
    if step >= 28 * _DAY and (calendar := _calendar_freq(stamps)):
        return calendar
    if step % (7 * _DAY) == 0:
        weekday = _WEEKDAYS[(int(stamps[0]) // _DAY + 3) % 7]
        return f"{step // (7 * _DAY) if step > 7 * _DAY else ''}W-{weekday}"
    import pandas as pd

    return str(pd.tseries.frequencies.to_offset(pd.Timedelta(step, "ns")).freqstr)


def _calendar_freq(stamps: Stamps) -> str | None:
    """Months, quarters or years that begin or end at every stamp; None where they do not."""
    times = stamps.astype("datetime64[ns]")
    days, months = times.astype("datetime64[D]"), times.astype("datetime64[M]")
    if (times != days).any():
        return None
    if (days == months.astype("datetime64[D]")).all():
        side = "S"
    elif (days == (months + 1).astype("datetime64[D]") - 1).all():
        side = "E"
    else:
        return None
    distance = int(np.gcd.reduce(np.diff(months.astype(np.int64))))
    month = int(months[0].astype(np.int64)) % 12
    if distance % 12 == 0:
        return f"{distance // 12 if distance > 12 else ''}Y{side}-{_MONTHS[month]}"
    if distance % 3 == 0:
        return f"{distance // 3 if distance > 3 else ''}Q{side}-{_MONTHS[month]}"
    return f"{distance if distance > 1 else ''}M{side}"


def lay_on_grid(
    stamps: Stamps,
    values: NDArray[np.float64],
    policy: GridPolicy,
    *,
    name: str,
    row: Callable[[int], str],
    clock: bool = True,
    usual: str | None = None,
) -> Grid:
    """Rows in any order as steps of a regular grid, gaps as NaN.

    Args:
        stamps: (n,), at least one.
        values: (n, K).
        name: the series, for messages.
        row: how the file names row i, for messages ("line 17").
        clock: whether stamps are nanoseconds; else they are step numbers.
        usual: the frequency where the stamps are too few to tell theirs.

    Raises RecordError with reason duplicate_stamp, off_grid, irregular or mostly_gaps.
    """
    notes: Counter[str] = Counter()
    rows = np.arange(len(stamps))
    if (np.diff(stamps) < 0).any():
        notes["stamps out of order, sorted"] += int((stamps < np.maximum.accumulate(stamps)).sum())
        rows = np.argsort(stamps, kind="stable")
        stamps, values = stamps[rows], values[rows]
    if policy.resample and clock:
        return _averaged(stamps, values, policy, notes)
    stamps, values, rows = _without_duplicates(stamps, values, rows, policy, name, row, notes)
    if not clock:
        steps, counts = np.unique(np.diff(stamps), return_counts=True)
        step = int(steps[np.argmax(counts)]) if len(steps) else 1
        where, freq = (stamps - stamps[0]) / step, None
    else:
        freq = policy.freq or _freq_of(stamps, usual)
        where = _positions(stamps, freq)
    on_grid = where == np.floor(where)
    if not on_grid.all():
        _refuse_off_grid(on_grid, stamps, rows, freq, policy, name, row, clock)
    where = where.astype(np.int64)
    length = int(where[-1]) + 1
    if length > _MOST_GAPS * len(where) + _FEW:
        at = int(np.argmax(np.diff(where)))
        raise RecordError(
            "mostly_gaps",
            f"series '{name}': {len(where):,} stamps span {length:,} steps{f' of {freq}' if freq else ''}; the longest "
            f"gap ends at {_shown(stamps[at + 1], clock)} ({row(int(rows[at + 1]))})",
            record=name,
            hint="Is a stamp wrong? Else declare data.freq=.",
        )
    if length == len(where):
        laid = np.ascontiguousarray(values, np.float64)
    else:
        notes["steps missing from the grid (gaps)"] += length - len(where)
        laid = np.full((length, values.shape[1]), np.nan)
        laid[where] = values
    return Grid(int(stamps[0]), freq, laid, notes)


def _freq_of(stamps: Stamps, usual: str | None) -> str | None:
    """Its own frequency; `usual` for a single stamp, and for two that lie on its grid."""
    few = len(stamps) < 3 and usual is not None
    if few and (_positions(stamps, usual) % 1 == 0).all():
        return usual
    return infer_freq(stamps)


def _positions(stamps: Stamps, freq: str | None) -> NDArray[np.float64]:
    """(n,) step of each stamp, with a fraction where it lies off the grid that most of them make."""
    if freq is None or len(stamps) == 1:
        return np.arange(len(stamps), dtype=np.float64)
    step = fixed_step(freq)
    if step is not None:
        whole, phase = np.divmod(stamps, step)
        phases, counts = np.unique(phase, return_counts=True)
        placed: NDArray[np.float64] = whole - whole[0] + np.where(phase == phases[np.argmax(counts)], 0.0, 0.5)
        return placed
    import pandas as pd

    ends = pd.to_datetime(stamps[[0, -1]])
    grid = pd.date_range(ends[0], ends[1], freq=offset_of(freq)).to_numpy("datetime64[ns]").astype(np.int64)
    at = np.searchsorted(grid, stamps)
    there = np.zeros(len(stamps), bool)
    inside = at < len(grid)
    there[inside] = grid[at[inside]] == stamps[inside]
    return at.astype(np.float64) + np.where(there, 0.0, 0.5)


def _without_duplicates(
    stamps: Stamps,
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    policy: GridPolicy,
    name: str,
    row: Callable[[int], str],
    notes: Counter[str],
) -> tuple[Stamps, NDArray[np.float64], NDArray[np.int64]]:
    first = np.flatnonzero(np.concatenate([[True], np.diff(stamps) > 0]))
    extra = len(stamps) - len(first)
    if not extra:
        return stamps, values, rows
    if policy.duplicates == "refuse":
        at = int(np.flatnonzero(np.diff(stamps) == 0)[0]) + 1
        raise RecordError(
            "duplicate_stamp",
            f"series '{name}': {_shown(stamps[at])} stands twice ({row(int(rows[at - 1]))} and {row(int(rows[at]))}), "
            f"{extra:,} such rows in all",
            record=name,
            position=int(rows[at]),
            hint="Take data.duplicates=mean or data.duplicates=first, or repair the file.",
        )
    notes[f"rows of a stamp that was there already ({policy.duplicates} taken)"] += extra
    if policy.duplicates == "first":
        return stamps[first], values[first], rows[first]
    return stamps[first], _means(values, first), rows[first]


def _means(values: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means of the runs of rows that begin at `first`, NaN left out."""
    there = np.isfinite(values)
    sums = np.add.reduceat(np.where(there, values, 0.0), first, axis=0)
    counts = np.add.reduceat(there.astype(np.float64), first, axis=0)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means


def _averaged(stamps: Stamps, values: NDArray[np.float64], policy: GridPolicy, notes: Counter[str]) -> Grid:
    import pandas as pd

    laid = pd.DataFrame(values, index=pd.to_datetime(stamps)).resample(offset_of(str(policy.freq))).mean()
    notes["rows averaged into steps of data.freq"] += len(stamps) - len(laid)
    start = laid.index.to_numpy("datetime64[ns]").astype(np.int64)[0]
    return Grid(int(start), policy.freq, laid.to_numpy(np.float64), notes)


def _refuse_off_grid(
    on_grid: NDArray[np.bool_],
    stamps: Stamps,
    rows: NDArray[np.int64],
    freq: str | None,
    policy: GridPolicy,
    name: str,
    row: Callable[[int], str],
    clock: bool,
) -> None:
    at = int(np.argmin(on_grid))
    share = float(on_grid.mean())
    steps = f"steps of {freq}" if freq else "equal steps"
    if policy.freq is None and share < _ON_GRID:
        reason, message = "irregular", f"only {share:.0%} of its stamps make {steps}, their most common distance"
    else:
        reason, message = "off_grid", f"{np.count_nonzero(~on_grid):,} of its stamps are not on the grid of {steps}"
    raise RecordError(
        reason,
        f"series '{name}': {message}; the first that is not is {_shown(stamps[at], clock)} ({row(int(rows[at]))})",
        record=name,
        position=int(rows[at]),
        hint="Average them into steps with data.freq=... data.resample=mean, or repair the stamps.",
    )


def _shown(stamp: np.int64, clock: bool = True) -> str:
    return str(np.datetime64(int(stamp), "ns").astype("datetime64[s]")).replace("T", " ") if clock else f"step {stamp}"
