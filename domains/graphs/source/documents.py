"""Graphs in GraphML, GML, node-link JSON and JSON lines. A file may hold several.

GraphML is read without entities (an entity bomb is an error that says so). Node names are any text; edges to names that
no node has are refused as `dangling_edge`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from core.errors import RecordError
from domains.graphs.graph import Graph
from domains.graphs.source.files import Reader

Item = Graph | RecordError
_GML = re.compile(rb'"[^"]*"|[\[\]]|[^\s\[\]]+')


def assembled(
    name: str,
    nodes: Iterable[tuple[str, str | None]],
    edges: Iterable[tuple[str, str, str | None]],
    *,
    directed: bool,
    line: int | None = None,
    **more: Any,
) -> Item:
    """A graph of named nodes, each with its label, and of edges between names; or why it is refused."""
    place: dict[str, int] = {}
    labels: list[str | None] = []
    for node, label in nodes:
        if node in place:
            return RecordError(
                "repeated_node", f"graph '{name}': two nodes are called '{node}'", record=name, position=line
            )
        place[node] = len(place)
        labels.append(label)
    pairs, ties = [], []
    for u, v, tie in edges:
        for end in (u, v):
            if end not in place:
                text = f"graph '{name}': edge '{u}' - '{v}' leads to '{end}', which is no node"
                return RecordError("dangling_edge", text, record=name, position=line)
        pairs.append((place[u], place[v]))
        ties.append(tie)
    return Graph(
        name,
        len(place),
        np.array(pairs, np.int64).reshape(-1, 2),
        tuple(map(str, labels)) if labels and None not in labels else None,
        tuple(map(str, ties)) if ties and None not in ties else None,
        directed,
        place=("", line, None),
        **more,
    )


def read_graphml(reader: Reader) -> Iterator[Item]:
    """Raises InputError for XML that is cut short, damaged, or declares entities."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    config = reader.config
    try:
        root = fromstring(b"".join(reader.file.blocks()))
    except DefusedXmlException as error:
        raise reader.file.damaged(
            f"it declares entities ({error}); these are not read", "Save it without them."
        ) from None
    except ParseError as error:
        raise reader.file.damaged(f"no well-formed XML ({error})", "Was the download or copy complete?") from error
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    keys = {key.get("id"): key.get("attr.name") for key in root.iter(f"{space}key")}

    def attribute(element: Any, wanted: str) -> str | None:
        for data in element.findall(f"{space}data"):
            if keys.get(data.get("key"), data.get("key")) == wanted:
                return (data.text or "").strip()
        return None

    for number, graph in enumerate(root.iter(f"{space}graph"), start=1):
        name = graph.get("id") or (reader.stem if number == 1 else f"{reader.stem}_{number}")
        yield assembled(
            name,
            [(str(n.get("id")), attribute(n, config.node_label)) for n in graph.findall(f"{space}node")],
            [
                (str(e.get("source")), str(e.get("target")), attribute(e, config.edge_label))
                for e in graph.findall(f"{space}edge")
            ],
            directed=graph.get("edgedefault", "undirected") == "directed",
        )


def read_gml(reader: Reader) -> Iterator[Item]:
    """Raises InputError where brackets do not close."""
    text = b"".join(reader.file.blocks())
    words = _GML.findall(b"\n".join(line for line in text.split(b"\n") if not line.lstrip().startswith(b"#")))
    at = 0

    def block() -> list[tuple[str, Any]]:
        nonlocal at
        found: list[tuple[str, Any]] = []
        while at < len(words) and words[at] != b"]":
            key, at = words[at].decode("utf-8", "replace"), at + 1
            if at >= len(words):
                raise reader.file.damaged(f"it ends behind the key '{key}'", "Was the download or copy complete?")
            if words[at] == b"[":
                at += 1
                found.append((key, block()))
                if at >= len(words):
                    raise reader.file.damaged(f"the bracket of '{key}' does not close", "Was the copy complete?")
            else:
                found.append((key, words[at].decode("utf-8", "replace").strip('"')))
            at += 1
        return found

    graphs = [value for key, value in block() if key == "graph" and isinstance(value, list)]
    for number, parts in enumerate(graphs, start=1):
        plain = {key: value for key, value in parts if isinstance(value, str)}
        nodes = [dict(value) for key, value in parts if key == "node" and isinstance(value, list)]
        edges = [dict(value) for key, value in parts if key == "edge" and isinstance(value, list)]
        config = reader.config
        yield assembled(
            plain.get("name") or (reader.stem if number == 1 else f"{reader.stem}_{number}"),
            [(str(n.get("id")), _text(n.get(config.node_label))) for n in nodes],
            [(str(e.get("source")), str(e.get("target")), _text(e.get(config.edge_label))) for e in edges],
            directed=plain.get("directed") == "1",
        )


