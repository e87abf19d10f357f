"""What the columns of a table of time series are: id, time, targets, covariates, labels; in long or wide layout.

Columns are taken by the names that the config gives, or found among usual ones. Knows names only, no cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.errors import ConfigError, nearest
from domains.formats.table import find_column
from domains.formats.time_grid import GridPolicy

USUAL_IDS = ("unique_id", "series_id", "item_id", "series_name", "id")
USUAL_TIMES = ("ds", "ts", "timestamp", "datetime", "date_time", "date", "time", "month", "year", "step")
USUAL_TARGETS = ("y", "target", "value")
WRITTEN = ("drawn", "nats")
"""What `foretell sample` ends a table of series with: no covariates, unless they are asked for."""
USUAL_MISSING = ("", "NA", "NaN", "nan", "null")
LAYOUTS = ("auto", "long", "wide")
CHANNELS = ("apart", "together")


@dataclass(frozen=True)
class FrameConfig:
    """What the columns of a table are, and how its series are read."""

    layout: str = "auto"
    """"long": a row a step; "wide": a column a series; "auto": long where an id or a usual target is there."""
    id_column: str | None = None
    """None looks for a usual name; without one, the table is one series, called like the file."""
    time_column: tuple[str, ...] = ()
    """One column, or several that are joined with a space. None given: a usual name, in wide tables else the first."""
    time_format: str | None = None
    """How stamps are written, as strftime says it ("%d/%m/%Y %H:%M"); None: ISO 8601, or plain step numbers."""
    target: tuple[str, ...] = ()
    """The columns that are forecast; none given: y, target or value; in wide tables all but the time."""
    known: tuple[str, ...] = ()
    """Covariates whose future is known."""
    past: tuple[str, ...] | None = None
    """Covariates of the past; None: every further column of numbers of a long table."""
    labels: tuple[str, ...] = ()
    """Columns that are one value a series and become labels of it."""
    group_column: str | None = None
    """Series of one group stay on one side of the split."""
    split_column: str | None = None
    """train, validation or test, for split.rule=given."""
    channels: str = "apart"
    """"apart": each target a series of its own (Timer, arXiv 2402.02368); "together": the channels of one."""
    missing: tuple[str, ...] = ()
    """Words that mark a missing value ("?"), besides empty cells, NA, NaN and null."""
    start: str | None = None
    """Stamp of the first step, ISO 8601, of tables without a time column and of arrays; `freq` goes with it."""
    timezone: str | None = None
    """Stamps without an offset are read on clocks there."""
    grid: GridPolicy = field(default_factory=GridPolicy)

    def __post_init__(self) -> None:
        for key, allowed in (("layout", LAYOUTS), ("channels", CHANNELS)):
            value = getattr(self, key)
            if value not in allowed:
                raise ConfigError(
                    f"data.{key}: got {value!r}{nearest(str(value), allowed)}", hint=f"Allowed: {', '.join(allowed)}."
                )

        if self.start is not None:
            self.first_stamp()
            if self.grid.freq is None:
                raise ConfigError("data.start needs data.freq=, the step from one value to the next")

    def first_stamp(self) -> np.datetime64 | None:
        """`start` as a stamp. Raises ConfigError where it is none."""
        try:
            return None if self.start is None else np.datetime64(self.start.replace(" ", "T"), "ns")
        except ValueError as error:
            raise ConfigError(f"data.start: got {self.start!r}, allowed: a stamp such as 2014-01-01 00:30") from error

    @property
    def text(self) -> tuple[str, ...]:
        """Columns besides id and time that are read as text."""
        return tuple(filter(None, (*self.labels, self.group_column, self.split_column)))

    @property
    def missing_words(self) -> tuple[str, ...]:
        return (*USUAL_MISSING, *self.missing)


@dataclass(frozen=True)
class Columns:
    """The roles of one table's columns."""

    wide: bool
    id: str | None
    time: tuple[str, ...]
    target: tuple[str, ...]
    known: tuple[str, ...]
    past: tuple[str, ...]

    @property
    def text(self) -> tuple[str, ...]:
        """Those that are text whatever they hold."""
        return (*(() if self.id is None else (self.id,)), *self.time)


def find_columns(names: Sequence[str], config: FrameConfig, *, numeric: Sequence[str] | None = None) -> Columns:
    """The roles that `config` gives the columns, or that usual names have.

    Args:
        numeric: the columns of numbers, where it is known; only these become past covariates by themselves.

    Raises ConfigError for a column that is not there.
    """
    for key in ("time_column", "target", "known", "past", "labels"):
        for name in getattr(config, key) or ():
            find_column(names, name, (), f"data.{key}")
    for key in ("group_column", "split_column"):
        find_column(names, getattr(config, key), (), f"data.{key}")
    identity = find_column(names, config.id_column, USUAL_IDS, "data.id_column")
    time = config.time_column or tuple(filter(None, [find_column(names, None, USUAL_TIMES, "")]))
    left = [name for name in names if name not in (identity, *time)]
    usual = find_column(left, None, USUAL_TARGETS, "")
    wide = config.layout == "wide" or (
        config.layout == "auto"
        and config.id_column is None
        and not config.target
        and usual is None
        and identity is None
    )
    if wide:
        time = time or (names[0],)
        target = config.target or tuple(n for n in names if n not in (*time, *config.known, *(config.past or ())))
        return Columns(True, None, time, target, config.known, config.past or ())
    target = config.target or ((usual,) if usual else ())
    if not target:
        raise ConfigError(
            "data.target: which columns are to be forecast?", hint=f"Columns: {', '.join(names)}. One is named y."
        )
    others = {identity, *time, *target, *config.known, *config.labels, config.group_column, config.split_column}
    past = config.past
    if past is None:
        others |= {*WRITTEN} if names[-1] == WRITTEN[-1] else set()
        past = tuple(n for n in names if n not in others and (numeric is None or n in numeric))
    return Columns(False, identity, time, target, config.known, past)
