"""A whole shard as bytes, as Zarr writes it, without what Zarr does beside it: a third of the time of `prepare`.

The chunks one behind the other, each packed and followed by its crc32c, then the index: where each begins and how long
it is, little-endian uint64, and a crc32c of that (Zarr v3, codec `sharding_indexed`, index at the end). The codecs are
those of `create_array`; `tests/core/test_shard.py` holds both against what Zarr itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from core.store.layout import PACKING, PACKING_LEVEL

_CRC_BYTES = 4


def shard_bytes(values: NDArray[Any], chunk: int) -> Iterator[bytes]:
    """The file of a shard in pieces.

    Args:
        values: (n, ...) all entries of the shard, in C order and little-endian.
        chunk: entries of an inner chunk along the first axis, a divisor of n.
    """
    codec = Blosc(PACKING, clevel=PACKING_LEVEL, shuffle=Blosc.BITSHUFFLE, typesize=values.dtype.itemsize)
    index, begin = [], 0
    for start in range(0, len(values), chunk):
        packed = codec.encode(values[start : start + chunk].reshape(-1).view(np.uint8))
        yield packed
        yield _crc(packed)
        index.append((begin, len(packed) + _CRC_BYTES))
        begin += len(packed) + _CRC_BYTES
    listed = np.array(index, "<u8").tobytes()
    yield listed
    yield _crc(listed)


def _crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(_CRC_BYTES, "little")
