"""A graph as plain arrays: how many nodes, which pairs are joined, and labels of both. No networkx on the way.

Nodes are 0 .. n-1 and have no other names. What stands in files may be untidy (loops, pairs named twice, parts that
hang together with nothing); `tidy` handles each such thing by a stated policy and counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import networkx as nx

Edges = NDArray[np.int64]
"""(E, 2) node indices; of an undirected graph the smaller one first, of a directed one source and target."""

POLICIES = ("drop", "keep", "refuse")
PARTS = ("keep", "largest", "refuse")
MOST_NODES = 2**31 - 1
"""An edge is sorted by `u * n + v`, which must fit 64 bits."""


@dataclass(eq=False)
class Graph:
    """One record of the domain."""

    id: str
    n: int
    """How many nodes, those without an edge counted."""
    edges: Edges
    node_labels: tuple[str, ...] | None = None
    """(n,)"""
    edge_labels: tuple[str, ...] | None = None
    """(E,)"""
    directed: bool = False
    labels: dict[str, Any] = field(default_factory=dict)
    """Of the graph as a whole."""
    group: str | None = None
    split: str | None = None
    place: tuple[str, int | None, int | None] = ("", None, None)
    """File, line and byte where it begins."""

    def __len__(self) -> int:
        """Edges: the natural unit."""
        return len(self.edges)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Graph {self.id!r}: {self.n} nodes, {len(self.edges)} {'arcs' if self.directed else 'edges'}>"


@dataclass(frozen=True)
class Policies:
    """What becomes of what is untidy: the keys below `data` that every reader knows."""

    self_loops: str = "drop"
    """An edge from a node to itself is left out (`drop`), kept, or its graph is refused."""
    multi_edges: str = "drop"
    """Of edges between the same two nodes one is kept, that of the first label in the alphabet (`drop`), or all are, or
    the graph is refused. Files that name each undirected edge in both directions are read with `drop`."""
    isolated: str = "keep"
    """Nodes without an edge are left out (`drop`), kept, or their graph is refused."""
    disconnected: str = "keep"
    """A graph in several parts is kept, cut down to its `largest` part, or refused."""
    node_labels: str = "keep"
    """Labels of nodes are left out (`drop`), kept, or their graph is refused."""
    edge_labels: str = "keep"
    """The same for labels of edges."""
    directions: str = "keep"
    """Of directed graphs: `drop` reads arcs as undirected edges."""
    max_nodes: int = 1_000_000
    """A graph of more nodes is refused before anything is made of it that has a place for each. A walk names every node
    by a symbol, and no vocabulary is that large: such a number is a slip."""

    def __post_init__(self) -> None:
        for key in ("self_loops", "multi_edges", "isolated", "disconnected", "node_labels", "edge_labels"):
            allowed = PARTS if key == "disconnected" else POLICIES
            if getattr(self, key) not in allowed:
                raise ConfigError(f"data.{key}: got {getattr(self, key)!r}, allowed: {', '.join(allowed)}")
        if self.directions not in POLICIES:
            raise ConfigError(f"data.directions: got {self.directions!r}, allowed: {', '.join(POLICIES)}")
        if not isinstance(self.max_nodes, int) or not 1 <= self.max_nodes <= MOST_NODES:
            raise ConfigError(f"data.max_nodes: got {self.max_nodes!r}, allowed: 1 to {MOST_NODES:,}")


def tidy(graph: Graph, policies: Policies, notes: Counter[str]) -> Graph:
    """The graph as the policies have it, edges oriented and sorted; `notes` counts what was found.

    Raises RecordError with the reasons `self_loop`, `multi_edge`, `isolated_node`, `disconnected`, `node_labels`,
    `edge_labels`, `directed` where a policy says so, `no_node`, `too_many_nodes`, and `dangling_edge` for an edge that
    leads nowhere.
    """
    if graph.n < 1:
        raise RecordError("no_node", f"graph '{graph.id}' has no node", record=graph.id)
    if graph.n > policies.max_nodes:
        text = f"graph '{graph.id}' has {graph.n:,} nodes, data.max_nodes is {policies.max_nodes:,}"
        raise RecordError("too_many_nodes", text, record=graph.id)
    outside = np.flatnonzero(((graph.edges < 0) | (graph.edges >= graph.n)).any(1))
    if len(outside):
        u, v = graph.edges[outside[0]].tolist()
        raise RecordError(
            "dangling_edge",
            f"graph '{graph.id}': edge {int(outside[0]) + 1} joins nodes {u} and {v}; nodes are 0 to {graph.n - 1}",
            record=graph.id,
            position=int(outside[0]),
        )
    if graph.node_labels is not None and _drops(policies.node_labels, graph, "node_labels", "it has labels of nodes"):
        notes["graphs with labels of nodes left out"] += 1
        graph = replace(graph, node_labels=None)
    if graph.edge_labels is not None and _drops(policies.edge_labels, graph, "edge_labels", "it has labels of edges"):
        notes["graphs with labels of edges left out"] += 1
        graph = replace(graph, edge_labels=None)
    if graph.directed and _drops(policies.directions, graph, "directed", "it is directed"):
        notes["directed graphs read as undirected"] += 1
        graph = replace(graph, directed=False)
    return _tidy_parts(_tidy_edges(ordered(graph), policies, notes), policies, notes)


def _tidy_edges(graph: Graph, policies: Policies, notes: Counter[str]) -> Graph:
    loops = graph.edges[:, 0] == graph.edges[:, 1]
    n = int(loops.sum())
    if n and _drops(policies.self_loops, graph, "self_loop", f"{n} edges lead to where they start"):
        notes["self-loops left out"] += n
        graph = _edges_where(graph, ~loops)
    again = np.zeros(len(graph.edges), bool)
    again[1:] = (graph.edges[1:] == graph.edges[:-1]).all(1)
    n = int(again.sum())
    if n and _drops(policies.multi_edges, graph, "multi_edge", f"{n} edges stand more than once"):
        notes["repeated edges left out"] += n
        graph = _edges_where(graph, ~again)
    return graph


def _tidy_parts(graph: Graph, policies: Policies, notes: Counter[str]) -> Graph:
    alone = np.ones(graph.n, bool)
    alone[graph.edges] = False
    n = int(alone.sum())
    if n and _drops(policies.isolated, graph, "isolated_node", f"{n} nodes have no edge"):
        notes["nodes without an edge left out"] += n
        if n == graph.n:
            raise RecordError("no_node", f"graph '{graph.id}': no node has an edge", record=graph.id)
        graph = part(graph, np.flatnonzero(~alone))
    elif n:
        notes["nodes without an edge"] += n
    parts = components(graph)
    several = int(parts.max(initial=0)) + 1
    if several > 1 and policies.disconnected == "refuse":
        raise RecordError("disconnected", f"graph '{graph.id}': it is in {several} parts", record=graph.id)
    if several > 1 and policies.disconnected == "largest":
        notes["graphs cut down to their largest part"] += 1
        return part(graph, np.flatnonzero(parts == np.bincount(parts).argmax()))
    notes["graphs in several parts"] += several > 1
    return graph


def _drops(policy: str, graph: Graph, reason: str, what: str) -> bool:
    """Whether what was found is to be left out. Raises RecordError where it is refused."""
    if policy == "refuse":
        raise RecordError(reason, f"graph '{graph.id}': {what}", record=graph.id)
    return policy == "drop"


def ordered(graph: Graph) -> Graph:
    """Edges oriented (of an undirected graph) and sorted, their labels with them."""
    edges = graph.edges if graph.directed else np.sort(graph.edges, axis=1)
    if graph.edge_labels is None:
        order = np.argsort(edges[:, 0] * graph.n + edges[:, 1], kind="stable")
    else:
        # Of parallel edges, those of the smaller label come first, so that the order is one of content.
        names = np.array(graph.edge_labels, dtype=object)
        rank = np.unique(names.astype(str), return_inverse=True)[1] if len(names) else np.zeros(0, np.int64)
        order = np.lexsort((rank, edges[:, 1], edges[:, 0]))
    labels = None if graph.edge_labels is None else tuple(graph.edge_labels[i] for i in order.tolist())
    return replace(graph, edges=np.ascontiguousarray(edges[order], np.int64), edge_labels=labels)


def renumbered(graph: Graph, order: NDArray[np.int64]) -> Graph:
    """The same graph whose node k is the old node `order[k]`."""
    place = np.empty(graph.n, np.int64)
    place[order] = np.arange(graph.n)
    labels = None if graph.node_labels is None else tuple(graph.node_labels[i] for i in order.tolist())
    return ordered(replace(graph, edges=place[graph.edges], node_labels=labels))


def part(graph: Graph, nodes: NDArray[np.int64]) -> Graph:
    """The subgraph that some nodes induce, numbered in their order."""
    place = np.full(graph.n, -1, np.int64)
    place[nodes] = np.arange(len(nodes))
    inside = (place[graph.edges] >= 0).all(1)
    labels = None if graph.node_labels is None else tuple(graph.node_labels[i] for i in nodes.tolist())
    cut = _edges_where(graph, np.asarray(inside, bool))
    return ordered(replace(cut, n=len(nodes), edges=place[cut.edges], node_labels=labels))


def _edges_where(graph: Graph, chosen: NDArray[np.bool_]) -> Graph:
    labels = graph.edge_labels
    kept = None if labels is None else tuple(labels[i] for i in np.flatnonzero(chosen).tolist())
    return replace(graph, edges=graph.edges[chosen], edge_labels=kept)


def components(graph: Graph) -> NDArray[np.int64]:
    """(n,) the number of each node's part, direction disregarded."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(graph.edges), np.int8)
    matrix = coo_array((ones, (graph.edges[:, 0], graph.edges[:, 1])), shape=(graph.n, graph.n))
    found: NDArray[np.int64] = connected_components(matrix, directed=False)[1].astype(np.int64)
    return found


