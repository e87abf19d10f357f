"""Writes a token store: Sequences in, one shard of each array in memory, a whole folder or nothing out.

Everything is written beside the final place, fsynced, listed with its sha256 in the manifest and then renamed. Arrays
that only some records have (missing values, loss masks, groups) begin with the first record that has one; what came
before is filled. Knows nothing of where the records come from or how they are split.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Several
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from core.durable import fsync_path, json_bytes, manifest, new_folder, write_bytes_durably
from core.errors import ConfigError, InputError, RecordError
from core.sequence import Array, Sequence, TokenSpec
from core.store.columns import RowColumn, TokenColumn, array_pieces, label_kind
from core.store.layout import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    ROW_CHUNK,
    append_array,
    check_pairs,
    check_spans,
    create_array,
    manifest_bytes,
    shard_tokens_for,
    software,
)

if TYPE_CHECKING:
    from core.store import TokenStore


def refuse_other(path: Path) -> None:
    """Raises ConfigError where something lies at `path` that is no store, and so is not replaced."""
    if path.exists() and not (path / "zarr.json").is_file() and not (path / "parts").is_dir():
        raise ConfigError(f"{path} exists and is no Zarr store: it is not overwritten")


def complete(
    folder: Path,
    attrs: Mapping[str, Any],
    spans: NDArray[np.int64],
    span_split: NDArray[np.uint8],
    pairs: NDArray[np.int64] | None = None,
    *,
    ids: Several[str] | None = None,
    known: Mapping[str, Any] | None = None,
) -> None:
    """Writes into a folder of records what is known when all of them are: spans, pairs, attributes, the manifest.

    May be done again, where it was interrupted.

    Args:
        ids: of all rows, where they are not those that the records were written with.
        known: sha256 and size of the files that the records were written to.

    Raises InputError for pairs of rows that are not there.
    """
    group = zarr.open_group(folder, mode="r+", zarr_format=3, use_consolidated=False)
    rows = cast("zarr.Array[Any]", group["offsets"]).shape[0] - 1
    compared = np.zeros((0, 2), np.int64) if pairs is None else np.asarray(pairs, dtype=np.int64)
    check_pairs(compared, rows)
    json_bytes(attrs)  # what is not plain JSON is refused before anything is kept
    late: dict[str, tuple[NDArray[Any], int]] = {
        "spans": (spans.astype(np.int64), 3),
        "span_split": (span_split.astype(np.uint8), 0),
    }
    if len(compared):
        late["pairs"] = (compared, 2)
    for name in ("spans", "span_split", "pairs", *(["ids"] if ids is not None else [])):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, (values, width) in late.items():
        append_array(create_array(group, name, values.dtype, chunk=ROW_CHUNK, width=width), values)
    if ids is not None:
        column = RowColumn(group, "ids", str)
        column.extend(ids)
        column.close()
    group.update_attributes(dict(attrs))
    kept = {name: entry for name, entry in (known or {}).items() if name != "zarr.json"}
    if ids is not None:
        kept = {name: entry for name, entry in kept.items() if not name.startswith("ids/")}
    write_bytes_durably(folder / MANIFEST, manifest_bytes(manifest(folder, known=kept)))


def label_pieces(folder: Path, name: str) -> Iterator[Array]:
    """Values of a label of records that were left to be completed, a chunk of rows at a time."""
    group = zarr.open_group(folder, mode="r", zarr_format=3, use_consolidated=False)
    yield from array_pieces(cast("zarr.Array[Any]", group[f"labels/{name}"]))


class _AbandonedError(Exception):
    """The block was left without `finish`: what was written is removed."""


class TokenStoreWriter:
    """Use as a context manager; `finish` makes the store. A block that is left without it leaves nothing behind.

    Args:
        path: the store's folder-to-be.
        spec: the fields of a token.
        tokenizer: `core.tokenizer.describe` of the tokenizer that made the Sequences.
        domain: the domain's name.
        source: where the records come from: what, where, member sha256, licence, citation.
        shard_tokens: tokens a shard, a power of two; None: as many as fit into 4 MiB with all fields.
        float64: keep real fields in double precision.
        overwrite: replace a store that lies at `path`; anything else that lies there is left alone.

    Raises ConfigError where `path` exists and may not be replaced, ResourceError where the disk refuses.
    """

    def __init__(
        self,
        path: Path | str,
        spec: TokenSpec,
        tokenizer: Mapping[str, Any],
        *,
        domain: str,
        source: Mapping[str, Any],
        shard_tokens: int | None = None,
        float64: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path, self.spec, self.overwrite = Path(path), spec, overwrite
        real = np.dtype(np.float64 if float64 else np.float32)
        self._dtypes = {f.name: f.vocabulary.dtype if f.vocabulary else real for f in spec.fields}
        wide = sum(self._dtypes[f.name].itemsize * max(f.width, 1) for f in spec.fields)
        self.shard_tokens = shard_tokens_for(wide) if shard_tokens is None else shard_tokens
        if self.shard_tokens < 1 or self.shard_tokens & (self.shard_tokens - 1):
            raise ConfigError(f"shard_tokens={shard_tokens}: expected a power of two")
        self.attrs: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "domain": domain,
            "spec": spec.to_config(),
            "tokenizer": dict(tokenizer),
            "source": dict(source),
            "shard_tokens": self.shard_tokens,
            "software": software(),
        }
        self._offsets = array("q", [0])
        self._id_hashes = array("q")
        self._filled = 0
        self._synced: list[Future[None]] = []
        self._columns: dict[str, TokenColumn] = {}
        self._rows: dict[str, RowColumn] = {}
        self._label_kinds: dict[str, type | None] | None = None

    def __enter__(self) -> Self:
        if self.overwrite:
            refuse_other(self.path)
        with ExitStack() as stack:
            self._folder = stack.enter_context(new_folder(self.path, overwrite=self.overwrite))
            self._disk = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="fsync"))
            self._group = zarr.open_group(self._folder, mode="w", zarr_format=3)
            for f in self.spec.fields:
                self._columns[f"fields/{f.name}"] = TokenColumn(
                    self._group,
                    self._folder,
                    f"fields/{f.name}",
                    self._dtypes[f.name],
                    self.shard_tokens,
                    width=f.width,
                    vocabulary=f.vocabulary,
                )
            self._rows["ids"] = RowColumn(self._group, "ids", str)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            kind, error = _AbandonedError, _AbandonedError()
        self._stack.__exit__(kind, error, trace)  # empty after finish

    def __len__(self) -> int:
        """Rows so far."""
        return len(self._offsets) - 1

    @property
    def n_tokens(self) -> int:
        return self._offsets[-1]

    @property
    def label_kinds(self) -> dict[str, str]:
        """Label to str, bool, int or float."""
        return {name: kind.__name__ for name, kind in (self._label_kinds or {}).items() if kind}

    def label_pieces(self) -> dict[str, Iterator[Array]]:
        """Values of each label so far, a chunk of rows at a time."""
        return {name: self._rows[f"labels/{name}"].pieces() for name in self.label_kinds if len(self)}

    @property
    def row_lengths(self) -> NDArray[np.int64]:
        """(N,) tokens of each row so far."""
        offsets = np.array(self._offsets, dtype=np.int64)
        return offsets[1:] - offsets[:-1]

    def append(self, sequence: Sequence) -> int:
        """Adds one record and returns its row.

        Raises RecordError where it does not fit the spec or the records before it; the store is then as it was.
        """
        values = self._checked(sequence)
        self._check_row(sequence.id, sequence.labels)
        length = len(sequence)
        self._extend(values, length)
        labels = {name: (value,) for name, value in sequence.labels.items()}
        self._close_rows((length,), (sequence.id,), (sequence.group,), labels)
        return len(self._offsets) - 2

    def append_rows(
        self,
        tokens: Iterable[Sequence],
        lengths: NDArray[np.int64],
        ids: Several[str],
        groups: Several[str | None] | None = None,
        labels: Mapping[str, Several[Any]] | None = None,
    ) -> None:
        """Adds many records at once: their tokens end to end in blocks of any size, then one value a row.

        Raises RecordError where a block or a row does not fit, InputError where tokens and `lengths` disagree.
        """
        columns = dict(labels or {})
        if columns or self._label_kinds or not "".join(ids).isascii():
            for row, record in enumerate(ids):
                self._check_row(record, {name: values[row] for name, values in columns.items()})
        elif ids:
            self._check_row(ids[0], {})  # plain ids and no labels: all rows are alike
        start = self.n_tokens
        for block in tokens:
            self._extend(self._checked(block), len(block))
        added = self._written + self._filled - start
        if added != int(np.sum(lengths)):
            raise InputError(f"{added} tokens came for rows of {int(np.sum(lengths))} tokens in all")
        self._close_rows(lengths.tolist(), ids, groups or [None] * len(ids), columns)

    def finish(
        self,
        *,
        spans: NDArray[np.int64],
        span_split: NDArray[np.uint8],
        counts: Mapping[str, Any],
        split: Mapping[str, Any],
        report: Mapping[str, Any] | None = None,
        pairs: NDArray[np.int64] | None = None,
    ) -> TokenStore:
        """Writes what is left, makes the folder durable and gives it its name.

        Args:
            spans: (S, 3) sequence, start, stop, in tokens.
            span_split: (S,) index into SPLITS.
            counts: in, ok, rejected by reason.
            split: rule, seed, leakage and what else describes the split.
            report: the data report, for whoever describes the store later.
            pairs: (P, 2) rows that are to be compared, a reference and its alternative; None or (0, 2) for none.

        Raises InputError for spans outside their row, pairs of rows that are not there or two rows of one id,
        ResourceError where the disk refuses.
        """
        from core.store import TokenStore

        check_spans(spans, span_split, self.row_lengths)
        self._close_arrays()
        self._check_ids()
        facts = {"counts": dict(counts), "split": dict(split), "report": dict(report or {})}
        complete(self._folder, self.attrs | facts, spans, span_split, pairs)
        self._stack.close()
        return TokenStore.open(self.path)

    def leave(self) -> dict[str, Any]:
        """Keeps the records for `complete`, which somebody calls who knows how they are split.

        Returns each file's sha256 and size. Raises ResourceError where the disk refuses.
        """
        self._close_arrays()
        files = manifest(self._folder)
        self._stack.close()
        return files

    def _close_arrays(self) -> None:
        """Writes what is left of the records."""
        if self._filled:
            self._flush()
        for column in self._columns.values():
            column.close()
        for synced in self._synced:
            synced.result()
        for rows in self._rows.values():
            rows.close()
        offsets = np.array(self._offsets, dtype=np.int64)
        append_array(create_array(self._group, "offsets", offsets.dtype, chunk=ROW_CHUNK), offsets)

    @property
    def _written(self) -> int:
        """Tokens in shards that are on disk."""
        return next(iter(self._columns.values())).written

    def _checked(self, sequence: Sequence) -> dict[str, Array]:
        """The arrays of a sequence by their names in the store. Raises RecordError for what does not fit."""
        record = sequence.id

        def refuse(reason: str, message: str) -> RecordError:
            return RecordError(reason, f"record '{record}': {message}", record=record)

        if sequence.arrays.keys() != self._dtypes.keys():
            raise refuse("fields", f"its fields are {sorted(sequence.arrays)}, the store has {sorted(self._dtypes)}")
        values = {f"fields/{name}": a for name, a in sequence.arrays.items()}
        for name, a in sequence.observed.items():
            if name not in self._dtypes or a.shape != sequence.arrays[name].shape or a.dtype != bool:
                raise refuse("observed", f"observed/{name} is {a.dtype} {a.shape}, expected bool like its field")
            values[f"observed/{name}"] = a
        for name, a in sequence.loss_mask.items():
            if name not in self._dtypes or not self.spec[name].is_target or a.ndim != 1 or a.dtype != bool:
                raise refuse("loss_mask", f"loss_mask/{name} is {a.dtype} {a.shape}, expected bool (T,) of a target")
            values[f"loss_mask/{name}"] = a
        for name, a in sequence.token_labels.items():
            if a.dtype.kind not in "biuf" or a.ndim > 2 or not name.isidentifier():
                raise refuse("token_labels", f"token label '{name}' is {a.dtype} {a.shape}, expected (T,) numbers")
            values[f"token_labels/{name}"] = a
        late = {name: a for name, a in values.items() if name not in self._columns}
        for name, a in late.items():
            if name.startswith("token_labels/") and a.dtype.kind != "f" and self._offsets[-1]:
                raise refuse("token_labels", f"it has {name}, the records before do not")
        for name, column in self._columns.items():
            if name in values:
                if problem := column.misfit(values[name]):
                    raise refuse(name.partition("/")[0], f"{name} {problem}")
            elif column.default is None and len(sequence):
                raise refuse("token_labels", f"it has no {name}, the records before have")
        for f in self.spec.fields:
            if not f.is_symbol:
                missing = ~np.isfinite(sequence.arrays[f.name])
                missing &= sequence.observed.get(f.name, True)
                if missing.any():
                    at = int(np.argmax(missing.any(axis=1)))
                    raise refuse("not_finite", f"field '{f.name}' is not finite at token {at} and not marked missing")
        for name, a in late.items():
            self._begin_late(name, a)
        return values

    def _begin_late(self, name: str, like: Array) -> None:
        """An array that only later records have; the tokens before get what says "nothing special"."""
        default = True if like.dtype == bool else np.nan if like.dtype.kind == "f" else None
        if name.startswith("token_labels/") and like.dtype == bool:
            default = None
        width = like.shape[1] if like.ndim > 1 else 0
        column = TokenColumn(
            self._group, self._folder, name, like.dtype, self.shard_tokens, width=width, default=default
        )
        if default is not None:
            column.buffer[...] = default
            for _ in range(self._written // self.shard_tokens):
                column.flush(self.shard_tokens, self._offsets)
        self._columns[name] = column

    def _check_row(self, record: str, labels: Mapping[str, Any]) -> None:
        try:
            record.encode()
        except UnicodeEncodeError as error:
            raise RecordError("bad_id", f"record {record!r}: its id is not valid text", record=record) from error
        if not labels and not self._label_kinds:
            self._label_kinds = {}
            return
        kinds = {name: label_kind(value) for name, value in labels.items()}
        if None in kinds.values() or not all(name.isidentifier() for name in kinds):
            raise RecordError("labels", f"record '{record}': labels are numbers or text, got {labels}", record=record)
        if self._label_kinds is None:
            self._label_kinds = kinds
        if kinds.keys() != self._label_kinds.keys() or any(
            kind is not self._label_kinds[name] and not (kind is int and self._label_kinds[name] is float)
            for name, kind in kinds.items()
        ):
            before = {name: kind.__name__ for name, kind in self._label_kinds.items() if kind}
            raise RecordError(
                "labels",
                f"record '{record}': its labels are {dict(labels)}, the records before have {before}",
                record=record,
                hint="Every record has the same labels; write a missing number as NaN, missing text as ''.",
            )

    def _extend(self, values: Mapping[str, Array], length: int) -> None:
        """Copies tokens into the shard that is being filled, writing each that is full."""
        done = 0
        while done < length:
            take = min(length - done, self.shard_tokens - self._filled)
            for name, column in self._columns.items():
                piece = values[name][done : done + take] if name in values else column.default
                column.buffer[self._filled : self._filled + take] = piece
            done += take
            self._filled += take
            if self._filled == self.shard_tokens:
                self._flush()

    def _flush(self) -> None:
        """Writes the shard of every array; a thread waits for the disk meanwhile [a third of all time otherwise]."""
        for column in self._columns.values():
            path = column.flush(self._filled, self._offsets)
            self._synced.append(self._disk.submit(fsync_path, path))
        self._filled = 0

    def _close_rows(
        self,
        lengths: Several[int],
        ids: Several[str],
        groups: Several[str | None],
        labels: Mapping[str, Several[Any]],
    ) -> None:
        row = len(self)
        if "group" not in self._rows and any(groups):
            self._rows["group"] = RowColumn(self._group, "group", str, blank_rows=row)
        if "group" in self._rows:
            self._rows["group"].extend([group or "" for group in groups])
        for name, values in labels.items():
            if f"labels/{name}" not in self._rows:
                kind = (self._label_kinds or {}).get(name) or str
                self._rows[f"labels/{name}"] = RowColumn(self._group, f"labels/{name}", kind)
            self._rows[f"labels/{name}"].extend(values)
        self._rows["ids"].extend(ids)
        self._id_hashes.extend(map(hash, ids))
        self._offsets.extend(islice(accumulate(lengths, initial=self._offsets[-1]), 1, None))

    def _check_ids(self) -> None:
        """Raises InputError where two rows have one id; compares hashes first, so that 100 M ids fit in memory."""
        hashes = np.array(self._id_hashes, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        for at in np.flatnonzero(np.diff(hashes[order]) == 0):
            one, other = (str(self._rows["ids"].array[int(row)]) for row in order[at : at + 2])
            if one == other:
                raise InputError(f"rows {order[at]} and {order[at + 1]} are both called '{one}'; ids are unique")
