"""Which steps are forecast: every series of a split with its parts, its season, and its rolling origins.

An origin is the first step of a forecast of `horizon` steps. Origins are evenly spread over the test part of each
series; what is forecast lies in that part alone, what is read may lie before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.sequence import Sequence as Tokens
from core.store import SPLITS, TokenStore
from domains.formats.time_grid import season_of
from domains.time_series.tokenizer.shared import SeriesTokenizer

Values = NDArray[np.float64]
Steps = NDArray[np.int64]

WHOLE_TEST = 0.2
"""Of a series that is tested on as a whole, the last part that origins are spread over."""
HORIZONS = {24: 24, 48: 48, 7: 14, 52: 13, 12: 18, 4: 8, 1: 6}
"""Season to horizon: that of the M4 competition (Makridakis et al. 2020, doi:10.1016/j.ijforecast.2019.04.014), a day
for hours and half hours; other seasons have themselves."""


@dataclass
class Target:
    """One channel of one series that is forecast."""

    id: str
    row: int
    """Of its series in the store."""
    channel: int
    values: Values
    """(T,) raw, NaN where missing."""
    train: tuple[int, int]
    """Steps that models are fitted on; what lies before the first origin, where the series is tested on as a whole."""
    validation: tuple[int, int]
    """Steps that settings are chosen on; empty where there are none."""
    origins: Steps
    """(O,)"""
    season: int
    """m, in steps."""
    start: np.datetime64 | None
    freq: str | None
    timezone: str | None

    def truth(self, horizon: int) -> Values:
        """(O, H) what came after each origin."""
        after: Values = self.values[self.origins[:, None] + np.arange(horizon)]
        return after

    @property
    def scale(self) -> float:
        """The mean absolute error of the seasonal naive forecast inside the training part (Hyndman and Koehler 2006,
        doi:10.1016/j.ijforecast.2006.03.001); NaN where it is 0 or unknown.
        """
        part = self.values[slice(*self.train)]
        if len(part) <= self.season:
            return float("nan")
        error = np.abs(part[self.season :] - part[: -self.season])
        mean = float(np.nanmean(error)) if np.isfinite(error).any() else 0.0
        return mean if mean > 0 else float("nan")


@dataclass
class Panel:
    """All that is forecast of one split."""

    targets: list[Target]
    horizon: int
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason to number of series that cannot be measured."""

    @property
    def season(self) -> int:
        """The season of most series."""
        seasons, counts = np.unique([t.season for t in self.targets], return_counts=True)
        return int(seasons[np.argmax(counts)])


def collect(
    store: TokenStore,
    tokenizer: SeriesTokenizer[Any],
    split: str,
    *,
    horizon: int,
    origins: int,
    season: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Panel:
    """The targets of one split.

    Args:
        horizon: steps a forecast; 0: by the season of the first series, see HORIZONS.
        origins: forecasts of each series, at most.
        season: m of all series; 0: by each one's frequency.

    Raises InputError where nothing can be forecast.
    """
    parts: dict[int, dict[str, tuple[int, int]]] = {}
    for name in SPLITS:
        for row, start, stop in store.spans(name).tolist():
            parts.setdefault(row, {})[name] = (start, stop)
    rows = [row for row in sorted(parts) if split in parts[row]]
    if not rows:
        raise InputError(f"{store.path} has no {split} split", hint="Prepare the store with a share for it.")
    panel = Panel([], horizon)
    for row in rows:
        sequence = store[row]
        series = tokenizer.truth(sequence)
        m = season or season_of(series.freq)
        panel.horizon = panel.horizon or HORIZONS.get(m, m)
        spans = {name: in_steps(tokenizer, sequence, span) for name, span in parts[row].items()}
        reason = ""
        placed = _place(spans[split], len(series), panel.horizon, m)
        if placed is None:
            reason = f"test part shorter than the horizon of {panel.horizon} steps"
        else:
            chosen = np.unique(np.linspace(*placed, origins).round().astype(np.int64))
            train = spans.get("train", (0, placed[0])) if split != "train" else spans["train"]
            for channel, name in enumerate(series.channels):
                target = Target(
                    series.id if len(series.channels) == 1 else f"{series.id}.{name}",
                    row,
                    channel,
                    series.values[:, channel],
                    train,
                    spans.get("validation", (0, 0)) if split == "test" else (0, 0),
                    chosen,
                    m,
                    series.start,
                    series.freq,
                    series.timezone,
                )
                if np.isfinite(target.scale) and np.isfinite(target.truth(panel.horizon)).any():
                    panel.targets.append(target)
                else:
                    reason = "constant or missing in the training part"
        if reason:
            panel.left_out[reason] = panel.left_out.get(reason, 0) + 1
    for reason, n in panel.left_out.items():
        say(f"{n:,} series are left out: {reason}")
    if not panel.targets:
        raise InputError(f"{store.path}: no series of the {split} split can be forecast ({panel.left_out})")
    return panel


def _place(span: tuple[int, int], length: int, horizon: int, season: int) -> tuple[int, int] | None:
    """The first and the last origin; None where there is no room."""
    first, stop = span
    if first == 0:
        first = max(stop - round(WHOLE_TEST * length), min(2 * season, stop - horizon))
    return (first, stop - horizon) if 0 < first <= stop - horizon else None


def in_steps(tokenizer: SeriesTokenizer[Any], sequence: Tokens, span: tuple[int, int]) -> tuple[int, int]:
    """A span of tokens as one of steps."""
    if tokenizer.token_is_step:
        return span
    steps = np.concatenate([[0], np.cumsum(tokenizer.units(sequence.arrays))]).astype(np.int64)
    return int(steps[span[0]]), int(steps[span[1]])


def season_index(target: Target) -> tuple[Steps, int] | None:
    """(T,) the place of each step in its longer season (the hour of the week, the month), and how many there are.

    None where the series has no stamps or no such season.
    """
    from domains.time_series.tokenizer.calendar import CALENDAR, local_stamps, usual_calendar

    stamps = local_stamps(target.start, target.freq, target.timezone, len(target.values))
    names = usual_calendar(target.freq)
    if stamps is None or not names:
        return None
    calendar = CALENDAR[names[0]]
    return calendar.read(stamps), len(calendar.symbols)


def series_of(targets: Sequence[Target]) -> dict[int, list[int]]:
    """Row of the store to the numbers of its targets."""
    found: dict[int, list[int]] = {}
    for i, target in enumerate(targets):
        found.setdefault(target.row, []).append(i)
    return found