def degrees(graph: Graph) -> NDArray[np.int64]:
    """(n,) edges at each node; a loop counts twice."""
    return np.bincount(graph.edges.ravel(), minlength=graph.n)


def equal(a: Graph, b: Graph) -> bool:
    """Whether two graphs are the same, node by node: ids, edges, labels, direction."""
    a, b = ordered(a), ordered(b)
    same = (a.id, a.n, a.directed, a.node_labels, a.edge_labels) == (
        b.id,
        b.n,
        b.directed,
        b.node_labels,
        b.edge_labels,
    )
    return same and np.array_equal(a.edges, b.edges)


def to_networkx(graph: Graph) -> nx.Graph[Any]:
    """As networkx has it; labels of nodes and edges as `label`. Parallel edges make it a MultiGraph."""
    import networkx

    several = len(np.unique(graph.edges, axis=0)) < len(graph.edges)
    kinds: Mapping[tuple[bool, bool], Any] = {
        (False, False): networkx.Graph, (False, True): networkx.MultiGraph,
        (True, False): networkx.DiGraph, (True, True): networkx.MultiDiGraph,
    }  # fmt: skip
    made: nx.Graph[Any] = kinds[graph.directed, several]()
    made.add_nodes_from(range(graph.n))
    for i, (u, v) in enumerate(graph.edges.tolist()):
        made.add_edge(u, v, **({} if graph.edge_labels is None else {"label": graph.edge_labels[i]}))
    for i, label in enumerate(graph.node_labels or ()):
        made.nodes[i]["label"] = label
    return made


def from_networkx(given: nx.Graph[Any], id: str = "", *, node_label: str = "label", edge_label: str = "label") -> Graph:
    """Nodes numbered in networkx's order; labels where every node (every edge) has the attribute."""
    place = {node: i for i, node in enumerate(given)}
    listed = list(given.edges(data=True))
    edges = np.array([(place[u], place[v]) for u, v, _ in listed], np.int64).reshape(-1, 2)
    nodes = [data.get(node_label) for _, data in given.nodes(data=True)]
    ties = [data.get(edge_label) for _, _, data in listed]
    return ordered(
        Graph(
            id,
            len(place),
            edges,
            tuple(map(str, nodes)) if nodes and None not in nodes else None,
            tuple(map(str, ties)) if ties and None not in ties else None,
            bool(given.is_directed()),
        )
    )
