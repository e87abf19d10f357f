"""How a token store lies on disk: names, codecs, what may stand in its metadata. Reader and writer share it.

Every array ends in a crc32c inside each chunk and, where chunks are sharded, over the shard's index as well. Numbers
are bit-shuffled and packed with lz4 [DNA on one core: 1,350 MB/s in, 4.0 bits a base; zstd at level 1: 236 MB/s in,
2.5 bits]. Knows nothing of records, splits or models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore

from core.durable import json_bytes, read_json
from core.errors import InputError, IntegrityError
from core.places import is_remote
from core.version import __version__

FORMAT = "foretell/tokens"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SPLITS = ("train", "validation", "test")

SHARD_BYTES = 2**22
"""A shard of all fields together holds at most this many bytes of tokens. Training holds 16 shards (64 MiB) twice over
while it swaps buffers, far below the 500 MB that a loader may take; one shard is read in about 7 ms."""
CHUNKS_PER_SHARD = 4
"""A shard's inner chunks, the least that is read for one window [Zarr costs 0.3 ms a chunk beside the work: 16 chunks a
shard write 4 Mi bases in 16 ms, 4 chunks in 8; a single window takes 1.2 or 1.9 ms]."""
PACKING: Final = "lz4"
PACKING_LEVEL: Final = 1
ROW_CHUNK = 2**16
"""Rows a chunk of ids, groups, labels and offsets."""

TOKEN_FOLDERS = ("fields", "observed", "loss_mask", "token_labels")
"""Arrays with one entry a token, sharded alike."""
_TYPES = {"bool", "string"} | {
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64) if (kind, bits) != ("float", 8)
}
_CODECS = {"bytes", "vlen-utf8", "blosc", "zstd", "gzip", "transpose", "crc32c", "sharding_indexed"}


def shard_tokens_for(bytes_per_token: int) -> int:
    """The largest power of two of tokens that fits into SHARD_BYTES; 2**22 for one byte a token."""
    return 1 << (max(SHARD_BYTES // max(bytes_per_token, 1), 1).bit_length() - 1)


def create_array(
    group: zarr.Group, name: str, dtype: np.dtype[Any] | type[str], *, chunk: int, shard: int = 0, width: int = 0
) -> zarr.Array[Any]:
    """An empty array that grows along its first axis, in chunks of `chunk`, `shard` > 0 entries of it to a file.

    `width` > 0 adds a second axis of that length.
    """
    tail = (width,) if width else ()
    is_text = dtype is str
    packing = ZstdCodec(level=1) if is_text else BloscCodec(cname=PACKING, clevel=PACKING_LEVEL, shuffle="bitshuffle")
    return group.create_array(
        name,
        shape=(0, *tail),
        dtype="string" if is_text else dtype,
        chunks=(chunk, *tail),
        shards=(shard, *tail) if shard else None,
        compressors=[packing, Crc32cCodec()],
        config={"write_empty_chunks": True},
    )


def append_array(array: zarr.Array[Any], values: Any) -> None:
    """Grows `array` by `values` (n, ...); the end of the array so far must be a border of its files."""
    start = array.shape[0]
    array.resize((start + len(values), *array.shape[1:]))
    array[start:] = values


class WholeFolder(LocalStore):
    """A folder in which no chunk may be missing: Zarr itself reads a missing one as zeros."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is None and "/c/" in key:
            raise FileNotFoundError(f"{self.root / key} is missing")
        return value

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        value = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        if value is None and "/c/" in key:
            raise FileNotFoundError(f"{self.root / key} is missing")
        return value


