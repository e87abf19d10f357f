"""Sampled graphs as a file: JSON lines with likelihoods, or, where the name ends so, GraphML."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from core.durable import resources_named, write_bytes_durably
from domains.graphs.graph import Graph


def write_samples(path: Path | str, records: Iterable[Graph], nats: Iterable[float] | None = None) -> int:
    """Writes `records` and says how many. Ids are kept, empty ones become sample_1, sample_2 ...

    Args:
        path: `.graphml` makes one GraphML document of all; any other name JSON lines, which are read back as they are.
        nats: each record's negative log-likelihood, the end included where it was predicted.

    Raises ResourceError where the file cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    path, listed = Path(path), list(records)
    likelihoods: list[float | None] = [None] * len(listed) if nats is None else list(nats)
    rows = list(zip(listed, likelihoods, strict=True))
    names = [graph.id or f"sample_{number}" for number, graph in enumerate(listed, start=1)]
    text = _graphml(names, rows) if path.suffix == ".graphml" else _lines(names, rows)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_durably(path, text.encode())
    return len(listed)


def to_json(graph: Graph) -> dict[str, Any]:
    """A graph in the form that `data.path=graphs.jsonl` reads."""
    found: dict[str, Any] = {"id": graph.id, "n": graph.n, "edges": graph.edges.tolist()}
    if graph.directed:
        found["directed"] = True
    for key in ("node_labels", "edge_labels"):
        if getattr(graph, key) is not None:
            found[key] = list(getattr(graph, key))
    for key in ("labels", "group", "split"):
        if getattr(graph, key):
            found[key] = getattr(graph, key)
    return found


def _lines(names: list[str], rows: list[tuple[Graph, float | None]]) -> str:
    lines = []
    for name, (graph, nll) in zip(names, rows, strict=True):
        facts = {} if nll is None else {"nats": round(nll, 4)}
        lines.append(json.dumps({**to_json(graph), "id": name, **facts}, ensure_ascii=False) + "\n")
    return "".join(lines)


def _graphml(names: list[str], rows: list[tuple[Graph, float | None]]) -> str:
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        ' <key id="label" for="all" attr.name="label" attr.type="string"/>\n'
        ' <key id="nats" for="graph" attr.name="nats" attr.type="double"/>\n'
    ]
    for name, (graph, nll) in zip(names, rows, strict=True):
        kind = "directed" if graph.directed else "undirected"
        parts.append(f' <graph id={quoteattr(name)} edgedefault="{kind}">\n')
        parts += [] if nll is None else [f'  <data key="nats">{nll:.4f}</data>\n']
        for i in range(graph.n):
            parts.append(f'  <node id="n{i}">{_label(graph.node_labels, i)}</node>\n')
        for i, (u, v) in enumerate(graph.edges.tolist()):
            parts.append(f'  <edge source="n{u}" target="n{v}">{_label(graph.edge_labels, i)}</edge>\n')
        parts.append(" </graph>\n")
    return "".join([*parts, "</graphml>\n"])


def _label(labels: tuple[str, ...] | None, i: int) -> str:
    return "" if labels is None else f'<data key="label">{escape(labels[i])}</data>'
