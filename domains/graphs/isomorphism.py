"""Whether two graphs are the same but for the numbers of their nodes: colour refinement, and a search where it must be.

`invariant` hashes what colour refinement sees: equal for isomorphic graphs, and for forests never equal otherwise
(Immerman and Lander 1990). `isomorphic` settles the rest by trying out images of nodes, with a limit that is counted in
refinements rather than seconds, so that the answer does not depend on the machine; None says that it was reached.
Hashes are our own, made of 64-bit integers, and mean the same in every version of every library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from domains.graphs.graph import Graph

LIMIT = 2000
"""Refinements before a pair counts as undecided: about a second at 64 nodes."""

Colours = NDArray[np.uint64]
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(x: Colours) -> Colours:
    """splitmix64's finaliser (Steele et al. 2014): a bijection of 64-bit integers."""
    x = (x ^ (x >> np.uint64(30))) * _A
    x = (x ^ (x >> np.uint64(27))) * _B
    return x ^ (x >> np.uint64(31))


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass
class _Neighbours:
    """Who is next to whom, by node: `ends[starts[v]:starts[v + 1]]`, each with the colour of the edge."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    ties: Colours
    occupied: NDArray[np.int64]
    """Nodes with a neighbour."""


def _neighbours(graph: Graph) -> _Neighbours:
    u, v = graph.edges[:, 0], graph.edges[:, 1]
    m = len(u)
    ties = np.zeros(m, np.uint64)
    if graph.edge_labels is not None:
        known = {label: _hashed(label) for label in set(graph.edge_labels)}
        ties = np.array([known[label] for label in graph.edge_labels], np.uint64)
    back = ties + np.uint64(1) if graph.directed else ties
    heads, tails, both = np.concatenate([u, v]), np.concatenate([v, u]), np.concatenate([ties, back])
    order = np.argsort(heads, kind="stable")
    counts = np.bincount(heads, minlength=graph.n)
    return _Neighbours(
        np.concatenate(([0], np.cumsum(counts))), tails[order], _mixed(both[order]), np.flatnonzero(counts)
    )


def _first(graph: Graph) -> Colours:
    if graph.node_labels is None:
        return np.full(graph.n, 17, np.uint64)
    known = {label: _hashed(label) for label in set(graph.node_labels)}
    return np.array([known[label] for label in graph.node_labels], np.uint64)


def _refined(near: _Neighbours, colours: Colours) -> Colours:
    """Rounds of: a node's colour and the multiset of its neighbours', until no more nodes are told apart."""
    classes = len(np.unique(colours))
    rounds = 0
    while True:
        sums = np.zeros(len(colours), np.uint64)
        if len(near.ends):
            sums[near.occupied] = np.add.reduceat(
                _mixed(colours[near.ends] ^ near.ties), near.starts[:-1][near.occupied]
            )
        colours = _mixed(colours * np.uint64(3) + _mixed(sums + np.uint64(1)))
        rounds += 1
        found = len(np.unique(colours))
        if found == classes:
            # The number of rounds is part of what is seen: graphs that part later than others have other colours.
            return _mixed(colours + np.uint64(rounds))
        classes = found


def colours(graph: Graph) -> Colours:
    """(n,) colours that isomorphic graphs share, node for node."""
    return _refined(_neighbours(graph), _first(graph))


def invariant(graph: Graph) -> bytes:
    """16 bytes that isomorphic graphs share."""
    found = np.sort(colours(graph))
    head = f"{graph.n};{len(graph.edges)};{graph.directed};".encode()
    return blake2b(head + found.astype("<u8").tobytes(), digest_size=16).digest()


def isomorphic(a: Graph, b: Graph, limit: int = LIMIT) -> bool | None:
    """Whether they are, labels and direction counted; None where `limit` refinements do not settle it."""
    if (a.n, len(a.edges), a.directed) != (b.n, len(b.edges), b.directed):
        return False
    near = _neighbours(a), _neighbours(b)
    left = [limit]
    wanted = _table(a)

    def search(first: Colours, second: Colours) -> bool | None:
        left[0] -= 1
        mine, theirs = _refined(near[0], first), _refined(near[1], second)
        values, counts = np.unique(mine, return_counts=True)
        if not np.array_equal(np.sort(mine), np.sort(theirs)):
            return False
        open_ = np.flatnonzero(counts > 1)
        if not len(open_):
            image = np.empty(a.n, np.int64)
            image[np.argsort(mine)] = np.argsort(theirs)
            return _table(b, np.argsort(image)) == wanted
        cell = values[open_[np.argmin(counts[open_])]]
        node = int(np.flatnonzero(mine == cell)[0])
        undecided = False
        for other in np.flatnonzero(theirs == cell).tolist():
            if left[0] <= 0:
                return None
            one, two = mine.copy(), theirs.copy()
            one[node] = two[other] = _mixed(cell[None] + np.uint64(99))[0]
            found = search(one, two)
            if found:
                return True
            undecided |= found is None
        return None if undecided else False

    return search(_first(a), _first(b))


def _table(graph: Graph, image: NDArray[np.int64] | None = None) -> list[tuple[int, int, str]]:
    """Edges with their labels, sorted; nodes renamed by `image` (n,) where it is given."""
    edges = graph.edges if image is None else image[graph.edges]
    edges = edges if graph.directed else np.sort(edges, axis=1)
    labels = graph.edge_labels or ("",) * len(edges)
    return sorted((int(u), int(v), label) for (u, v), label in zip(edges.tolist(), labels, strict=True))


class KnownGraphs:
    """Graphs by isomorphism class.

    Attributes:
        undecided: pairs that the limit left open; they count as different.
    """

    def __init__(self, graphs: Iterable[Graph] = (), limit: int = LIMIT) -> None:
        self.limit, self.undecided = limit, 0
        self._buckets: dict[bytes, list[Graph]] = defaultdict(list)
        for graph in graphs:
            self.add(graph)

    def __contains__(self, graph: Graph) -> bool:
        return self._find(graph, invariant(graph))

    def add(self, graph: Graph) -> bool:
        """Whether it is new; then it is kept."""
        key = invariant(graph)
        if self._find(graph, key):
            return False
        self._buckets[key].append(graph)
        return True

    def _find(self, graph: Graph, key: bytes) -> bool:
        for known in self._buckets.get(key, ()):
            answer = is_forest(graph) or isomorphic(graph, known, self.limit)
            self.undecided += answer is None
            if answer:
                return True
        return False


def is_forest(graph: Graph) -> bool:
    """Whether an undirected, unlabelled graph has no cycle; then colour refinement alone decides."""
    from domains.graphs.graph import components

    if graph.directed or graph.node_labels is not None or graph.edge_labels is not None:
        return False
    return len(graph.edges) == graph.n - 1 - int(components(graph).max(initial=0))
