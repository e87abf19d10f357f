"""Stores made from stores: some rows of one, all rows of several, a table for a spreadsheet.

Tokens are copied in blocks of a shard, so that memory does not grow with the store. Spans go with their rows, and so do
pairs of which both rows are kept.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from collections.abc import Sequence as Several
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.durable import resources_named
from core.errors import ConfigError, InputError
from core.store import TokenStore, add_counts
from core.store.layout import ROW_CHUNK
from core.store.writer import TokenStoreWriter


def subset(store: TokenStore, rows: Several[int] | NDArray[np.int64], path: Path, *, overwrite: bool) -> TokenStore:
    """A new store of `rows` in that order, with their spans; the split's report says what it was derived from.

    Raises InputError for a row that does not exist or stands twice.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(store):
        raise InputError(f"rows {chosen.min()}..{chosen.max()}: the store has rows 0..{len(store) - 1}")
    if len(np.unique(chosen)) != len(chosen):
        raise InputError("a row stands twice in the subset; ids are unique within a store")
    with _writer_like(store, path, {"subset_of": store.fingerprint, "rows": len(chosen)}, overwrite) as writer:
        _copy(store, chosen, writer)
        new_row = np.full(len(store), -1)
        new_row[chosen] = np.arange(len(chosen))
        spans = store.spans()
        spans[:, 0] = new_row[spans[:, 0]] if len(spans) else spans[:, 0]
        kept = spans[:, 0] >= 0
        order = np.lexsort((spans[kept, 1], spans[kept, 0]))
        pairs = new_row[store.pairs]
        return writer.finish(
            spans=spans[kept][order],
            span_split=store.span_split[kept][order],
            counts={"in": len(chosen), "ok": len(chosen), "rejected": {}},
            split={**store.split, "derived": "subset"},
            pairs=pairs[(pairs >= 0).all(axis=1)],
        )


def merge(stores: Several[TokenStore], path: Path, *, overwrite: bool) -> TokenStore:
    """A new store of the rows of all `stores`, one store after another.

    Raises ConfigError where spec, tokenizer or domain differ, InputError where an id stands in two of them.
    """
    if not stores:
        raise ConfigError("merge needs at least one store")
    first = stores[0]
    for other in stores[1:]:
        for key in ("domain", "spec", "tokenizer"):
            if other.attrs[key] != first.attrs[key]:
                raise ConfigError(f"{other.path} and {first.path} cannot be merged: their {key} differs")
    derived = {"merge_of": [store.fingerprint for store in stores], "sources": [s.attrs["source"] for s in stores]}
    with _writer_like(first, path, derived, overwrite) as writer:
        spans, pairs = [], []
        for store in stores:
            spans.append(store.spans() + np.array([len(writer), 0, 0]))
            pairs.append(store.pairs + len(writer))
            _copy(store, np.arange(len(store)), writer)
        return writer.finish(
            spans=np.concatenate(spans),
            span_split=np.concatenate([store.span_split for store in stores]),
            counts=add_counts([store.counts for store in stores]),
            split={"rule": "merged", "of": [store.split for store in stores]},
            pairs=np.concatenate(pairs),
        )


def to_table(store: TokenStore, path: Path) -> Path:
    """One line a record: id, group, split, length, labels, and each field (symbols as text, real values as JSON).

    Raises ConfigError for another ending than .csv or .parquet, or where pyarrow is missing for the latter.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: expected a name that ends in .csv or .parquet")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ConfigError(
            f"{path}: Parquet needs pyarrow", hint="pip install pyarrow, or give a name that ends in .csv."
        )
    names = ["id", "group", "split", "length"]
    names += [f"label_{name}" for name in store.label_names] + list(store.spec.names)
    with resources_named(path):
        if path.suffix == ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, names)
                table.writeheader()
                table.writerows(_lines(store))
        else:
            import pandas

            pandas.DataFrame(_lines(store), columns=names).to_parquet(path)
    return path


def _lines(store: TokenStore) -> Iterator[dict[str, Any]]:
    splits = store.row_splits()
    for row, sequence in enumerate(store):
        line = {"id": sequence.id, "group": sequence.group or "", "length": len(sequence)}
        line["split"] = splits[row]
        line |= {f"label_{name}": value for name, value in sequence.labels.items()}
        for f in store.spec.fields:
            values = sequence.arrays[f.name]
            if f.vocabulary is None:
                line[f.name] = json.dumps(values.tolist())
            else:
                single = all(len(symbol) == 1 for symbol in f.vocabulary.symbols)
                line[f.name] = ("" if single else " ").join(f.vocabulary.decode(values))
        yield line


def _writer_like(store: TokenStore, path: Path, derived: dict[str, Any], overwrite: bool) -> TokenStoreWriter:
    return TokenStoreWriter(
        path,
        store.spec,
        store.tokenizer,
        domain=store.domain,
        source={**store.attrs["source"], "derived": derived},
        shard_tokens=store.shard_tokens,
        float64=store.float64,
        overwrite=overwrite,
    )


def _copy(store: TokenStore, rows: NDArray[np.int64], writer: TokenStoreWriter) -> None:
    """Copies rows, runs of neighbours at once, at most a shard of tokens and a chunk of rows at a time."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for run in np.split(rows, breaks):
        for block in np.split(run, range(ROW_CHUNK, len(run), ROW_CHUNK)):
            if not len(block):
                continue
            first, last = int(block[0]), int(block[-1]) + 1
            start, stop = int(store.offsets[first]), int(store.offsets[last])
            borders = [*range(start, stop, store.shard_tokens), stop]
            writer.append_rows(
                (store.read(a, b) for a, b in pairwise(borders)),
                np.diff(store.offsets[first : last + 1]),
                store.ids[first:last],
                store.groups[first:last] if store.groups else None,
                {name: store.labels(name)[first:last].tolist() for name in store.label_names},
            )
