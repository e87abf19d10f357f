"""TokenStore: many Sequences in a Zarr group, read by token range, by row or by shard.

What is read is either what was written or an IntegrityError that names the file and the rows it costs: each chunk's
checksum is verified as it is read, a missing file is not zeros, metadata is hashed when a store is opened. A folder of
`parts/0000.zarr ...` reads as one store. Knows nothing of records, tokenizer classes or models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Several
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from core.durable import json_bytes
from core.errors import ConfigError, IntegrityError, nearest, nearest_path
from core.places import place
from core.sequence import Array, Sequence, TokenSpec
from core.store.layout import CHUNKS_PER_SHARD, SPLITS, TOKEN_FOLDERS
from core.store.part import READERS, TokenPart, open_part
from core.store.writer import TokenStoreWriter

__all__ = ["READERS", "SPLITS", "TokenStore", "TokenStoreWriter"]


class _Texts(Several[str]):
    """Strings of all rows, read in chunks as they are asked for."""

    def __init__(self, store: TokenStore, name: str) -> None:
        self._store, self._name = store, name
        self._chunk: tuple[int, int, list[str]] = (0, 0, [])

    def __len__(self) -> int:
        return len(self._store)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        start, stop, texts = self._chunk
        if not start <= row < stop:
            start, stop, texts = self._chunk = self._store.text_chunk(self._name, row)
        return texts[row - start]


class TokenStore:
    """Made by `TokenStoreWriter.finish` or `TokenStore.open`.

    A *row* is one Sequence; a *flat position* counts tokens over all rows; shard i holds the flat positions
    `shard_bounds[i] : shard_bounds[i + 1]`, whole rows or parts of rows.
    """

    def __init__(self, path: Path, parts: list[TokenPart]) -> None:
        parts = [part for part in parts if len(part)] or parts[:1]  # a worker that found no record adds nothing
        self.path, self._parts = path, parts
        first = parts[0]
        self.attrs: dict[str, Any] = first.attrs
        self.spec: TokenSpec = first.spec
        self.shard_tokens = first.shard_tokens
        self._rows = np.cumsum([0] + [len(part) for part in parts])
        self._tokens = np.cumsum([0] + [part.n_tokens for part in parts])
        for part in parts:
            for key in ("spec", "domain", "tokenizer", "shard_tokens"):
                if part.attrs[key] != first.attrs[key]:
                    raise ConfigError(f"{part.path} and {first.path} differ in their {key}: they are not one store")
            if part.label_names != first.label_names:
                raise ConfigError(f"{part.path} and {first.path} differ in their labels: they are not one store")
        firsts = [
            start + np.arange(0, part.n_tokens, self.shard_tokens)
            for part, start in zip(parts, self._tokens, strict=False)
        ]
        self.shard_bounds: NDArray[np.int64] = np.concatenate([*firsts, self._tokens[-1:]])
        self._block: tuple[int, int, Sequence | None] = (0, 0, None)
        self._labels: dict[str, Array] = {}

    @classmethod
    def open(cls, path: Path | str, *, verify: Literal["metadata", "quick", "manifest"] = "quick") -> TokenStore:
        """Opens a store, or a folder of `parts/`.

        Args:
            verify: "quick": every file is there with its size and the metadata is unchanged (what is read later is
                checked as it is read); "metadata": a file that is missing or truncated is told when it is read;
                "manifest": every file's sha256.

        Raises IntegrityError naming what is missing, damaged or of an unknown format.
        """
        path = place(path)
        if not path.is_dir():
            raise ConfigError(
                f"there is no token store at {path}{nearest_path(path)}", hint="Make one with `foretell prepare`."
            )
        folders = sorted((path / "parts").glob("*.zarr")) if (path / "parts").is_dir() else [path]
        if not folders:
            raise IntegrityError(f"{path / 'parts'} holds no part of a token store (0000.zarr, ...)")
        return cls(path, [open_part(folder, verify=verify) for folder in folders])

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenStore.open, (self.path,)  # a worker process opens it anew: nothing of Zarr crosses over

    def __len__(self) -> int:
        return int(self._rows[-1])

    @property
    def n_tokens(self) -> int:
        return int(self._tokens[-1])

    @property
    def n_shards(self) -> int:
        return len(self.shard_bounds) - 1

    @property
    def domain(self) -> str:
        return str(self.attrs["domain"])

    @property
    def tokenizer(self) -> dict[str, Any]:
        """The tokenizer's description: kind, version, config, fingerprint."""
        return dict(self.attrs["tokenizer"])

    @property
    def source(self) -> dict[str, Any]:
        """Where the records came from: what, where, member sha256, licence, citation."""
        return dict(self.attrs["source"])

    @property
    def name(self) -> str:
        """What tables call its data: the named data set that it was prepared from, else the folder."""
        return str(self.source.get("name") or place(self.path).stem)

    @property
    def float64(self) -> bool:
        """Whether real fields are kept in double precision."""
        return any(self._parts[0].array(f"fields/{f.name}").dtype == np.float64 for f in self.spec.fields)

    @property
    def split(self) -> dict[str, Any]:
        """Rule, seed, leakage of the split; of the first part where there are several."""
        return dict(self.attrs["split"])

    @property
    def report(self) -> dict[str, Any]:
        """The data report of `foretell prepare`; empty where the store was made otherwise."""
        return dict(self.attrs["report"])

    @cached_property
    def counts(self) -> dict[str, Any]:
        """Records in, ok, rejected by reason; summed over parts."""
        return add_counts([part.attrs["counts"] for part in self._parts])

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(N + 1,) flat position where each row starts."""
        pieces = [part.offsets[:-1] + start for part, start in zip(self._parts, self._tokens, strict=False)]
        return np.concatenate([*pieces, self._tokens[-1:]])

    @cached_property
    def ids(self) -> Several[str]:
        return _Texts(self, "ids")

    @cached_property
    def groups(self) -> Several[str] | None:
        """The group of each row, empty text for none; None where no row has one."""
        return _Texts(self, "group") if any("group" in part for part in self._parts) else None

    @property
    def label_names(self) -> tuple[str, ...]:
        return self._parts[0].label_names

    def labels(self, name: str) -> Array:
        """(N,) values of one label. Raises ConfigError where there is none of that name."""
        if name not in self.label_names:
            raise ConfigError(f"{self.path} has no label '{name}'{nearest(name, self.label_names)}")
        if name not in self._labels:
            self._labels[name] = np.concatenate([part.read(f"labels/{name}") for part in self._parts])
        return self._labels[name]

    def spans(self, split: str | None = None) -> NDArray[np.int64]:
        """(S, 3) sequence, start, stop in tokens of a row; of one of SPLITS or of all."""
        if split is None:
            return self._spans.copy()
        if split not in SPLITS:
            raise ConfigError(f"split={split!r}: expected one of {', '.join(SPLITS)}")
        return self._spans[self.span_split == SPLITS.index(split)]

    @cached_property
    def _spans(self) -> NDArray[np.int64]:
        spans = [part.read("spans") for part in self._parts]
        for part_spans, first in zip(spans, self._rows, strict=False):
            part_spans[:, 0] += first
        return np.concatenate(spans)

    @cached_property
    def span_split(self) -> NDArray[np.uint8]:
        """(S,) index into SPLITS of each span."""
        return np.concatenate([part.read("span_split") for part in self._parts])

    def row_splits(self) -> list[str]:
        """(N,) the part of each row, one of SPLITS; those of a record that is cut joined by +; empty where none is."""
        parts: list[list[str]] = [[] for _ in range(len(self))]
        for row, split in zip(self._spans[:, 0].tolist(), self.span_split.tolist(), strict=True):
            parts[row].append(SPLITS[split])
        return ["+".join(dict.fromkeys(names)) for names in parts]

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """(P, 2) rows that are to be compared, a reference and its alternative; (0, 2) where there are none."""
        pairs = [
            part.read("pairs") + first if "pairs" in part else np.zeros((0, 2), np.int64)
            for part, first in zip(self._parts, self._rows, strict=False)
        ]
        return np.concatenate(pairs)

    def read(self, start: int, stop: int) -> Sequence:
        """Flat positions [start, stop): fields, and what of observed, loss_mask and token_labels the store has.

        Raises IntegrityError naming the damaged or missing file and the rows it costs.
        """
        if not 0 <= start <= stop <= self.n_tokens:
            raise IndexError(f"tokens {start}..{stop} of {self.n_tokens}")
        pieces: dict[str, list[Array]] = {name: [] for name in self._token_names}
        for part, first in zip(self._parts, self._tokens, strict=False):
            a, b = max(start - int(first), 0), min(stop - int(first), part.n_tokens)
            for name, found in pieces.items():
                if a < b:
                    found.append(part.read(name, a, b) if name in part else self._default(name, b - a))
        groups: dict[str, dict[str, Array]] = {folder: {} for folder in TOKEN_FOLDERS}
        for name, found in pieces.items():
            folder, _, key = name.partition("/")
            groups[folder][key] = found[0] if len(found) == 1 else np.concatenate([*found, self._default(name, 0)])
        return Sequence(
            groups["fields"],
            observed=groups["observed"],
            loss_mask=groups["loss_mask"],
            token_labels=groups["token_labels"],
        )

    def __getitem__(self, row: int) -> Sequence:
        """One record with its id, group and labels; rows in order cost one read a chunk."""
        row = range(len(self))[row]
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        first, last, block = self._block
        if block is None or not first <= start <= stop <= last:
            size = max(1, self.shard_tokens // CHUNKS_PER_SHARD)
            first, last = start // size * size, min(-(-stop // size) * size, self.n_tokens)
            block = self.read(first, last)
            self._block = (first, last, block)
        piece = block.slice(start - first, stop - first)
        return Sequence(
            {name: a.copy() for name, a in piece.arrays.items()},
            self.ids[row],
            {name: a.copy() for name, a in piece.observed.items()},
            {name: a.copy() for name, a in piece.loss_mask.items()},
            (self.groups[row] or None) if self.groups else None,
            {name: self.labels(name)[row : row + 1].tolist()[0] for name in self.label_names},
            {name: a.copy() for name, a in piece.token_labels.items()},
        )

    def __iter__(self) -> Iterator[Sequence]:
        return (self[row] for row in range(len(self)))

    def rows_of(self, start: int, stop: int) -> range:
        """The rows that have a token in flat positions [start, stop)."""
        first = int(np.searchsorted(self.offsets, start, side="right")) - 1
        return range(max(first, 0), int(np.searchsorted(self.offsets, stop, side="left")))

    def shard_digest(self, field: str, shard: int) -> str:
        """sha256 of the file that holds shard `shard` of a field, from the manifest."""
        part, local = self._shard(shard)
        return str(part.files[f"fields/{field}/c/{local}" + "/0" * (not self.spec[field].is_symbol)]["sha256"])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the manifests: equal for equal data, for plans and run configs."""
        return hashlib.sha256(json_bytes([part.files for part in self._parts])).hexdigest()

    def verify(self) -> None:
        """Reads every file and compares its sha256.

        Raises IntegrityError that names each damaged or missing file (the first ten) and the rows it costs.
        """
        damaged = [
            f"{part.path / file} is {problem}: {part.cost(file)}"
            for part in self._parts
            for file in part.files
            if (problem := part.damage(file))
        ]
        if damaged:
            more = [f"... and {len(damaged) - 10} more"] if len(damaged) > 10 else []
            raise IntegrityError("\n".join(damaged[:10] + more), hint="Copy the store again or prepare it anew.")

    def subset(
        self, rows: Several[int] | NDArray[np.int64], path: Path | str, *, overwrite: bool = False
    ) -> TokenStore:
        """A new store of `rows`, in that order. See `core.store.derive.subset`."""
        from core.store.derive import subset

        return subset(self, rows, Path(path), overwrite=overwrite)

    @staticmethod
    def merge(stores: Several[TokenStore], path: Path | str, *, overwrite: bool = False) -> TokenStore:
        """A new store of the rows of all `stores`. See `core.store.derive.merge`."""
        from core.store.derive import merge

        return merge(stores, Path(path), overwrite=overwrite)

    def to_table(self, path: Path | str) -> Path:
        """One line a record as .csv or .parquet. See `core.store.derive.to_table`."""
        from core.store.derive import to_table

        return to_table(self, Path(path))

    def text_chunk(self, name: str, row: int) -> tuple[int, int, list[str]]:
        """The chunk of a text array that holds `row`: its first row, the row after its last, the texts."""
        which = int(np.searchsorted(self._rows, row, side="right")) - 1
        part, first = self._parts[which], int(self._rows[which])
        if name not in part:
            return first, first + len(part), [""] * len(part)
        size = part.array(name).chunks[0]
        start = (row - first) // size * size
        texts = [str(text) for text in part.read(name, start, min(start + size, len(part)))]
        return first + start, first + start + len(texts), texts

    @cached_property
    def _token_names(self) -> list[str]:
        return list(dict.fromkeys(name for part in self._parts for name in part.token_names))

    def _default(self, name: str, length: int) -> Array:
        """What records without an optional array have there: observed, counted, a token label that is not known."""
        like = next(part.array(name) for part in self._parts if name in part)
        shape = (length, *like.shape[1:])
        if name.startswith("token_labels/") and length:
            if like.dtype.kind != "f":
                raise ConfigError(f"{self.path}: some of its parts have {name}, some do not")
            return np.full(shape, np.nan, like.dtype)
        return np.ones(shape, like.dtype)

    def _shard(self, shard: int) -> tuple[TokenPart, int]:
        start = self.shard_bounds[range(self.n_shards)[shard]]
        which = int(np.searchsorted(self._tokens, start, side="right")) - 1
        return self._parts[which], int(start - self._tokens[which]) // self.shard_tokens


def add_counts(counts: Several[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of numbers under equal keys, also inside nested mappings; the last of anything else."""
    total: dict[str, Any] = {}
    for one in counts:
        for key, value in one.items():
            if isinstance(value, Mapping):
                total[key] = add_counts([total.get(key, {}), value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total[key] = total.get(key, 0) + value
            else:
                total[key] = value
    return total
