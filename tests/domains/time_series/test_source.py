"""Series out of files, frames and named data sets, as counted ingestion takes them; samples as CSV."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains import DOMAINS
from domains.formats.series import Series
from domains.time_series.source import DATASETS, open_source, write_samples
from domains.time_series.tokenizer import BinsConfig, BinsTokenizer, PatchConfig, PatchTokenizer
from tests.domains.time_series.made import START, daily, make_store


def csv_of(path: Path, *series: Series) -> Path:
    write_samples(path, series)
    return path


def test_a_store_of_ones_own_series(tmp_path: Path) -> None:
    """The example: a long table in, a store with train, validation and test parts of every series out."""
    file = csv_of(tmp_path / "own.csv", daily(480, name="a"), daily(240, name="b"))
    source = open_source(path=file)
    report = prepare_store(
        source,
        PatchTokenizer(),
        tmp_path / "own.zarr",
        split=SplitConfig(**source.suggested_split),
        domain="time_series",
    )
    store = TokenStore.open(tmp_path / "own.zarr")
    assert list(store.ids) == ["a", "b"]
    assert store.spans("test").tolist() == [[0, 384, 480], [1, 192, 240]]
    assert store.spans("validation").tolist() == [[0, 336, 384], [1, 168, 192]]
    assert store.labels("start").tolist() == ["2024-01-01T00:00:00.000000000"] * 2
    assert store.spec.names == ("values", "hour_of_week")
    assert report.counts == {"in": 2, "ok": 2, "rejected": {}}
    back = PatchTokenizer.from_config(store.tokenizer["config"]).decode(store[1])
    assert np.allclose(back.values, daily(240).values, rtol=1e-6)
    assert np.array_equal(back.stamps(), daily(240).stamps())


def test_records_in_is_ok_and_rejected(tmp_path: Path) -> None:
    text = "unique_id,ds,y\n"
    for name, values in (("good", range(60)), ("short", range(3)), ("odd", ["?", *range(59)]), ("none", [""] * 30)):
        text += "".join(f"{name},{START + np.timedelta64(i, 'h')},{v}\n" for i, v in enumerate(values))
    (tmp_path / "a.csv").write_text(text)
    source = open_source(path=tmp_path / "a.csv")
    report = prepare_store(
        source, PatchTokenizer(), tmp_path / "a.zarr", split=SplitConfig(**source.suggested_split),
        domain="time_series", max_bad=1.0,
    )  # fmt: skip
    assert report.counts == {
        "in": 4,
        "ok": 1,
        "rejected": {"all_missing": 1, "not_a_number": 1, "shorter_than_a_patch": 1},
    }
    import json

    rejects = [json.loads(line) for line in (tmp_path / "a.zarr.rejects.jsonl").read_text().splitlines()]
    assert {r["id"]: (r["line"], r["index"]) for r in rejects} == {"short": (62, 1), "odd": (65, 2), "none": (125, 3)}
    assert all(r["file"].endswith("a.csv") for r in rejects)


def test_passes_over_a_source_give_the_same(tmp_path: Path) -> None:
    file = csv_of(tmp_path / "a.csv", daily(50, name="a"), daily(60, name="b"))
    gap = daily(40)
    gap.values[3:9] = np.nan
    for path in (file, [file, csv_of(tmp_path / "b.csv", gap)], [daily(50), gap]):
        source = open_source(path=path)
        first, notes = list(source), dict(source.notes)
        again = list(source)
        assert [s.id for s in first] == [s.id for s in again]
        assert notes == source.notes
        assert source.records_in == len(first)
        assert source.bytes_read == source.total_bytes > 0


def test_what_is_given_may_be_a_frame_an_array_or_a_folder(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ds": pd.date_range(START, periods=30, freq="h"), "y": np.arange(30.0)})
    csv_of(tmp_path / "in" / "a.csv", daily(30, name="a"))
    np.save(tmp_path / "in" / "b.npy", np.arange(30.0))
    for given, ids in (
        (frame, ["series"]),
        (np.arange(30.0), ["series"]),
        ([daily(30, name="x"), daily(30, name="y")], ["x", "y"]),
        (tmp_path / "in", ["a", "b"]),
        (str(tmp_path / "in" / "*.csv"), ["a"]),
    ):
        assert [s.id for s in open_source(path=given)] == ids
    packed = tmp_path / "c.csv.xz"
    packed.write_bytes(lzma.compress((tmp_path / "in" / "a.csv").read_bytes()))
    assert [s.id for s in open_source(path=packed)] == ["a"]
    packed.with_suffix("").unlink()
    packed.write_bytes(b"\xfd7zXZ\x00 and no more")
    with pytest.raises(InputError, match="xz stream is damaged"):
        list(open_source(path=packed))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ConfigError, "either data=NAME or data.path=FILES"),
        ({"data": "electricty"}, ConfigError, "did you mean 'electricity'"),
        ({"path": "nowhere.csv"}, InputError, "no file nowhere.csv"),
        ({"path": "*.nothing"}, InputError, "no file matches"),
        ({"path": np.arange(3.0), "freqency": "h"}, ConfigError, "data.freqency is unknown"),
        ({"path": np.arange(3.0), "format": "csv"}, ConfigError, "data.format: got 'csv'"),
        ({"path": {"a": 1}}, ConfigError, "got a dict"),
        ({"path": np.arange(3.0), "start": "2024-01-01"}, ConfigError, "needs data.freq="),
    ],
)
def test_wrong_wishes_are_explained(given, error, message: str) -> None:
    with pytest.raises(error, match=message):
        open_source(**given)


def test_letters_are_equal_where_steps_are() -> None:
    source = open_source(path=[daily(10)])
    a, b = daily(200, seed=1), daily(200, seed=1)
    b.values[100] += 1
    same = source.letters(a) == source.letters(b)
    assert np.flatnonzero(~same).tolist() == [100]
    b.values[50] = np.nan
    assert source.letters(b)[50] == 0
    other = source.letters(daily(200, seed=2))
    assert np.mean(source.letters(a) == other) < 0.05, "different values hash to different bytes, but for chance"


def test_copies_of_a_series_are_found(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.zarr", [daily(200, name="a"), daily(200, name="b"), daily(200, seed=3, name="c")])
    assert store.split["duplicates"]["records"] == 1
    assert store.split["leakage"]["test"] == 0


def test_a_store_of_bins_keeps_what_it_was_made_of(tmp_path: Path) -> None:
    """Quantile bins are learned, so the series is encoded in pieces; scale and raw values are those of the whole."""
    record = daily(400)
    store = make_store(tmp_path / "a.zarr", [record], BinsTokenizer(BinsConfig(bins=16, method="quantile", head=24)))
    tokenizer = BinsTokenizer.from_config(store.tokenizer["config"])
    assert len(tokenizer.config.edges) == 15
    assert np.allclose(tokenizer.truth(store[0]).values, record.values, rtol=1e-6)
    assert store[0].labels["scale"] == pytest.approx(np.abs(record.values[:24]).mean())
    assert np.flatnonzero(~store[0].loss_mask["tokens"]).tolist() == list(range(24))


def test_samples_are_written_as_they_are_read(tmp_path: Path) -> None:
    series = daily(30, name="x")
    series.values[3] = np.nan
    assert write_samples(tmp_path / "s.csv", [series, Series("", [1.0, 2.0])], nats=[12.5, 1]) == 2
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "unique_id,ds,y,nats"
    assert lines[4] == "x,2024-01-01T03:00:00,,12.5"
    assert lines[-1] == "series_2,1,2.0,1"
    assert lines[1].split(",")[2] == str(np.float32(series.values[0, 0]))
    (back,) = open_source(path=csv_of(tmp_path / "one.csv", series))
    assert np.allclose(back.values, series.values, equal_nan=True)
    wide = Series("w", np.ones((2, 2)), ("a", "b"))
    write_samples(tmp_path / "w.csv", [wide])
    assert (tmp_path / "w.csv").read_text().splitlines()[1] == "w,0,1.0,1.0"
    with pytest.raises(ValueError, match="'x' has columns"):
        write_samples(tmp_path / "m.csv", [wide, series])
    assert not (tmp_path / "m.csv").exists()
    with pytest.raises(ValueError, match="shorter"):
        write_samples(tmp_path / "m.csv", [wide], nats=[])


def test_samples_say_what_was_given_and_are_read_without_it(tmp_path: Path) -> None:
    path, drawn = tmp_path / "s.csv", daily(30, name="x")
    write_samples(path, [drawn, daily(30, name="y")], nats=[12.5, 1], given=[28, 0])
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0] == ["unique_id", "ds", "y", "drawn", "nats"]
    assert [row[3] for row in rows[1:31]] == ["0"] * 28 + ["1"] * 2
    assert {row[3] for row in rows[31:]} == {"1"}
    first, _ = open_source(path=path)
    assert not first.past
    assert np.array_equal(first.values.astype(np.float32), drawn.values.astype(np.float32))
    (asked, _) = open_source(path=path, past=["drawn"])
    assert asked.past["drawn"].sum() == 2
    with pytest.raises(ValueError, match="shorter"):
        write_samples(path, [drawn], nats=[1.0], given=[])


def test_named_data_sets_are_those_that_the_domain_lists() -> None:
    assert list(DOMAINS.get("time_series").datasets) == list(DATASETS)
    for data in DATASETS.values():
        assert data.licence
        assert data.citation
        assert all(len(member.sha256) == 64 for member in data.members)


SIZES = {
    "hourly3": [("electricity", 26_304, "h"), ("beijing_temp", 43_824, "h"), ("sf_traffic", 17_544, "h")],
    "hourly_more": [("pm2.5", 43_800, "h"), ("DEWP", 43_824, "h")],
    "beijing_pm": [("pm2.5", 43_800, "h"), ("DEWP", 43_824, "h")],
    "bike": [("bike", 78_421, "h")],
    "traffic_volume": [("traffic_volume", 52_551, "h")],
    "us_employment": [("CEU0500000001", 969, "MS")],
    "elecdemand": [("elecdemand", 17_520, "30min")],
    "weather": [("EWR", 8_730, "h"), ("JFK", 8_730, "h"), ("LGA", 8_730, "h")],
    "m1_yearly": [("T1", 28, "YS")],
}
RECORDS = {"hourly3": 3, "hourly_more": 15, "beijing_pm": 7, "us_employment": 148, "weather": 3, "m1_yearly": 181}


@pytest.mark.network
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "hourly_more" else n for n in SIZES])
def test_named_data_sets_hold_what_they_should(name: str) -> None:
    source = open_source(name)
    found = list(source)
    assert not [item for item in found if isinstance(item, Reject)]
    assert len(found) == source.records_in == RECORDS.get(name, 1)
    assert [(s.id, len(s), s.freq) for s in found[: len(SIZES[name])]] == SIZES[name]
    assert source.provenance["name"] == name


@pytest.mark.network
def test_the_dirty_data_are_counted() -> None:
    source = open_source("traffic_volume")
    list(source)
    assert source.notes["rows of a stamp that was there already (mean taken)"] == 7_629
    refused = open_source("traffic_volume", duplicates="refuse")
    assert [r.reason for r in refused] == ["duplicate_stamp"]


def test_a_patch_that_is_too_long_is_explained() -> None:
    with pytest.raises(InputError, match="'a' has 10 steps, a patch has 24") as caught:
        PatchTokenizer(PatchConfig(calendar=(), known=(), past=(), channels=("value",))).encode(daily(10))
    assert "tokenizer.patch" in caught.value.hint


def test_steps_to_come_stand_behind_every_series_without_values(tmp_path: Path) -> None:
    file = csv_of(tmp_path / "own.csv", daily(48, name="a"), daily(30, name="b"))
    for before, after in zip(open_source(path=file), open_source(path=file, horizon=5), strict=True):
        assert isinstance(before, Series)
        assert isinstance(after, Series)
        assert (len(after), after.start) == (len(before) + 5, before.start)
        assert np.isnan(after.values[-5:]).all()
        np.testing.assert_array_equal(after.values[:-5], before.values)
    with pytest.raises(ConfigError, match=r"data\.horizon"):
        open_source(path=file, horizon=-1)
