"""Stamps onto regular grids: frequencies found, gaps filled in, and everything that does not fit named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, RecordError
from domains.formats.time_grid import (
    GridPolicy,
    advance,
    fixed_step,
    infer_freq,
    lay_on_grid,
    mean_step,
    season_of,
    stamps_of,
)

START = np.datetime64("2024-01-31T00:00", "ns")


def ns(stamps) -> np.ndarray:
    return pd.DatetimeIndex(stamps).to_numpy("datetime64[ns]").astype(np.int64)


def lay(stamps, values=None, *, clock: bool = True, usual: str | None = None, **policy):
    numbers = ns(stamps) if clock else np.asarray(stamps, np.int64)
    given = np.arange(1.0, len(numbers) + 1) if values is None else np.asarray(values, float)
    return lay_on_grid(
        numbers, given[:, None], GridPolicy(**policy), name="x", row=lambda i: f"line {i + 2}", clock=clock, usual=usual
    )


def test_a_gap_becomes_missing_steps() -> None:
    grid = lay(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 05:00"])
    assert grid.freq == "h"
    assert np.allclose(grid.values[:, 0], [1, 2, 3, np.nan, np.nan, 4], equal_nan=True)
    assert grid.notes == {"steps missing from the grid (gaps)": 2}


@pytest.mark.parametrize(
    "freq",
    ["s", "10s", "min", "15min", "30min", "h", "6h", "D", "W-SUN", "W-WED", "MS", "ME", "QS-JAN", "QE-DEC", "YS-JAN",
     "2YS-JAN"],
)  # fmt: skip
def test_a_frequency_is_found_again_and_gives_the_stamps_back(freq: str) -> None:
    stamps = pd.date_range("2023-11-05", periods=30, freq=freq).to_numpy("datetime64[ns]")
    found = infer_freq(stamps.astype(np.int64))
    assert found is not None
    assert np.array_equal(stamps_of(stamps[0], found, 30), stamps)
    assert advance(stamps[0], found, 17) == stamps[17]
    with_gaps = np.delete(np.arange(30), [3, 11, 12])
    grid = lay(stamps[with_gaps], with_gaps)
    assert len(grid.values) == 30
    assert np.array_equal(np.flatnonzero(np.isfinite(grid.values[:, 0])), with_gaps)
    assert np.array_equal(grid.values[with_gaps, 0], with_gaps)


def test_business_days_are_declared() -> None:
    stamps = pd.bdate_range("2024-01-01", periods=20)
    assert not np.isnan(lay(stamps, freq="B").values).any()
    assert np.isnan(lay(stamps).values).sum() == 6


@pytest.mark.parametrize(
    ("freq", "season"),
    [("h", 24), ("30min", 48), ("min", 1440), ("7min", 1), ("D", 7), ("B", 5), ("W-SUN", 52), ("MS", 12), ("ME", 12),
     ("QS-OCT", 4), ("YS-JAN", 1), ("3D", 1), ("2h", 12), (None, 1)],
)  # fmt: skip
def test_seasons_follow_the_frequency(freq: str | None, season: int) -> None:
    assert season_of(freq) == season


def test_steps_have_a_length() -> None:
    assert fixed_step("h") == 3_600_000_000_000
    assert fixed_step("MS") is None
    assert mean_step("YS") == pytest.approx(365.25 * 86_400e9, rel=1e-3)


def test_order_does_not_matter_and_is_counted() -> None:
    stamps = pd.date_range("2024-01-01", periods=50, freq="h").to_numpy()
    mixed = np.random.default_rng(0).permutation(50)
    grid = lay(stamps[mixed], mixed)
    assert np.array_equal(grid.values[:, 0], np.arange(50))
    assert grid.notes["stamps out of order, sorted"] > 0


def test_two_rows_of_one_stamp_are_refused_averaged_or_the_first_is_taken() -> None:
    stamps = ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 01:00", "2024-01-01 02:00"]
    with pytest.raises(RecordError, match=r"'x': 2024-01-01 01:00:00 stands twice \(line 3 and line 4\)") as caught:
        lay(stamps)
    assert (caught.value.reason, caught.value.position) == ("duplicate_stamp", 2)
    assert lay(stamps, [1, 2, np.nan, 4], duplicates="mean").values[:, 0].tolist() == [1, 2, 4]
    assert lay(stamps, [1, 2, 6, 4], duplicates="mean").values[:, 0].tolist() == [1, 4, 4]
    assert lay(stamps, [1, 2, 6, 4], duplicates="first").values[:, 0].tolist() == [1, 2, 4]


def test_a_stamp_off_the_grid_is_named_wherever_it_stands() -> None:
    good = list(pd.date_range("2024-01-01", periods=20, freq="h"))
    for at in (0, 7, 19):
        stamps = [*good]
        stamps[at] += pd.Timedelta("7min")
        with pytest.raises(RecordError, match=rf":07:00 \(line {at + 2}\)") as caught:
            lay(stamps)
        assert caught.value.reason == "off_grid"
    averaged = lay([*good, good[-1] + pd.Timedelta("7min")], freq="h", resample="mean")
    assert averaged.values[-1, 0] == pytest.approx(20.5)
    assert averaged.notes["rows averaged into steps of data.freq"] == 1


def test_stamps_without_any_grid_are_irregular() -> None:
    stamps = START + np.cumsum(np.random.default_rng(0).integers(1, 10**6, 50)).astype("timedelta64[s]")
    with pytest.raises(RecordError) as caught:
        lay(stamps)
    assert caught.value.reason == "irregular"


def test_a_wrong_year_does_not_make_a_million_empty_steps() -> None:
    stamps = [*pd.date_range("2024-01-01", periods=20, freq="h"), pd.Timestamp("2204-01-01")]
    with pytest.raises(RecordError, match=r"gap ends at 2204-01-01 00:00:00 \(line 22\)") as caught:
        lay(stamps)
    assert caught.value.reason == "mostly_gaps"


def test_step_numbers_are_a_grid_without_a_clock() -> None:
    grid = lay([10, 12, 16], clock=False)
    assert (grid.freq, grid.start) == (None, 10)
    assert np.allclose(grid.values[:, 0], [1, 2, np.nan, 3], equal_nan=True)
    with pytest.raises(RecordError):
        lay([1, 3, 5, 6, 7, 9, 11, 13, 15], clock=False)


def test_few_stamps_take_the_usual_frequency() -> None:
    assert lay(["2024-01-01"], usual="D").freq == "D"
    assert lay(["2024-01-01"]).freq is None
    assert len(lay(["2024-01-01", "2024-01-03"], usual="D").values) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duplicates": "men"}, "did you mean 'mean'"),
        ({"freq": "fortnightly"}, "is no frequency"),
        ({"resample": "mean"}, "data.freq="),
        ({"resample": "sum", "freq": "h"}, "data.resample: got 'sum'"),
    ],
)
def test_wrong_settings_are_explained(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GridPolicy(**options)
