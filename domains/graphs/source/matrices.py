"""Graphs as adjacency matrices: NumPy .npz (dense, stacks of dense, or the parts of a scipy sparse one), Matrix Market.

An entry that is not 0 is an edge. A matrix of an undirected graph must be symmetric: what is not names its first entry.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from domains.graphs.graph import Graph
from domains.graphs.source.files import Reader

Item = Graph | RecordError
_PARTS = {"data", "indices", "indptr", "shape"}
_TRIPLES = {"row", "col", "data", "shape"}


def read_npz(reader: Reader) -> Iterator[Item]:
    """Every square array (n, n) is a graph, every stack (N, n, n) is N. Raises InputError for a file that is no .npz or
    holds Python objects, which are not read."""
    try:
        with np.load(reader.file.path, allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise reader.file.damaged(f"no .npz of plain arrays ({error})", "Save it with numpy.savez.") from error
    if arrays.keys() >= _PARTS:
        rows = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
        columns = arrays["indices"]
        if str(arrays.get("format", b"csr")).find("csc") >= 0:
            rows, columns = columns, rows
        yield _from_entries(reader, reader.stem, arrays["shape"].tolist(), rows, columns, arrays["data"])
        return
    if arrays.keys() >= _TRIPLES:
        shape = arrays["shape"].tolist()
        yield _from_entries(reader, reader.stem, shape, arrays["row"], arrays["col"], arrays["data"])
        return
    for key, array in arrays.items():
        stack = array[None] if array.ndim == 2 else array
        for number, matrix in enumerate(stack if stack.ndim == 3 else (), start=1):
            name = f"{reader.stem}_{key}" + ("" if len(stack) == 1 else f"_{number}")
            if np.issubdtype(matrix.dtype, np.number) or matrix.dtype == bool:
                rows, columns = np.nonzero(matrix)
                yield _from_entries(reader, name, list(matrix.shape), rows, columns, matrix[rows, columns])


def read_matrix_market(reader: Reader) -> Iterator[Item]:
    """`coordinate` matrices, whose numbers start at 1. Raises InputError for another header."""
    lines = reader.file.lines()
    header = reader.file.text(next(lines, b"")).lower().split()
    if len(header) != 5 or header[:3] != ["%%matrixmarket", "matrix", "coordinate"]:
        raise reader.file.damaged("expected '%%MatrixMarket matrix coordinate FIELD SYMMETRY'", "Is it a dense matrix?")
    rows = [line.split() for line in lines if line.strip() and not line.startswith(b"%")]
    name = reader.stem
    try:
        n, width, count = (int(v) for v in rows[0])
        entries = rows[1:]
        wide = 2 if header[3] == "pattern" else 3
        if len(entries) != count or any(len(row) < wide for row in entries):
            got = len(entries)
            yield RecordError(
                "cut_short", f"graph '{name}': {count} entries of {wide} columns expected, got {got}", record=name
            )
            return
        u = np.array([int(row[0]) for row in entries], np.int64) - 1
        v = np.array([int(row[1]) for row in entries], np.int64) - 1
        data = np.array([float(row[2]) if wide == 3 else 1.0 for row in entries])
    except (ValueError, IndexError) as error:
        yield RecordError("no_number", f"graph '{name}': {error}", record=name)
        return
    if (len(u) and min(u.min(), v.min()) < 0) or (len(u) and max(u.max(), v.max()) >= n):
        low, high = min(u.min(), v.min()) + 1, max(u.max(), v.max()) + 1
        text = f"graph '{name}': entries go from {low} to {high}, rows from 1 to {n}"
        yield RecordError("dangling_edge", text, record=name)
        return
    if header[4] != "general":
        apart = u != v
        u, v, data = np.append(u, v[apart]), np.append(v, u[apart]), np.append(data, data[apart])
    yield _from_entries(reader, name, [n, width], u, v, data)


def _from_entries(
    reader: Reader, name: str, shape: list[int], rows: NDArray[Any], columns: NDArray[Any], data: NDArray[Any]
) -> Item:
    """The graph of a matrix's entries, or why it is refused."""

    def refused(reason: str, text: str) -> RecordError:
        return RecordError(reason, f"graph '{name}': {text}", record=name)

    if len(shape) != 2 or shape[0] != shape[1]:
        return refused("not_square", f"its matrix has the shape {tuple(shape)}")
    if np.isnan(data.astype(np.float64)).any():
        at = int(np.argmax(np.isnan(data.astype(np.float64))))
        return refused("nan_weight", f"entry ({rows[at]}, {columns[at]}) is NaN")
    there = data != 0
    n, u, v, data = int(shape[0]), rows[there].astype(np.int64), columns[there].astype(np.int64), data[there]
    if not reader.config.directed:
        values = {(a, b): w for a, b, w in zip(u.tolist(), v.tolist(), data.tolist(), strict=True)}
        odd = next(((a, b) for (a, b), w in values.items() if values.get((b, a)) != w), None)
        if odd is not None:
            text = f"entry {odd} is {values[odd]:g} and entry {odd[::-1]} {values.get(odd[::-1], 0):g}: not symmetric"
            error = refused("not_symmetric", text)
            error.hint = "Set data.directed=true for arcs."
            return error
        upper = u <= v
        u, v, data = u[upper], v[upper], data[upper]
    labels: tuple[str, ...] | None = None
    if (data != 1).any() or reader.config.weights == "label":
        try:
            found = [reader.weight(name, f"{w:g}") for w in data.tolist() if w != 1 or reader.config.weights == "label"]
        except RecordError as error:
            return error
        labels = tuple(map(str, found)) if reader.config.weights == "label" else None
    return Graph(name, n, np.stack([u, v], axis=1), None, labels, reader.config.directed)
