"""Rows of a Zarr group of one's own, or of one that xarray wrote: an array of texts or letters, values end to end with
offsets, or series of numbers. Nothing is copied: a block reads its rows, makes records of them and encodes those.

When a prediction is planned every file of these arrays is hashed; a process compares a file's sha256 before it first
reads from it, and again where its size or time has changed. Zarr gives what was never written as fill values, so does
this, with a warning: a chunk that got lost before looks the same. Knows no domain: what a record is says the `Reader`.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from core.durable import file_digest, json_bytes
from core.errors import ConfigError, InputError, IntegrityError, RecordError
from core.places import zarr_store
from core.prediction.input import ArrayRow, EncodedRows, Reader, Refusal
from core.prediction.input.array_group import Named, dtype_kind, find_arrays, open_group
from core.sequence import Sequence, TokenSpec
from core.tokenizer import describe

log = logging.getLogger(__name__)
_SAMPLED = 1000
"""Rows whose mean length stands for all, where the array does not say how long they are."""
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_SHOWN = 3
"""Missing chunks that a warning lists."""
_UNKNOWN = 256
"""Tokens of a row where these cannot be read."""


def hash_arrays(path: Path, names: list[str]) -> dict[str, str]:
    """sha256 of every file of these arrays of the group at `path`, by its name in it."""
    files: dict[str, Path] = {}
    for name in names:
        folder = path / name if name else path
        found = [file for file in folder.rglob("*") if file.is_file()]
        files |= {file.relative_to(path).as_posix(): file for file in found}
    with ThreadPoolExecutor(8, thread_name_prefix="hash") as threads:
        return dict(zip(sorted(files), threads.map(file_digest, [files[n] for n in sorted(files)]), strict=True))


class ArrayInput:
    """Rows of arrays, open in this process.

    Args:
        path: the Zarr group, or the array itself.
        keys: which arrays mean what: array, or values and offsets; ids, time; further keys are for the records.
        reader: makes and encodes records.
        files: sha256 by name, as they were when the prediction was planned; None hashes them now.

    Raises ConfigError where the keys do not fit what is there, IntegrityError where nothing can be read.
    """

    pairs: NDArray[np.int64] = np.zeros((0, 2), np.int64)

    def __init__(
        self, path: Path, keys: Mapping[str, Any], reader: Reader, files: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.reader = path, reader
        self._group = open_group(path, zarr_store(path))
        self.named: Named = find_arrays(path, self._group, keys, values=reader.text is None)
        if reader.text is None and reader.values is None:
            raise ConfigError(f"{path}: no rows of an array are records for tokenizer {reader.tokenizer.kind}")
        self.files = dict(files) if files is not None else hash_arrays(path, self.named.used)
        self._seen: dict[str, tuple[int, float]] = {}
        """Size and time of the files that were found unchanged."""
        self._arrays: dict[str, zarr.Array[Any]] = {}
        if files is None:
            for line in self.unwritten():
                log.warning(line)

    @property
    def spec(self) -> TokenSpec:
        return self.reader.tokenizer.spec

    @cached_property
    def tokenizer(self) -> Mapping[str, Any]:
        return describe(self.reader.tokenizer)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "kind": "arrays",
            "arrays": self.named.to_config(),
            "options": dict(self.named.options),
            "fingerprint": hashlib.sha256(json_bytes(self.files)).hexdigest(),
            "rows": len(self),
        }

    def unwritten(self) -> list[str]:
        """A line for each array that lacks chunks: which, and that they are read as fill values, as Zarr has it."""
        lines = []
        for name in self.named.used:
            array, folder = self._array(name), f"{name}/" if name else ""
            sizes = array.shards or array.chunks
            counts = [-(-length // size) for size, length in zip(sizes, array.shape, strict=True)]
            there = sum(file.startswith(folder) and not file.endswith(_METADATA) for file in self.files)
            if there >= math.prod(counts):
                continue
            chunks = itertools.product(*map(range, counts))
            missing = [c for c in chunks if folder + array.metadata.encode_chunk_key(c) not in self.files]
            if missing and sizes:
                begins = (c[0] * sizes[0] for c in missing[:_SHOWN])
                where = ", ".join(f"{begin:,} to {min(begin + sizes[0], array.shape[0]) - 1:,}" for begin in begins)
                lines.append(
                    f"{self.path / name}: {len(missing):,} of {math.prod(counts):,} chunks are not there and are read "
                    f"as the fill value {array.fill_value}: entries {where}{' ...' if len(missing) > _SHOWN else ''}"
                )
        return lines

    @property
    def row_tokens(self) -> int:
        """Letters or steps of a row, which no tokenizer makes many more tokens of."""
        shape = self._array(self.named.values).shape
        if self.named.offsets:
            return int(shape[0]) // max(1, len(self))
        if self.named.time_axis is not None:
            return int(shape[self.named.time_axis])
        try:
            sample = self._texts(0, min(_SAMPLED, len(self)))
        except IntegrityError:  # which its blocks will tell
            return _UNKNOWN
        return sum(map(len, sample)) // max(1, len(sample))

    def __len__(self) -> int:
        if self.named.offsets:
            return len(self._offsets) - 1
        axis = self.named.row_axis
        return 1 if axis is None else int(self._array(self.named.values).shape[axis])

    def read(self, start: int, stop: int) -> EncodedRows:
        ids = self._ids(start, stop)
        encode = self._encoded_series if self.reader.text is None else self._encoded_texts
        pieces: list[Sequence] = []
        lengths, refused = [], {}
        for i, found in enumerate(encode(start, stop, ids)):
            if isinstance(found, Refusal):
                refused[i] = found
            else:
                pieces.append(found)
            lengths.append(0 if isinstance(found, Refusal) else len(found))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return EncodedRows(one_sequence(pieces, self.spec), offsets, ids, refused)

    def _encoded_texts(self, start: int, stop: int, ids: list[str]) -> Iterator[Sequence | Refusal]:
        make = self.reader.text
        assert make is not None
        for identity, text in zip(ids, self._texts(start, stop), strict=True):
            if isinstance(text, bytes):
                yield Refusal("bad_text", f"'{identity}': its bytes are no text: {text[:20]!r}")
            elif not text:
                yield Refusal("too_short", f"'{identity}' is empty")
            else:
                yield self._encoded(make, ArrayRow(identity, text))

    def _encoded_series(self, start: int, stop: int, ids: list[str]) -> Iterator[Sequence | Refusal]:
        make = self.reader.values
        assert make is not None
        for identity, values in zip(ids, self._series(start, stop), strict=True):
            row = ArrayRow(identity, values, self._channels, self._stamps, self._stamp_attributes)
            yield self._encoded(make, row)

    def _encoded(self, make: Any, row: ArrayRow) -> Sequence | Refusal:
        try:
            return self.reader.tokenizer.encode(make(row, self.reader.tokenizer, **self.named.options))
        except RecordError as error:
            return Refusal(error.reason, error.message)
        except InputError as error:
            return Refusal("refused", error.message)

    def _texts(self, start: int, stop: int) -> list[str | bytes]:
        """Rows [start, stop) as text; bytes where they are none."""
        if self.named.offsets:
            bounds = self._offsets[start : stop + 1]
            letters = self._bytes(self.named.values, int(bounds[0]), int(bounds[-1]))
            return [_text(letters[a - bounds[0] : b - bounds[0]]) for a, b in itertools.pairwise(bounds.tolist())]
        array = self._array(self.named.values)
        if array.ndim == 2:
            width = array.shape[1]
            letters = self._bytes(self.named.values, start, stop)
            return [_text(letters[i * width : (i + 1) * width].rstrip(b"\0")) for i in range(stop - start)]
        found = self._take(self.named.values, 0, start, stop)
        if dtype_kind(array) == "bytes":
            return [_text(bytes(value).rstrip(b"\0")) for value in found.tolist()]
        return [str(value) for value in found.tolist()]

    def _bytes(self, name: str, start: int, stop: int) -> bytes:
        return np.ascontiguousarray(self._take(name, 0, start, stop)).tobytes()

    def _series(self, start: int, stop: int) -> Iterator[NDArray[np.float64]]:
        """Each of rows [start, stop) as (T, C), NaN where missing."""
        named = self.named
        if named.offsets:
            bounds = self._offsets[start : stop + 1]
            flat = self._numbers(self._take(named.values, 0, int(bounds[0]), int(bounds[-1])))
            for a, b in itertools.pairwise((bounds - bounds[0]).tolist()):
                yield flat[a:b] if flat.ndim > 1 else flat[a:b, None]
            return
        axis = named.row_axis
        taken = self._take(named.values, axis or 0, start, stop) if axis is not None else self._whole(named.values)
        order = [a for a in (axis, named.time_axis, named.channel_axis) if a is not None]
        block = self._numbers(taken.transpose(order))
        block = block[None] if axis is None else block
        yield from block if named.channel_axis is not None else block[..., None]

    def _numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """As xarray would: the fill value is missing, packed numbers are unpacked."""
        said = self._array(self.named.values).attrs
        found = values.astype(np.float64)
        for name in ("_FillValue", "missing_value"):
            if isinstance(said.get(name), int | float):
                found[values == said[name]] = np.nan
        return found * float(said.get("scale_factor", 1)) + float(said.get("add_offset", 0))  # type: ignore[arg-type]

    def _ids(self, start: int, stop: int) -> list[str]:
        """Of the array of ids or the rows' coordinate; else their numbers."""
        if self.named.ids is None:
            return [str(row) for row in range(start, stop)]
        found = self._take(self.named.ids, 0, start, stop)
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in found.tolist()]

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        assert self.named.offsets is not None
        offsets = np.asarray(self._whole(self.named.offsets)).astype(np.int64)
        length = self._array(self.named.values).shape[0]
        if not len(offsets) or offsets[0] < 0 or (np.diff(offsets) < 0).any() or offsets[-1] > length:
            raise InputError(
                f"{self.path}: '{self.named.offsets}' are no offsets into the {length:,} entries of "
                f"'{self.named.values}': expected (N + 1,) rising from 0",
            )
        return offsets

    @cached_property
    def _channels(self) -> tuple[str, ...]:
        return () if self.named.channels is None else tuple(str(v) for v in self._whole(self.named.channels).tolist())

    @cached_property
    def _stamps(self) -> NDArray[Any] | None:
        return None if self.named.time is None else self._whole(self.named.time)

    @cached_property
    def _stamp_attributes(self) -> dict[str, Any]:
        return {} if self.named.time is None else dict(self._array(self.named.time).attrs)

    def _array(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            found = self._group[name] if isinstance(self._group, zarr.Group) else self._group
            assert isinstance(found, zarr.Array)
            self._arrays[name] = found
        return self._arrays[name]

    def _whole(self, name: str) -> NDArray[Any]:
        return self._take(name, 0, 0, self._array(name).shape[0])

    def _take(self, name: str, axis: int, start: int, stop: int) -> NDArray[Any]:
        """Entries [start, stop) along one axis. Raises IntegrityError."""
        array = self._array(name)
        self._check(name, array, axis, start, stop)
        where = (slice(None),) * axis + (slice(start, stop),)
        try:
            return np.asarray(array[where])
        except (ValueError, RuntimeError, OSError, TypeError, KeyError) as error:
            raise IntegrityError(
                f"{self.path / name}: entries {start}..{stop - 1} cannot be read: {error}",
                hint="Copy the input again, or make it anew.",
            ) from error

    def _check(self, name: str, array: zarr.Array[Any], axis: int, start: int, stop: int) -> None:
        """Compares the files of these entries with what they were when the prediction was planned."""
        sizes = array.shards or array.chunks
        numbers = [
            range(start // size, -(-stop // size)) if a == axis else range(-(-length // size))
            for a, (size, length) in enumerate(zip(sizes, array.shape, strict=True))
        ]
        folder = f"{name}/" if name else ""
        for chunk in itertools.product(*numbers):
            file = folder + array.metadata.encode_chunk_key(chunk)
            path = self.path / file
            signs = _signs(path)
            if signs is not None and self._seen.get(file) == signs:
                continue
            here = None if signs is None else file_digest(path)
            if here != self.files.get(file):
                problem = "missing" if here is None else "not what it was when the prediction was planned"
                raise IntegrityError(f"{path} is {problem}", hint="Restore the input, or choose another output.")
            if signs is not None:
                self._seen[file] = signs


def one_sequence(pieces: list[Sequence], spec: TokenSpec) -> Sequence:
    """Records end to end, in the types that a token store has; none where there are no pieces."""
    from core.engine import empty_sequence
    from core.pieces import end_to_end

    bare = [Sequence(p.arrays, observed=p.observed, loss_mask=p.loss_mask) for p in pieces]
    joined = end_to_end(bare) if bare else empty_sequence(spec)
    arrays = {
        f.name: joined.arrays[f.name].astype(f.vocabulary.dtype if f.vocabulary else np.float32, copy=False)
        for f in spec.fields
    }
    return Sequence(arrays, observed=joined.observed, loss_mask=joined.loss_mask)


def _signs(path: Path) -> tuple[int, float] | None:
    """Size and time of a file; None where there is none. At a URL the time is not known."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime


def _text(letters: bytes) -> str | bytes:
    try:
        return letters.decode()
    except UnicodeDecodeError:
        return letters
