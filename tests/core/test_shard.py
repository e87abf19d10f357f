"""Shards written here are, byte for byte, those that Zarr writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from core.store.layout import create_array
from core.store.shard import shard_bytes


@pytest.mark.parametrize("width", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("chunks", [1, 4])
def test_a_shard_is_the_file_that_zarr_writes(tmp_path: Path, width: int, dtype: type, chunks: int) -> None:
    group = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=3)
    rng, shard = np.random.default_rng(0), 4096
    values = rng.integers(0, 7, (shard, width) if width else (shard,)).astype(dtype)
    array = create_array(group, "x", np.dtype(dtype), chunk=shard // chunks, shard=shard, width=width)
    array.resize((shard, *array.shape[1:]))
    array[:] = values
    written = (tmp_path / "s.zarr" / "x" / "c" / ("0" if not width else "0/0")).read_bytes()
    assert b"".join(shard_bytes(values, shard // chunks)) == written
