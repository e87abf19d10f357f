"""Exact facts about a graph, as labels that a model can be asked for (`data.properties=[triangles,diameter]`).

Some are about nodes: which, their labels say (`data.asked=2 data.properties=[degree,distance]`), so that a walk in any
order names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from core.order import rng
from domains.graphs.graph import Graph, components, degrees

ASKED, PLAIN = "asked", "plain"
"""Labels of nodes that a question is about, and of all others."""


def _sides(graph: Graph) -> NDArray[np.int64]:
    """(S, 2) joined pairs, each once, without loops and direction."""
    sides = np.unique(np.sort(graph.edges, axis=1), axis=0)
    found: NDArray[np.int64] = sides[sides[:, 0] != sides[:, 1]]
    return found


def _closed(graph: Graph) -> NDArray[np.float64]:
    """(n,) twice the triangles at each node; direction, loops and repetition disregarded."""
    a = np.zeros((graph.n, graph.n))
    sides = _sides(graph)
    a[sides[:, 0], sides[:, 1]] = a[sides[:, 1], sides[:, 0]] = 1
    found: NDArray[np.float64] = ((a @ a) * a).sum(1)
    return found


def triangles(graph: Graph) -> int:
    """How many there are in all."""
    return round(float(_closed(graph).sum()) / 6)


def _paths(graph: Graph, start: int | None = None) -> float:
    """The longest of all shortest paths in edges, or of those from a node to the last that is asked for; direction
    disregarded."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    sides = _sides(graph)
    matrix = csr_array((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(graph.n, graph.n))
    if start is None:
        return float(shortest_path(matrix, directed=False, unweighted=True).max())
    return float(shortest_path(matrix, directed=False, unweighted=True, indices=start)[asked(graph)[-1]])


def diameter(graph: Graph) -> int:
    """The longest of all shortest paths, in edges; -1 for a graph in several parts."""
    longest = _paths(graph)
    return -1 if np.isinf(longest) else int(longest)


def mark(graph: Graph, count: int) -> Graph:
    """The graph with `count` of its nodes labelled `asked`, drawn by the graph's name, and all others `plain`.

    Raises RecordError `has_labels` where nodes have labels of their own, `few_nodes` where there are not so many.
    """
    if graph.node_labels is not None:
        raise RecordError(
            "has_labels", f"graph '{graph.id}': its nodes have labels, so none can be marked", record=graph.id,
            hint="data.node_labels=drop leaves them out.",
        )  # fmt: skip
    if graph.n < count:
        raise RecordError("few_nodes", f"graph '{graph.id}' has {graph.n} nodes, data.asked={count}", record=graph.id)
    chosen = set(rng("asked", graph.id).choice(graph.n, count, replace=False).tolist())
    return replace(graph, node_labels=tuple(ASKED if i in chosen else PLAIN for i in range(graph.n)))


def asked(graph: Graph) -> list[int]:
    """The nodes that are marked."""
    return [i for i, label in enumerate(graph.node_labels or ()) if label == ASKED]


def distance(graph: Graph) -> int:
    """Edges of the shortest path between the first and the last marked node; -1 where there is none."""
    found = _paths(graph, asked(graph)[0])
    return -1 if np.isinf(found) else int(found)


def adjacent(graph: Graph) -> str:
    """Whether an edge joins the two."""
    return "yes" if distance(graph) == 1 else "no"


def reachable(graph: Graph) -> str:
    """Whether any path does."""
    return "yes" if distance(graph) >= 0 else "no"


PROPERTIES: Mapping[str, Callable[[Graph], Any]] = {
    "nodes": lambda graph: graph.n,
    "edges": lambda graph: len(graph.edges),
    "parts": lambda graph: int(components(graph).max(initial=-1)) + 1,
    "connected": lambda graph: "yes" if components(graph).max(initial=0) == 0 else "no",
    "max_degree": lambda graph: int(degrees(graph).max(initial=0)),
    "triangles": triangles,
    "diameter": diameter,
    "degree": lambda graph: int(degrees(graph)[asked(graph)[0]]),
    "triangles_at": lambda graph: round(float(_closed(graph)[asked(graph)[0]]) / 2),
    "distance": distance,
    "adjacent": adjacent,
    "reachable": reachable,
}
NODES_ASKED: Mapping[str, int] = {"degree": 1, "triangles_at": 1, "distance": 2, "adjacent": 2, "reachable": 2}
"""Of facts about marked nodes, how many there must be."""


def check_properties(names: Iterable[str] | str) -> tuple[str, ...]:
    """The names as a tuple. Raises ConfigError for one that is unknown, with the nearest."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if name not in PROPERTIES:
            raise ConfigError(
                f"data.properties: got {name!r}{nearest(name, PROPERTIES)}", hint=f"Known: {', '.join(PROPERTIES)}."
            )
    return listed
