"""Graphs for tests: small ones of every kind, as hypothesis draws them, a few by hand, and files of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from hypothesis import strategies as st

from core.rejects import Reject
from domains.graphs.graph import Graph, ordered, to_networkx
from domains.graphs.source import open_source, write_samples

ATOMS, BONDS = ("C", "N", "O"), ("1", "2")


def graph(n: int, *pairs: tuple[int, int], name: str = "g", **more: object) -> Graph:
    return Graph(name, n, np.array(pairs, np.int64).reshape(-1, 2), **more)  # type: ignore[arg-type]


TAILED = graph(4, (0, 1), (1, 2), (0, 2), (2, 3), name="tailed")
"""A triangle with a tail."""
PARTS = graph(6, (0, 1), (3, 4), (4, 5), (3, 5), name="parts")
"""An edge, a triangle and a node by itself."""


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    most: int = 7,
    directed: bool = False,
    loops: bool = False,
    several: bool = False,
    labels: bool = False,
) -> Graph:
    """Any graph, in several parts or none joined at all."""
    n = draw(st.integers(1, most))
    ends = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=10))
    if not loops:
        pairs = [(u, v) for u, v in pairs if u != v]
    if not several:
        pairs = list(dict.fromkeys(pair if directed else (min(pair), max(pair)) for pair in pairs))
    names = draw(st.text("abc1", min_size=1, max_size=5))
    nodes = tuple(draw(st.lists(st.sampled_from(ATOMS), min_size=n, max_size=n))) if labels else None
    ties = tuple(draw(st.lists(st.sampled_from(BONDS), min_size=len(pairs), max_size=len(pairs)))) if labels else None
    return ordered(graph(n, *pairs, name=names, node_labels=nodes, edge_labels=ties, directed=directed))


def shuffled(given: Graph, seed: int = 0) -> Graph:
    """The same graph with other node numbers."""
    from domains.graphs.graph import renumbered

    return renumbered(given, np.random.default_rng(seed).permutation(given.n))


def items(path: Path, **options: Any) -> list[Graph | Reject]:
    source = open_source(path=path, **options)
    found = list(source)
    assert source.records_in == len(found)
    return found


def only(path: Path, **options: Any) -> Graph:
    (found,) = items(path, **options)
    assert isinstance(found, Graph), found
    return found


def written(path: Path, kind: str) -> Path:
    """The tailed triangle in a format."""
    drawn, path = to_networkx(TAILED), path / f"tailed.{kind}"
    matrix = nx.to_numpy_array(drawn)
    if kind == "edges":
        path.write_text("# a comment\n" + "".join(f"{u} {v}\n" for u, v in TAILED.edges.tolist()))
    elif kind == "csv":
        path.write_text("source,target\n" + "".join(f"x{u},x{v}\n" for u, v in TAILED.edges.tolist()))
    elif kind == "graphml":
        nx.write_graphml_xml(drawn, path)
    elif kind == "gml":
        nx.write_gml(drawn, path)
    elif kind == "json":
        path.write_text(json.dumps(nx.node_link_data(drawn, edges="links")))
    elif kind == "jsonl":
        write_samples(path, [TAILED])
    elif kind == "npz":
        np.savez(path, adjacency=matrix)
    elif kind == "g6":
        nx.write_graph6(drawn, path)
    elif kind == "mtx":
        rows = [f"{v + 1} {u + 1}" for u, v in TAILED.edges.tolist()]
        path.write_text("%%MatrixMarket matrix coordinate pattern symmetric\n% c\n4 4 4\n" + "\n".join(rows) + "\n")
    return path