class WholeUrl(FsspecStore):
    """The same at a URL."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is None and "/c/" in key:
            raise FileNotFoundError(f"{self.path}/{key} is missing")
        return value


def whole_folder(folder: Path) -> WholeFolder | WholeUrl:
    """The files of a store, to be read; none may be missing."""
    if is_remote(folder):
        return WholeUrl.from_url(str(folder), read_only=True)  # type: ignore[return-value]
    return WholeFolder(folder, read_only=True)


def manifest_bytes(files: Mapping[str, Any]) -> bytes:
    """The text of manifest.json: format, version, each file's sha256 and size, and the sha256 of just that."""
    body = {"format": FORMAT, "format_version": FORMAT_VERSION, "files": dict(files)}
    return json_bytes({**body, "sha256": hashlib.sha256(json_bytes(body)).hexdigest()})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a token store, its own checksum verified.

    Raises IntegrityError where it is missing or damaged, or where the folder is something else.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise IntegrityError(
            f"{folder} is not a whole token store: it has no {MANIFEST}",
            hint="Give the folder that `foretell prepare` wrote (store=OUT.zarr).",
        )
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise IntegrityError(f"{folder} is not a token store: its format is {found!r}, expected {FORMAT!r}")
    body = {key: value for key, value in manifest.items() if key != "sha256"}
    if (
        path.read_bytes() != json_bytes(manifest)
        or manifest.get("sha256") != hashlib.sha256(json_bytes(body)).hexdigest()
    ):
        raise IntegrityError(f"{path} is damaged: it does not match its own checksum")
    return manifest


def read_array_metadata(path: Path) -> dict[str, Any] | None:
    """What a zarr.json says of an array; None where it is a group's.

    Raises IntegrityError for arrays of Python objects and for codecs that do more than pack.
    """

    def names(codecs: Any) -> set[str]:
        found = set()
        for codec in codecs:
            found.add(str(codec["name"]))
            for inner in ("codecs", "index_codecs"):
                found |= names(codec.get("configuration", {}).get(inner, []))
        return found

    metadata = read_json(path)
    try:
        if metadata["node_type"] != "array":
            return None
        kind, codecs = metadata["data_type"], names(metadata["codecs"])
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path} is not the metadata of a Zarr v3 array or group") from error
    if not isinstance(kind, str) or kind not in _TYPES:
        raise IntegrityError(f"{path}: arrays of type {kind!r} are not read; allowed are numbers, bool and strings")
    if not codecs <= _CODECS:
        raise IntegrityError(f"{path}: codecs {sorted(codecs - _CODECS)} are not read; allowed: {sorted(_CODECS)}")
    return dict(metadata)


@cache
def software() -> dict[str, str]:
    """Name to version of what a store's bytes depend on."""
    return {"foretell": __version__, **{name: version(name) for name in ("numpy", "zarr", "numcodecs")}}


def check_spans(spans: NDArray[np.int64], split: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
    """Raises InputError where a span (S, 3) lies outside its row, given every row's length in tokens."""
    if spans.ndim != 2 or spans.shape[1] != 3 or split.shape != (len(spans),):
        raise InputError(f"spans are {spans.shape} and span_split {split.shape}, expected (S, 3) and (S,)")
    if not len(spans):
        return
    row, start, stop = spans.T
    if row.min() < 0 or row.max() >= len(lengths) or split.max() >= len(SPLITS):
        raise InputError(f"spans name rows {row.min()}..{row.max()} of {len(lengths)}, splits up to {split.max()}")
    bad = (start < 0) | (start > stop) | (stop > lengths[row])
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(f"span {spans[at].tolist()} lies outside its row of {lengths[row[at]]} tokens")


def check_pairs(pairs: NDArray[np.int64], rows: int) -> None:
    """Raises InputError where pairs (P, 2) are not two different rows of a store of so many rows."""
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(f"pairs are {pairs.shape}, expected (P, 2)")
    bad = (pairs < 0).any(axis=1) | (pairs >= rows).any(axis=1) | (pairs[:, 0] == pairs[:, 1])
    if bad.any():
        raise InputError(f"pair {pairs[np.argmax(bad)].tolist()} is not two different ones of {rows} rows")
