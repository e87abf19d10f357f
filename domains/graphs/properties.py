"""Exact facts about a graph, as labels that a model can be asked for (`data.properties=[triangles,diameter]`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from domains.graphs.graph import Graph, components, degrees


def _sides(graph: Graph) -> NDArray[np.int64]:
    """(S, 2) joined pairs, each once, without loops and direction."""
    sides = np.unique(np.sort(graph.edges, axis=1), axis=0)
    found: NDArray[np.int64] = sides[sides[:, 0] != sides[:, 1]]
    return found


def triangles(graph: Graph) -> int:
    """How many; direction, loops and repetition disregarded."""
    a = np.zeros((graph.n, graph.n))
    sides = _sides(graph)
    a[sides[:, 0], sides[:, 1]] = a[sides[:, 1], sides[:, 0]] = 1
    return round(float(((a @ a) * a).sum()) / 6)


def diameter(graph: Graph) -> int:
    """The longest of all shortest paths, in edges, direction disregarded; -1 for a graph in several parts."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    sides = _sides(graph)
    matrix = csr_array((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(graph.n, graph.n))
    longest = float(shortest_path(matrix, directed=False, unweighted=True).max())
    return -1 if np.isinf(longest) else int(longest)


PROPERTIES: Mapping[str, Callable[[Graph], Any]] = {
    "nodes": lambda graph: graph.n,
    "edges": lambda graph: len(graph.edges),
    "parts": lambda graph: int(components(graph).max(initial=-1)) + 1,
    "connected": lambda graph: "yes" if components(graph).max(initial=0) == 0 else "no",
    "max_degree": lambda graph: int(degrees(graph).max(initial=0)),
    "triangles": triangles,
    "diameter": diameter,
}


def check_properties(names: Iterable[str] | str) -> tuple[str, ...]:
    """The names as a tuple. Raises ConfigError for one that is unknown, with the nearest."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if name not in PROPERTIES:
            raise ConfigError(
                f"data.properties: got {name!r}{nearest(name, PROPERTIES)}", hint=f"Known: {', '.join(PROPERTIES)}."
            )
    return listed
