"""The arrays of a token store while they are written: one entry a token, or one entry a row.

A column holds the part of its array that does not yet fill a file, and says why a value does not fit. It knows the
layout of the array on disk, not what its neighbours hold.
"""

from __future__ import annotations

import numbers
from array import array
from collections.abc import Iterator
from collections.abc import Sequence as Several
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from core.errors import InputError
from core.sequence import Array
from core.store.layout import CHUNKS_PER_SHARD, ROW_CHUNK, append_array, create_array
from core.store.shard import shard_bytes
from core.vocabulary import MASK, Vocabulary


class TokenColumn:
    """One array with an entry a token, and the shard of it that is being filled.

    Args:
        folder: of the group, on this machine.
        width: length of the second axis; 0 where there is none.
        vocabulary: set where the entries are ids of symbols.
        default: what a record without this array has; None where every record must have it.
    """

    def __init__(
        self,
        group: zarr.Group,
        folder: Path,
        name: str,
        dtype: np.dtype[Any],
        shard: int,
        *,
        width: int = 0,
        vocabulary: Vocabulary | None = None,
        default: float | bool | None = None,
    ) -> None:
        self.name, self.folder, self.vocabulary, self.default = name, folder, vocabulary, default
        self.array = create_array(group, name, dtype, chunk=max(1, shard // CHUNKS_PER_SHARD), shard=shard, width=width)
        self.buffer = np.empty((shard, width) if width else (shard,), dtype)
        self.written = 0

    def misfit(self, values: Array) -> str:
        """Why `values` (T, ...) cannot be kept without a change; empty where they can."""
        dtype, tail = self.buffer.dtype, self.buffer.shape[1:]
        if values.shape[1:] != tail:
            return f"is of shape {values.shape}, expected {('T', *tail)}"
        if values.dtype == dtype:
            return ""  # ids of the vocabulary's own type are checked a shard at a time
        if self.vocabulary is not None and values.dtype.kind in "iu":
            within = not len(values) or MASK <= values.min() <= values.max() < len(self.vocabulary)
            return "" if within else f"has ids outside {MASK}..{len(self.vocabulary) - 1}"
        return "" if np.can_cast(values.dtype, dtype) else f"is of {values.dtype}, the store keeps {dtype}"

    def flush(self, filled: int, offsets: array[int]) -> Path:
        """Writes the first `filled` entries as the next shard and returns its file.

        Raises InputError for an id outside the vocabulary.
        """
        values = self.buffer[:filled]
        if self.vocabulary is not None and filled:
            size = len(self.vocabulary)
            if values.min() < MASK or values.max() >= size:
                at = int(np.argmax((values < MASK) | (values >= size)))
                token = self.written + at
                row = int(np.searchsorted(offsets, token, side="right")) - 1
                raise InputError(
                    f"row {row}: {self.name} holds id {values[at]} at token {token - offsets[row]}; "
                    f"a store holds ids from {MASK} (mask) to {size - 1}, the last of the vocabulary"
                )
        if self.written + filled > self.array.shape[0]:  # each change of shape rewrites the metadata: 1 ms a shard
            self.array.resize((2 * self.array.shape[0] + len(self.buffer), *self.array.shape[1:]))
        path = self.folder / f"{self.name}/c/{self.written // len(self.buffer)}{'/0' * (values.ndim - 1)}"
        if filled == len(self.buffer):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(shard_bytes(values, self.array.chunks[0]))
        else:
            self.array[self.written : self.written + filled] = values
        self.written += filled
        return path

    def close(self) -> None:
        """Gives the array its length. To be called once, after the last shard."""
        self.array.resize((self.written, *self.array.shape[1:]))


class RowColumn:
    """One array with an entry a row, written in chunks of ROW_CHUNK rows; `blank_rows` rows without a value first."""

    def __init__(self, group: zarr.Group, name: str, kind: type, *, blank_rows: int = 0) -> None:
        self.kind = kind
        self.array = create_array(
            group, name, str if kind is str else np.dtype(np.int64 if kind is int else kind), chunk=ROW_CHUNK
        )
        self.values: list[Any] = []
        for start in range(0, blank_rows, ROW_CHUNK):
            self.extend([kind()] * min(ROW_CHUNK, blank_rows - start))

    def extend(self, values: Several[Any]) -> None:
        self.values.extend(values)
        while len(self.values) >= ROW_CHUNK:
            self._write(self.values[:ROW_CHUNK])
            del self.values[:ROW_CHUNK]

    def close(self) -> None:
        if self.values:
            self._write(self.values)
            self.values = []

    def pieces(self) -> Iterator[Array]:
        """The values so far, a chunk of rows at a time."""
        yield from array_pieces(self.array)
        if self.values:
            yield self._as_array(self.values)

    def _write(self, values: list[Any]) -> None:
        append_array(self.array, self._as_array(values))

    def _as_array(self, values: list[Any]) -> Array:
        return np.array(values, dtype=np.dtypes.StringDType() if self.kind is str else self.kind)


def array_pieces(array: zarr.Array[Any]) -> Iterator[Array]:
    """The entries of an array with an entry a row, a chunk at a time."""
    for start in range(0, array.shape[0], ROW_CHUNK):
        yield np.asarray(array[start : start + ROW_CHUNK])


def label_kind(value: Any) -> type | None:
    """str, bool, int or float; None for what cannot be a label."""
    if isinstance(value, str):
        return str
    if isinstance(value, bool | np.bool_):
        return bool
    if isinstance(value, numbers.Integral):
        return int if -(2**63) <= int(value) < 2**63 else None
    return float if isinstance(value, numbers.Real) else None
