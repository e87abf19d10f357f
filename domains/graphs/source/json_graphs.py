"""Graphs in JSON: a document of one or several, or a graph a line, as networkx's node-link form or as our own.

Both come from any hand, so each part is looked at before it is used, and what is wrong is said in words with its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from domains.graphs.graph import Graph
from domains.graphs.source.documents import Item, assembled
from domains.graphs.source.files import WEIGHT, Reader

_SHOWN = 40
"""Letters of a value that a message repeats."""


def read_json(reader: Reader) -> Iterator[Item]:
    """One graph, or a list of them. Raises RecordError for what is no JSON (`no_json`)."""
    loaded = _loaded(b"".join(reader.file.blocks()))
    listed = loaded if isinstance(loaded, list) else [loaded]
    for number, value in enumerate(listed, start=1):
        yield _graph(reader, value, reader.stem if len(listed) == 1 else f"{reader.stem}_{number}", None)


def read_jsonl(reader: Reader) -> Iterator[Item]:
    """A graph a line; a line that is none is a reject."""
    for number, line in enumerate(reader.file.lines(), start=1):
        if not line.strip():
            continue
        name = f"{reader.stem}_{number}"
        try:
            value = _loaded(line)
        except RecordError as error:
            yield RecordError(error.reason, f"line {number}: {error.message}", record=name, position=number)
            continue
        yield _graph(reader, value, name, number)


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RecordError("no_json", f"no JSON ({error})") from error
    except RecursionError:
        raise RecordError("no_json", "no JSON of a graph: its brackets stand too deep in each other") from None


def _graph(reader: Reader, value: Any, name: str, line: int | None) -> Item:
    """Node-link form, or ours: `n` and `edges` as pairs of numbers, `node_labels`, `edge_labels`, `directed`, `labels`,
    `split`, `group`."""
    if not isinstance(value, dict):
        return RecordError("no_graph", f"'{name}' is no JSON object but {_shown(value)}", record=name, position=line)
    name = str(value.get("id", value.get("name", name)))
    try:
        return _read(reader, value, name, line)
    except _Wrong as error:
        return RecordError(error.reason, f"graph '{name}': {error}", record=name, position=line)


class _Wrong(Exception):
    """What is wrong with a graph, in words."""

    def __init__(self, message: str, reason: str = "no_graph") -> None:
        super().__init__(message)
        self.reason = reason


def _read(reader: Reader, value: dict[str, Any], name: str, line: int | None) -> Item:
    more: dict[str, Any] = {key: None if value.get(key) is None else str(value[key]) for key in ("group", "split")}
    given = value.get("labels")
    if given is not None and not isinstance(given, dict):
        raise _Wrong(f"its labels are {_shown(given)}: expected an object of names and values")
    more["labels"] = given or {}
    directed = value.get("directed", False)
    if directed not in (True, False):
        raise _Wrong(f"directed is {_shown(directed)}: expected true or false")
    if isinstance(value.get("nodes"), list):
        return _node_link(reader, value, name, bool(directed), line, more)
    if "edges" not in value:
        raise _Wrong("it has neither nodes nor edges")
    edges = _pairs(_list(value, "edges"))
    if "n" in value:
        n = value["n"]
        if not _whole(n):
            raise _Wrong(f"n is {_shown(n)}: expected how many nodes it has")
    else:
        n = int(edges.max(initial=-1)) + 1
        if len(edges) and edges.min() > 0:
            reader.notes["graphs without n and without an edge at node 0: do their numbers start at 1?"] += 1
    nodes, ties = _labels(value, "node_labels", int(n)), _labels(value, "edge_labels", len(edges))
    return Graph(name, int(n), edges, nodes, ties, bool(directed), place=("", line, None), **more)


def _node_link(
    reader: Reader, value: dict[str, Any], name: str, directed: bool, line: int | None, more: dict[str, Any]
) -> Item:
    nodes = [n if isinstance(n, dict) else {"id": n} for n in value["nodes"]]
    for number, node in enumerate(nodes, start=1):
        if "id" not in node:
            raise _Wrong(f"node {number} has no id")
    edges = _list(value, "links" if "links" in value else "edges")
    for number, edge in enumerate(edges, start=1):
        if not isinstance(edge, dict) or not {"source", "target"} <= edge.keys():
            raise _Wrong(f"edge {number} is {_shown(edge)}: expected an object with source and target")
    config = reader.config
    return assembled(
        reader,
        name,
        [(json.dumps(n["id"]), _text(n.get(config.node_label))) for n in nodes],
        [
            (json.dumps(e["source"]), json.dumps(e["target"]), _text(e.get(config.edge_label)), e.get(WEIGHT))
            for e in edges
        ],
        directed=directed,
        line=line,
        **more,
    )


def _pairs(given: list[Any]) -> NDArray[np.int64]:
    """(E, 2) node numbers. Raises _Wrong with the first edge that is no pair of them."""
    if not given:
        return np.zeros((0, 2), np.int64)
    try:
        found = np.array(given)
    except (ValueError, OverflowError):  # lists of different lengths, or deeper ones
        found = np.zeros(0, object)
    if found.dtype == np.int64 and found.ndim == 2 and found.shape[1] == 2:
        return found
    for number, edge in enumerate(given, start=1):
        if not isinstance(edge, list) or len(edge) != 2 or not all(map(_whole, edge)):
            raise _Wrong(f"edge {number} is {_shown(edge)}: expected two node numbers")
        if any(abs(end) > np.iinfo(np.int64).max for end in edge):
            raise _Wrong(f"edge {number} is {_shown(edge)}: no graph has so many nodes", "dangling_edge")
    return np.array([[int(u), int(v)] for u, v in given], np.int64)


def _labels(value: dict[str, Any], key: str, count: int) -> tuple[str, ...] | None:
    """Labels of nodes or edges, None where there are none."""
    if value.get(key) is None:
        return None
    given = _list(value, key)
    if len(given) != count:
        raise _Wrong(f"it has {len(given)} {key} for {count}")
    if odd := next((i for i, label in enumerate(given, start=1) if label is None or label != label), None):
        raise _Wrong(f"number {odd} of its {key} is {_shown(given[odd - 1])}")
    return tuple(map(str, given))


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key, [])
    if not isinstance(found, list):
        raise _Wrong(f"its {key} are {_shown(found)}: expected a list")
    return found


def _whole(value: Any) -> bool:
    """Whether it is a whole number, 2.0 too."""
    if isinstance(value, float):
        return math.isfinite(value) and value == int(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A value as JSON has it, cut to what fits a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
