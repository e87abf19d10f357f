"""Shards written here are, byte for byte, those that Zarr writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from core.sequence import Sequence, TokenSpec, real, symbol
from core.store.layout import append_array, create_array
from core.store.shard import shard_bytes
from core.store.writer import TokenStoreWriter
from core.vocabulary import Vocabulary


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


def test_a_store_has_the_files_that_zarr_would_write(tmp_path: Path) -> None:
    """Two whole shards and a part of a third, of two fields, one of them with a second axis."""
    rng, length = np.random.default_rng(0), 2 * 2**10 + 100
    spec = TokenSpec((symbol("tokens", Vocabulary("ACGT")), real("values", 2)))
    arrays = {
        "tokens": rng.integers(5, 9, length).astype(np.uint8),
        "values": rng.normal(size=(length, 2)).astype("f4"),
    }
    described = {"kind": "k", "version": 1, "config": {}, "fingerprint": "f"}
    with TokenStoreWriter(tmp_path / "s.zarr", spec, described, domain="", source={}, shard_tokens=2**10) as writer:
        writer.append(Sequence(arrays, "r"))
        writer.finish(spans=np.array([[0, 0, length]]), span_split=np.zeros(1, np.uint8), counts={}, split={})
    group = zarr.open_group(tmp_path / "z.zarr", mode="w", zarr_format=3)
    for name, values in arrays.items():
        width = values.shape[1] if values.ndim > 1 else 0
        array = create_array(group, f"fields/{name}", values.dtype, chunk=2**8, shard=2**10, width=width)
        append_array(array, values)
        place = f"fields/{name}/c"
        files = [p.relative_to(tmp_path / "z.zarr") for p in (tmp_path / "z.zarr" / place).rglob("*") if p.is_file()]
        assert len(files) == 3
        assert all((tmp_path / "s.zarr" / f).read_bytes() == (tmp_path / "z.zarr" / f).read_bytes() for f in files)
