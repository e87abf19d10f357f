"""Graphs as adjacency matrices: NumPy .npz (dense, stacks of dense, or the parts of a scipy sparse one), Matrix Market.

An entry that is not 0 is an edge. A matrix of an undirected graph must be symmetric: what is not names its first entry.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError, ResourceError
from domains.graphs.graph import Graph
from domains.graphs.source.files import Reader

Item = Graph | RecordError
_PARTS = {"data", "indices", "indptr", "shape"}
_TRIPLES = {"row", "col", "data", "shape"}


def read_npz(reader: Reader) -> Iterator[Item]:
    """Every square array (n, n) is a graph, every stack (N, n, n) is N. Raises RecordError for a file that is no .npz
    or holds Python objects, which are not read (`damaged_npz`)."""
    arrays = _arrays(reader)
    if arrays.keys() >= _PARTS:
        indptr, columns = arrays["indptr"], arrays["indices"]
        steps = np.diff(indptr) if _whole_numbers(indptr) else np.zeros(0, np.int64)
        if indptr.ndim != 1 or (steps < 0).any() or steps.sum() != columns.size:
            raise RecordError("damaged_npz", "its indptr does not fit its indices")
        rows = np.repeat(np.arange(len(steps)), steps)
        if b"csc" in arrays.get("format", np.array(b"csr")).tobytes():
            rows, columns = columns, rows
        yield _from_entries(reader, reader.stem, arrays["shape"].tolist(), rows, columns, arrays["data"])
        return
    if arrays.keys() >= _TRIPLES:
        shape = arrays["shape"].tolist()
        yield _from_entries(reader, reader.stem, shape, arrays["row"], arrays["col"], arrays["data"])
        return
    for key, array in arrays.items():
        stack = array[None] if array.ndim == 2 else array
        if stack.ndim != 3 or not _real_numbers(array):
            reader.notes["arrays that are no matrix of numbers left out"] += 1
            continue
        for number, matrix in enumerate(stack, start=1):
            name = f"{reader.stem}_{key}" + ("" if len(stack) == 1 else f"_{number}")
            rows, columns = np.nonzero(matrix)
            yield _from_entries(reader, name, list(matrix.shape), rows, columns, matrix[rows, columns])


def _arrays(reader: Reader) -> dict[str, NDArray[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers in an older spelling
            with open(reader.file.path, "rb") as raw, np.load(raw, allow_pickle=False) as held:
                return {key: held[key] for key in held.files}
    except PermissionError as error:
        raise ResourceError(f"{reader.file.path} may not be read", hint="Ask its owner for permission.") from error
    except Exception as error:  # zipfile, zlib and the parser of numpy's headers each have their own
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError("damaged_npz", f"no .npz of plain arrays ({text}); numpy.savez writes such") from error


def read_matrix_market(reader: Reader) -> Iterator[Item]:
    """`coordinate` matrices, whose numbers start at 1. Raises RecordError for another header (`bad_header`)."""
    lines = reader.file.lines()
    header = reader.file.text(next(lines, b"")).lower().split()
    if len(header) != 5 or header[:3] != ["%%matrixmarket", "matrix", "coordinate"]:
        text = "expected '%%MatrixMarket matrix coordinate FIELD SYMMETRY' in its first line; is it a dense matrix?"
        raise RecordError("bad_header", text, position=1)
    rows = [(at, line.split()) for at, line in enumerate(lines, 2) if line.strip() and not line.startswith(b"%")]
    name = reader.stem
    wide = 2 if header[3] == "pattern" else 3
    (n, width, count), _ = _numbers(reader, name, *(rows[0] if rows else (1, [])), ints=3, floats=0)
    entries = rows[1:]
    if len(entries) != count:
        text = f"graph '{name}': {count} entries of {wide} columns expected, got {len(entries)}"
        yield RecordError("cut_short", text, record=name)
        return
    found = [_numbers(reader, name, at, words, ints=2, floats=wide - 2) for at, words in entries]
    ends = [pair for pair, _ in found]
    for (at, _), pair in zip(entries, ends, strict=True):
        if not (1 <= pair[0] <= n and 1 <= pair[1] <= width):
            text = f"graph '{name}', line {at}: an entry at {pair[0]}, {pair[1]}; numbers go from 1 to {n}"
            yield RecordError("dangling_edge", text, record=name, position=at)
            return
    for (at, _), (_, values) in zip(entries, found, strict=True):
        if values and math.isnan(values[0]):
            text = f"graph '{name}', line {at}: the weight of an edge is NaN"
            yield RecordError("nan_weight", text, record=name, position=at)
            return
    if max(n, width) > np.iinfo(np.int64).max:
        yield RecordError("too_many_nodes", f"graph '{name}' has {n:,} nodes", record=name, position=rows[0][0])
        return
    u, v = np.array(ends, np.int64).reshape(-1, 2).T - 1
    data = np.array([values[0] if values else 1.0 for _, values in found])
    if header[4] != "general":
        apart = u != v
        u, v, data = np.append(u, v[apart]), np.append(v, u[apart]), np.append(data, data[apart])
    yield _from_entries(reader, name, [n, width], u, v, data)


def _numbers(
    reader: Reader, name: str, line: int, words: list[bytes], *, ints: int, floats: int
) -> tuple[list[int], list[float]]:
    """A line's first columns. Raises RecordError for too few (`cut_short`) and for what is no number (`no_number`)."""
    if len(words) < ints + floats:
        text = f"graph '{name}', line {line}: expected {ints + floats} columns, got {len(words)}"
        raise RecordError("cut_short", text, record=name, position=line)
    word = b""
    try:
        return [int(word := w) for w in words[:ints]], [float(word := w) for w in words[ints : ints + floats]]
    except ValueError:
        text = f"graph '{name}', line {line}: {reader.file.text(word)[:40]!r} is no number of the kind expected there"
        raise RecordError("no_number", text, record=name, position=line) from None


def _from_entries(
    reader: Reader, name: str, shape: list[int], rows: NDArray[Any], columns: NDArray[Any], data: NDArray[Any]
) -> Item:
    """The graph of a matrix's entries, or why it is refused."""

    def refused(reason: str, text: str) -> RecordError:
        return RecordError(reason, f"graph '{name}': {text}", record=name)

    if not isinstance(shape, list) or len(shape) != 2 or shape[0] != shape[1]:
        return refused("not_square", f"its matrix has the shape {shape}")
    if not (_whole_numbers(rows) and _whole_numbers(columns) and _real_numbers(data)):
        return refused("no_number", "its entries are no numbers, or have no whole numbers as their places")
    if not rows.shape == columns.shape == data.shape or data.ndim != 1:
        return refused("damaged_npz", f"{rows.size} rows, {columns.size} columns and {data.size} entries")
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
            return refused("not_symmetric", text)
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


def _whole_numbers(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iu"


def _real_numbers(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "biuf"
