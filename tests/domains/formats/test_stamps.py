"""Columns of stamps as nanoseconds, clocks that are put back and forward, and offsets that do not go together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, InputError
from domains.formats.stamps import NAIVE, localize, mixed_offsets, read_stamps, step_numbers


def stamps_in(column, **options) -> list[str]:
    found = read_stamps(pd.Series(column), **options)
    assert found.clock
    assert not found.bad.any()
    return [str(np.datetime64(int(v), "ns").astype("datetime64[s]")) for v in found.values]


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (["2024-03-01 02:00", "2024-03-01T03:00:00"], {}),
        (["2024-03-01T02:00Z", "2024-03-01T03:00Z"], {}),
        (["2024-03-01 03:00:00+01:00", "2024-03-01 05:30+0230"], {}),
        (["2024-03-01T00:00:00.000-02", "2024-03-01T01:00:00.000-02"], {}),
        (["01/03/2024 02:00", "01/03/2024 03:00"], {"time_format": "%d/%m/%Y %H:%M"}),
        (["01/03/2024 03:00 +0100", "01/03/2024 04:00 +0100"], {"time_format": "%d/%m/%Y %H:%M %z"}),
        (pd.to_datetime(["2024-03-01 02:00", "2024-03-01 03:00"]), {}),
        (pd.to_datetime(["2024-03-01 03:00", "2024-03-01 04:00"]).tz_localize("Europe/Berlin"), {}),
        (pd.PeriodIndex(["2024-03-01 02:00", "2024-03-01 03:00"], freq="h"), {}),
        ([pd.Timestamp("2024-03-01 02:00"), pd.Timestamp("2024-03-01 03:00").to_pydatetime()], {}),
        (np.array(["2024-03-01T02", "2024-03-01T03"], "datetime64[us]"), {}),
    ],
)
def test_the_same_two_hours_however_they_are_written(column, options) -> None:
    assert stamps_in(column, **options) == ["2024-03-01T02:00:00", "2024-03-01T03:00:00"]


def test_whole_numbers_are_steps() -> None:
    for column in (["3", "4", "-1"], [3, 4, -1], [3.0, 4.0, -1.0]):
        found = read_stamps(pd.Series(column))
        assert not found.clock
        assert found.values.tolist() == [3, 4, -1]
    assert step_numbers(np.array([0, 1, 0, 1, 1])).values.tolist() == [0, 0, 1, 1, 2]


def test_a_cell_that_is_no_stamp_is_marked() -> None:
    found = read_stamps(pd.Series(["2024-03-01", "soon", "", "2024-03-04", None, "2024-03-06", "2024-03-07"]))
    assert np.flatnonzero(found.bad).tolist() == [1, 2, 4]
    assert read_stamps(pd.Series([1.0, 2.5, np.nan])).bad.tolist() == [False, True, True]


def test_an_ambiguous_date_is_never_guessed() -> None:
    with pytest.raises(InputError, match=r"'03/04/2024' are not ISO 8601") as caught:
        read_stamps(pd.Series(["03/04/2024", "04/04/2024"]))
    assert "data.time_format" in caught.value.hint


def test_an_hour_shown_twice_is_told_apart_by_order_and_a_skipped_one_is_left_out() -> None:
    """Clocks in Berlin go back on 2024-10-27 at 03:00 and forward on 2024-03-31 at 02:00."""
    local = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00", "2024-03-31 02:00"]
    column, notes = read_stamps(pd.Series(local)), Counter()
    localize(column, np.zeros(5, np.int64), "Europe/Berlin", notes)
    hours = (column.values[:4] // 3_600_000_000_000) % 24
    assert hours.tolist() == [23, 0, 1, 2]
    assert column.skipped.tolist() == [False] * 4 + [True]
    assert sorted(notes.values()) == [1, 2]
    two = read_stamps(pd.Series(["2024-10-27 02:00"] * 2))
    localize(two, np.array([0, 1]), "Europe/Berlin", Counter())
    assert two.values[0] == two.values[1], "of two series neither is the later one"
    with pytest.raises(ConfigError, match="no time zone 'Europe/Berlyn'"):
        localize(two, np.array([0, 1]), "Europe/Berlyn", Counter())


@pytest.mark.parametrize(
    ("offsets", "row"),
    [
        ([60, 60, 60], None),
        ([60, 120, 60], None),
        ([60, NAIVE, 60], 1),
        ([NAIVE, NAIVE, 0], 2),
        ([60, 60, -300], 2),
        ([0, 60, 120], 1),
    ],
)
def test_offsets_of_one_place_go_together(offsets: list[int], row: int | None) -> None:
    assert mixed_offsets(np.array(offsets, np.int16)) == row