def read_json(reader: Reader) -> Iterator[Item]:
    """One graph, or a list of them. Raises InputError for what is no JSON."""
    try:
        loaded = json.loads(b"".join(reader.file.blocks()))
    except ValueError as error:
        raise reader.file.damaged(f"no JSON ({error})", "Was the download or copy complete?") from error
    listed = loaded if isinstance(loaded, list) else [loaded]
    for number, value in enumerate(listed, start=1):
        yield _from_json(reader, value, reader.stem if len(listed) == 1 else f"{reader.stem}_{number}", None)


def read_jsonl(reader: Reader) -> Iterator[Item]:
    """A graph a line; a line that is none is a reject."""
    for number, line in enumerate(reader.file.lines(), start=1):
        if not line.strip():
            continue
        name = f"{reader.stem}_{number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            yield RecordError("no_json", f"line {number}: no JSON ({error})", record=name, position=number)
            continue
        yield _from_json(reader, value, name, number)


def _from_json(reader: Reader, value: Any, name: str, line: int | None) -> Item:
    """Node-link form, or ours: `n` and `edges` as pairs of numbers, `node_labels`, `edge_labels`, `directed`, `labels`,
    `split`, `group`."""
    if not isinstance(value, dict):
        return RecordError("no_graph", f"'{name}' is no JSON object", record=name, position=line)
    name = str(value.get("id", value.get("name", name)))
    more = {key: None if value.get(key) is None else str(value[key]) for key in ("group", "split")}
    given = value.get("labels")
    labels: dict[str, Any] = given if isinstance(given, dict) else {}
    directed = bool(value.get("directed", False))
    config = reader.config
    try:
        if "nodes" in value and isinstance(value["nodes"], list):
            ties: Any = value.get("links", value.get("edges", []))
            nodes = [n if isinstance(n, dict) else {"id": n} for n in value["nodes"]]
            return assembled(
                name,
                [(json.dumps(n["id"]), _text(n.get(config.node_label))) for n in nodes],
                [(json.dumps(e["source"]), json.dumps(e["target"]), _text(e.get(config.edge_label))) for e in ties],
                directed=directed,
                line=line,
                labels=labels,
                **more,
            )
        edges = np.array(value["edges"] or np.zeros((0, 2)))
        if edges.ndim != 2 or edges.shape[1] != 2 or (edges != edges.astype(np.int64)).any():
            raise ValueError("edges are not pairs of whole numbers")
        edges = edges.astype(np.int64)
        n = int(value["n"]) if "n" in value else int(edges.max(initial=-1)) + 1
        texts = [None if value.get(k) is None else tuple(map(str, value[k])) for k in ("node_labels", "edge_labels")]
        for found, count, what in ((texts[0], n, "node_labels"), (texts[1], len(edges), "edge_labels")):
            if found is not None and len(found) != count:
                raise ValueError(f"{len(found)} {what} for {count}")
        place = ("", line, None)
        return Graph(name, n, edges, texts[0], texts[1], directed, labels=labels, place=place, **more)
    except (KeyError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return RecordError("no_graph", f"graph '{name}': {what}", record=name, position=line)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
