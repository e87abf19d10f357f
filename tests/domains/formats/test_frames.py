"""Tables of series: long and wide, from files and from Python; what is wrong with one series costs that series."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.frame_columns import FrameConfig, find_columns
from domains.formats.frames import FrameSeries, memory_table, read_frame
from domains.formats.series import Series
from domains.formats.time_grid import GridPolicy

HOURS = [f"2024-01-01 {h:02d}:00" for h in range(24)]


def long_text(**series) -> str:
    lines = ["unique_id,ds,y"]
    for name, values in series.items():
        lines += [f"{name},{HOURS[i]},{v}" for i, v in enumerate(values)]
    return "\n".join(lines) + "\n"


def read(path: Path, text: str, **options):
    path.write_text(text)
    config = FrameConfig(**options)
    table, notes = read_frame(path, config)
    source = FrameSeries(table, config, notes)
    found = list(source)
    assert source.records == len(found), "records in = series + rejects"
    return found, notes


def test_a_long_table_holds_a_series_for_each_id(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "a.csv", long_text(b=[1, 2, 3], a=[4, "", 6]))
    assert [s.id for s in found] == ["b", "a"]
    assert np.allclose(found[1].values[:, 0], [4, np.nan, 6], equal_nan=True)
    assert found[0].freq == "h"
    assert found[0].start == np.datetime64("2024-01-01")
    assert found[1].place == (str(tmp_path / "a.csv"), 5, None)
    assert [str(s)[11:16] for s in found[0].stamps()] == ["00:00", "01:00", "02:00"]


@pytest.mark.parametrize(
    ("cell", "reason", "message"),
    [
        ("?", "not_a_number", r"'\?' in column 'y' is no number \(line 6\); 1 such cell"),
        ("inf", "infinite", r"'inf' in column 'y' is infinite \(line 6\)"),
        ("1,5", "ragged_row", r"line 6 has 4 cells, the header has 3"),
        ('"5', "open_quote", r"line 6 has a quote that is not closed"),
    ],
)
def test_one_bad_cell_costs_one_series(tmp_path: Path, cell: str, reason: str, message: str) -> None:
    text = long_text(good=[1, 2, 3], bad=[4, cell, 6])
    if reason == "open_quote":  # whose series cannot be told from a broken line
        with pytest.raises(InputError, match=message):
            read(tmp_path / "a.csv", text)
        return
    found, _ = read(tmp_path / "a.csv", text)
    assert isinstance(found[0], Series)
    assert isinstance(found[1], Reject)
    assert (found[1].id, found[1].reason, found[1].index) == ("bad", reason, 1)
    assert found[1].file == str(tmp_path / "a.csv")
    import re

    assert re.search(message, found[1].message), found[1].message


def test_words_are_missing_only_where_that_is_said(tmp_path: Path) -> None:
    text = long_text(x=[1, "?", 3])
    found, notes = read(tmp_path / "a.csv", text, missing=("?",))
    assert np.isnan(found[0].values[1, 0])
    assert notes["missing values inside series"] == 1


def test_all_missing_is_refused_and_leading_gaps_are_left_out(tmp_path: Path) -> None:
    found, notes = read(tmp_path / "a.csv", long_text(x=["", "", 3, 4, ""], y=["", "NA", "NaN"]))
    assert len(found[0]) == 3
    assert found[0].start == np.datetime64("2024-01-01T02:00")
    assert found[1].reason == "all_missing"
    assert notes["missing steps before the first or after the last value, left out"] == 2


def test_a_wide_table_has_a_series_in_each_column(tmp_path: Path) -> None:
    rows = "\n".join(f"{h},{i},{'' if i < 2 else 10 * i}" for i, h in enumerate(HOURS[:6]))
    found, _ = read(tmp_path / "w.csv", f"when,first,second\n{rows}\n")
    assert [(s.id, len(s)) for s in found] == [("first", 6), ("second", 4)]
    together, _ = read(tmp_path / "w.csv", f"when,first,second\n{rows}\n", channels="together")
    assert together[0].values.shape == (6, 2)
    assert together[0].channels == ("first", "second")
    with pytest.raises(InputError, match="line 3 has 2 cells"):
        read(tmp_path / "w.csv", "when,a,b\n2024-01-01,1,2\n2024-01-02,3\n")


def test_covariates_are_what_is_said_and_else_the_other_numbers(tmp_path: Path) -> None:
    text = "unique_id,ds,y,price,temp,remark\n" + "\n".join(
        f"a,{h},{i},{i * 2},{i * 3},text" for i, h in enumerate(HOURS)
    )
    found, _ = read(tmp_path / "a.csv", text + "\n", known=("price",))
    assert list(found[0].known) == ["price"]
    assert list(found[0].past) == ["temp"]
    assert found[0].past["temp"][5] == 15
    none, _ = read(tmp_path / "a.csv", text + "\n", past=())
    assert (none[0].known, none[0].past) == ({}, {})
    several, _ = read(tmp_path / "a.csv", text + "\n", target=("y", "price"), past=())
    assert [s.id for s in several] == ["a.y", "a.price"]


def test_labels_groups_and_sides_are_one_value_a_series(tmp_path: Path) -> None:
    text = "unique_id,ds,y,city,side\n" + "".join(
        f"{u},{h},1,{c},{s}\n" for u, c, s in (("a", "Rome", "train"), ("b", "Oslo", "test")) for h in HOURS[:3]
    )
    options = {"labels": ("city",), "group_column": "city", "split_column": "side", "past": ()}
    found, _ = read(tmp_path / "a.csv", text, **options)
    assert [(s.labels, s.group, s.split) for s in found] == [
        ({"city": "Rome"}, "Rome", "train"),
        ({"city": "Oslo"}, "Oslo", "test"),
    ]
    found, _ = read(tmp_path / "a.csv", text.replace("Rome", "Bern", 1), **options)
    assert found[0].reason == "labels"
    assert "'Bern' at first, 'Rome' in line 3" in found[0].message


def test_clocks_that_change_are_read_as_utc(tmp_path: Path) -> None:
    """A day of 25 hours and one of 23, written on clocks in Berlin."""
    utc = pd.date_range("2024-10-26 22:00", periods=26, freq="h", tz="UTC")
    local = utc.tz_convert("Europe/Berlin").tz_localize(None)
    text = "ds,y\n" + "".join(f"{s},{i}\n" for i, s in enumerate(local))
    found, notes = read(tmp_path / "a.csv", text, timezone="Europe/Berlin")
    assert np.array_equal(found[0].stamps(), utc.tz_localize(None).to_numpy())
    assert notes["local hours that a clock shows twice, told apart by order"] == 2
    found, _ = read(tmp_path / "a.csv", text)
    assert found[0].reason == "duplicate_stamp"


def test_mixed_time_zones_are_named_with_series_and_row(tmp_path: Path) -> None:
    text = "unique_id,ds,y\na,2024-01-01T00:00+01:00,1\na,2024-01-01T01:00,2\n"
    text += "b,2024-01-01T00:00Z,3\nb,2024-01-01T01:00Z,4\n"
    found, _ = read(tmp_path / "a.csv", text)
    assert found[0].reason == "mixed_time_zones"
    assert "series 'a': line 3 is of another time zone than line 2" in found[0].message
    assert found[1].timezone == "UTC"


def test_stamps_in_several_columns_and_cells_that_are_none(tmp_path: Path) -> None:
    text = "y,year,month,day\n1,2024,1,30\n2,2024,1,31\n3,2024,2,1\n"
    options = {"time_column": ("year", "month", "day"), "time_format": "%Y %m %d"}
    found, _ = read(tmp_path / "a.csv", text, **options)
    assert (found[0].freq, len(found[0])) == ("D", 3)
    found, _ = read(tmp_path / "a.csv", text.replace("2024,1,31", "2024,1,32"), **options)
    assert found[0].reason == "bad_stamp"
    assert "'2024 1 32' is no time stamp (line 3)" in found[0].message


def test_without_stamps_steps_are_counted_or_dated_by_start(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "a.csv", "y\n1\n2\n3\n")
    assert (found[0].id, found[0].start, found[0].freq, len(found[0])) == ("a", None, None, 3)
    found, _ = read(tmp_path / "a.csv", "y\n1\n2\n3\n", start="2024-01-01 00:30", grid=GridPolicy(freq="30min"))
    assert str(found[0].stamps()[-1])[:16] == "2024-01-01T01:30"
    found, _ = read(tmp_path / "a.csv", "ds,y\n7,1\n8,2\n10,3\n")
    assert np.isnan(found[0].values).sum() == 1


def test_parquet_and_frames_from_python_give_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3, "ds": pd.to_datetime(HOURS[:3] * 2), "y": np.arange(6.0)})
    frame.to_parquet(tmp_path / "a.parquet")
    config = FrameConfig()
    table, _ = read_frame(tmp_path / "a.parquet", config)
    for made in (table, memory_table(frame), memory_table(frame.set_index(["unique_id", "ds"]))):
        found = list(FrameSeries(made, config, Counter()))
        assert [s.id for s in found] == ["a", "b"]
        assert found[1].values[:, 0].tolist() == [3, 4, 5]
    zoned = frame.assign(ds=frame.ds.dt.tz_localize("Asia/Tokyo"))
    series = next(iter(FrameSeries(memory_table(zoned), config, Counter())))
    assert series.timezone == "Asia/Tokyo"
    assert series.start == np.datetime64("2023-12-31T15:00")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_frame(tmp_path / "b.parquet", config)
    with pytest.raises(InputError, match="there is no file"):
        read_frame(tmp_path / "c.parquet", config)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["unique_id", "ds", "x"], {}, "data.target: which columns"),
        (["unique_id", "ds", "y"], {"target": ("yy",)}, "no column 'yy'; did you mean 'y'"),
        (["unique_id", "ds", "y"], {"id_column": "uid"}, "data.id_column: there is no column 'uid'"),
        (["unique_id", "ds", "y"], {"known": ("price",)}, "data.known: there is no column 'price'"),
    ],
)
def test_columns_that_are_not_there_are_named(names, options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_columns(names, FrameConfig(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "lnog"}, "did you mean 'long'"),
        ({"channels": "both"}, "data.channels: got 'both'"),
        ({"start": "soon", "grid": GridPolicy(freq="h")}, "data.start: got 'soon'"),
        ({"start": "2024-01-01"}, "data.start needs data.freq="),
    ],
)
def test_wrong_settings_are_explained(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrameConfig(**options)
