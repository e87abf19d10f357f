"""Arrays as series: NumPy files, Zarr groups of our own and of xarray's making."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zarr

from core.errors import ConfigError, InputError
from domains.formats.frame_columns import FrameConfig
from domains.formats.time_grid import GridPolicy
from domains.formats.value_arrays import ArrayConfig, ArraySeries


def read(what, variable: str | None = None, **options):
    source = ArraySeries(what, ArrayConfig(variable, FrameConfig(**options)), Counter())
    found = list(source)
    assert source.records == len(found)
    return found


VALUES = np.arange(24.0).reshape(2, 4, 3)


def test_shapes_tell_series_and_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", VALUES[0, :, 0])
    np.save(tmp_path / "two.npy", VALUES[0])
    np.save(tmp_path / "three.npy", VALUES)
    assert [(s.id, s.values.shape) for s in read(tmp_path / "one.npy")] == [("one", (4, 1))]
    assert [s.id for s in read(tmp_path / "two.npy")] == ["two.channel_1", "two.channel_2", "two.channel_3"]
    assert [s.id for s in read(tmp_path / "three.npy", channels="together")] == ["three_1", "three_2"]
    apart = read(tmp_path / "three.npy")
    assert len(apart) == 6
    assert apart[4].values[:, 0].tolist() == VALUES[1, :, 1].tolist()


def test_every_array_of_an_npz_is_a_series(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(5.0), y=np.arange(3))
    assert [(s.id, len(s)) for s in read(tmp_path / "a.npz")] == [("x", 5), ("y", 3)]
    assert [s.id for s in read(tmp_path / "a.npz", "y")] == ["y"]
    with pytest.raises(ConfigError, match="no array 'z'"):
        read(tmp_path / "a.npz", "z")


def test_start_and_frequency_date_an_array() -> None:
    (series,) = read(np.array([np.nan, 1, 2, np.nan]), start="2024-01-01", grid=GridPolicy(freq="D"))
    assert series.stamps().astype("datetime64[D]").astype(str).tolist() == ["2024-01-02", "2024-01-03"]


def test_what_is_wrong_with_one_series_costs_it() -> None:
    values = VALUES.copy()
    values[0, 2, 1] = np.inf
    values[1, :, 0] = np.nan
    found = read(values)
    assert [getattr(f, "reason", "") for f in found] == ["", "infinite", "", "all_missing", "", ""]
    assert "step 3" in found[1].message


def test_a_zarr_group_of_ones_own(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("values", data=VALUES)
    assert [s.id for s in read(tmp_path / "a.zarr", channels="together")] == ["values_1", "values_2"]
    group.create_array("others", data=VALUES)
    with pytest.raises(ConfigError, match=r"(?s)which of its arrays.*data.variable="):
        read(tmp_path / "a.zarr")
    assert len(read(tmp_path / "a.zarr", "others")) == 6
    with pytest.raises(ConfigError, match="did you mean 'others'"):
        read(tmp_path / "a.zarr", "other")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("freq", ["h", "D", "30min"])
def test_what_xarray_wrote(tmp_path: Path, version: int, freq: str) -> None:
    import pandas as pd
    import xarray

    times = pd.date_range("2024-02-28", periods=4, freq=freq)
    values = VALUES.copy()
    values[0, 1, 0] = np.nan
    data = xarray.DataArray(
        values.transpose(1, 0, 2),
        dims=("time", "station", "channel"),
        coords={"time": times, "station": ["Rome", "Oslo"], "channel": ["t", "p", "q"]},
        name="weather",
    )
    data.to_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=version)
    found = read(tmp_path / "a.zarr", channels="together")
    assert [s.id for s in found] == ["Rome", "Oslo"]
    assert found[0].channels == ("t", "p", "q")
    assert np.allclose(found[0].values, values[0], equal_nan=True)
    assert np.array_equal(found[1].stamps(), times.to_numpy())
    assert found[0].freq == freq


def test_damage_and_strange_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.npy").write_bytes(b"nothing of the kind")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.save(tmp_path / "texts.npy", np.array(["a", "b"]))
    for name in ("bad", "objects"):
        with pytest.raises(InputError, match=f"{name}.npy: not a readable NumPy file"):
            read(tmp_path / f"{name}.npy")
    with pytest.raises(InputError, match="expected numbers"):
        read(tmp_path / "texts.npy")
    with pytest.raises(InputError, match=r"its shape is \(0,\)"):
        read(np.zeros(0))
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(InputError, match="holds no array"):
        read(tmp_path / "empty.zarr")
    group = zarr.open_group(tmp_path / "odd.zarr", mode="w")
    group.create_array("v", data=np.arange(3.0), dimension_names=["depth"])
    with pytest.raises(InputError, match="none of the dimensions"):
        read(tmp_path / "odd.zarr")
    group = zarr.open_group(tmp_path / "calendar.zarr", mode="w")
    group.create_array("v", data=np.arange(3.0), dimension_names=["time"])
    time = group.create_array("time", data=np.arange(3), dimension_names=["time"])
    time.attrs["units"] = "months since 2000-01-01"
    with pytest.raises(InputError, match="its time is in 'months since 2000-01-01'"):
        read(tmp_path / "calendar.zarr")
