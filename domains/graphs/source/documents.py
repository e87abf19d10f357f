"""Graphs in GraphML and GML, and how a graph is put together from named nodes. A file may hold several.

GraphML is read without entities (an entity bomb is refused as `unsafe_xml`). Node names are any text; edges to names
that no node has are refused as `dangling_edge`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from core.errors import RecordError
from domains.graphs.graph import Graph
from domains.graphs.source.files import WEIGHT, Reader

Item = Graph | RecordError
_GML = re.compile(rb'"[^"]*"|[\[\]]|[^\s\[\]]+')


def assembled(
    reader: Reader,
    name: str,
    nodes: Iterable[tuple[str, str | None]],
    edges: Iterable[tuple[str, str, Any, Any]],
    *,
    directed: bool,
    line: int | None = None,
    **more: Any,
) -> Item:
    """A graph of named nodes, each with its label, and of edges between names, each with its label and weight (None for
    neither); or why it is refused."""
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
    for u, v, tie, weight in edges:
        for end in (u, v):
            if end not in place:
                text = f"graph '{name}': edge '{u}' - '{v}' leads to '{end}', which is no node"
                return RecordError("dangling_edge", text, record=name, position=line)
        pairs.append((place[u], place[v]))
        try:
            ties.append(reader.tie(name, tie, weight, line))
        except RecordError as error:
            return error
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
    """Raises RecordError for XML that is cut short or damaged (`damaged_xml`) or declares entities (`unsafe_xml`)."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    config = reader.config
    try:
        root = fromstring(b"".join(reader.file.blocks()))
    except DefusedXmlException as error:
        text = "it declares entities or refers to other files; neither is read"
        raise RecordError("unsafe_xml", text) from error
    except (ParseError, LookupError, ValueError) as error:  # an encoding that is not known, or that is not kept to
        raise RecordError("damaged_xml", f"no well-formed XML ({error})") from error
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
            reader,
            name,
            [(str(n.get("id")), attribute(n, config.node_label)) for n in graph.findall(f"{space}node")],
            [
                (str(e.get("source")), str(e.get("target")), attribute(e, config.edge_label), attribute(e, WEIGHT))
                for e in graph.findall(f"{space}edge")
            ],
            directed=graph.get("edgedefault", "undirected") == "directed",
        )


def read_gml(reader: Reader) -> Iterator[Item]:
    """Raises RecordError where brackets do not close (`damaged_gml`)."""
    parts = _gml(b"".join(reader.file.blocks()))
    graphs = [value for key, value in parts if key == "graph" and isinstance(value, list)]
    config = reader.config
    for number, inside in enumerate(graphs, start=1):
        plain = {key: value for key, value in inside if isinstance(value, str)}
        nodes, edges = (
            [dict(value) for key, value in inside if key == kind and isinstance(value, list)]
            for kind in ("node", "edge")
        )
        yield assembled(
            reader,
            plain.get("name") or (reader.stem if number == 1 else f"{reader.stem}_{number}"),
            [(str(n.get("id")), n.get(config.node_label)) for n in nodes],
            [(str(e.get("source")), str(e.get("target")), e.get(config.edge_label), e.get(WEIGHT)) for e in edges],
            directed=plain.get("directed") == "1",
        )


def _gml(text: bytes) -> list[tuple[str, Any]]:
    """Keys with their values: text, or what stands in brackets as such a list again."""
    words = _GML.findall(b"\n".join(line for line in text.split(b"\n") if not line.lstrip().startswith(b"#")))
    found: list[tuple[str, Any]] = []
    around: list[list[tuple[str, Any]]] = []
    key = ""
    for word in words:
        if word == b"]" and not key and around:
            found = around.pop()
        elif word in (b"[", b"]"):
            if not key or word == b"]":
                raise RecordError("damaged_gml", f"a bracket '{word.decode()}' stands where a key or value should")
            inside: list[tuple[str, Any]] = []
            found.append((key, inside))
            around.append(found)
            found, key = inside, ""
        elif key:
            found.append((key, word.decode("utf-8", "replace").strip('"')))
            key = ""
        else:
            key = word.decode("utf-8", "replace")
    if key:
        raise RecordError("damaged_gml", f"it ends behind the key '{key}'; was the copy complete?")
    if around:
        raise RecordError("damaged_gml", f"the bracket of '{around[-1][-1][0]}' does not close; was the copy complete?")
    return found
