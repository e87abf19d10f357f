"""The benchmark's families of graphs, made by code: a graph is a function of seed, split and number.

The recipes are those of GraphRNN (arXiv 1802.08773) and SPECTRE (arXiv 2204.01613). Nodes are shuffled, so that their
numbers say nothing. Knows neither files nor tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.order import permutation, rng
from domains.graphs.graph import Edges, Graph, ordered, renumbered

Nodes = tuple[int, int]
Generator = np.random.Generator
P_INTRA, P_INTER = 0.3, 0.005
"""Edge probabilities of the stochastic block model, within and between blocks."""
BLOCKS, BLOCK_NODES = (2, 5), (20, 40)
_TRIES = 10_000


@dataclass(frozen=True)
class Family:
    """One named kind of graph."""

    what: str
    nodes: Nodes
    """The benchmark's sizes, fewest and most."""
    make: Callable[[Generator, Nodes], tuple[int, Edges]]
    counts: tuple[int, int, int] = (128, 32, 40)
    """The benchmark's training, validation and test graphs."""


def make_graph(name: str, nodes: Nodes, seed: int, split: str, index: int) -> Graph:
    """Graph number `index` of a family's split."""
    draws = rng("graphs", name, seed, split, index, *nodes)
    n, edges = FAMILIES[name].make(draws, nodes)
    graph = Graph(f"{name}_{split}_{index}", n, edges.astype(np.int64).reshape(-1, 2), split=split)
    return renumbered(ordered(graph), draws.permutation(n))


def _size(draws: Generator, nodes: Nodes) -> int:
    return int(draws.integers(nodes[0], nodes[1] + 1))


def planar(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """The Delaunay triangulation of uniform points of the unit square."""
    from scipy.spatial import Delaunay

    n = _size(draws, nodes)
    corners = Delaunay(draws.random((n, 2))).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    return n, np.unique(np.sort(pairs, axis=1), axis=0)


def tree(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """A tree, uniform among the labelled ones: a random Pruefer sequence, read back."""
    n = _size(draws, nodes)
    if n < 2:
        return n, np.zeros((0, 2), np.int64)
    code = draws.integers(0, n, n - 2).tolist()
    degree = [1] * n
    for v in code:
        degree[v] += 1
    edges, pointer = [], degree.index(1)
    leaf = pointer
    for v in code:
        edges.append((leaf, v))
        degree[v] -= 1
        if degree[v] == 1 and v < pointer:
            leaf = v
            continue
        pointer += 1
        while degree[pointer] != 1:
            pointer += 1
        leaf = pointer
    edges.append((leaf, n - 1))
    return n, np.array(edges, np.int64)


def lobster(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """A path with legs, some of them with feet: as `networkx.random_lobster(80, 0.7, 0.7)`, drawn again where its size
    does not fit."""
    for _ in range(_TRIES):
        spine = int(2 * draws.random() * min(80, nodes[1]) + 0.5)
        edges = [(i, i + 1) for i in range(spine - 1)]
        n = spine
        for node in range(spine):
            while draws.random() < 0.7 and n <= nodes[1]:
                edges.append((node, n))
                leg, n = n, n + 1
                while draws.random() < 0.7 and n <= nodes[1]:
                    edges.append((leg, n))
                    n += 1
        if nodes[0] <= n <= nodes[1]:
            return n, np.array(edges, np.int64).reshape(-1, 2)
    raise ConfigError(f"data.nodes: no lobster of {nodes[0]} to {nodes[1]} nodes came up in {_TRIES:,} draws")


def sbm(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """Two to five blocks of 20 to 40 nodes; fewer nodes are divided into two or three blocks of like size."""
    if nodes == FAMILIES["sbm"].nodes:
        sizes = draws.integers(BLOCK_NODES[0], BLOCK_NODES[1] + 1, int(draws.integers(BLOCKS[0], BLOCKS[1] + 1)))
    else:
        n = _size(draws, nodes)
        several = min(n, int(draws.integers(2, 4)))
        sizes = np.full(several, n // several) + (np.arange(several) < n % several)
    block = np.repeat(np.arange(len(sizes)), sizes)
    return _by_blocks(draws, block, P_INTRA, P_INTER)


def community_small(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """Two random graphs of p = 0.7 and about n/20 edges between them, two at least; of fresh sizes every time."""
    n = _size(draws, nodes)
    block = (np.arange(n) >= n // 2).astype(np.int64)
    _, inner = _by_blocks(draws, block, 0.7, 0.0)
    several = max(2, round(0.05 * n))
    across = np.stack([draws.integers(0, n // 2, several), draws.integers(n // 2, n, several)], axis=1)
    return n, np.unique(np.concatenate([inner, across]), axis=0)


def grid(draws: Generator, nodes: Nodes) -> tuple[int, Edges]:
    """A rectangle of w by h nodes, w and h of 10 to 20, or of any size from 2 where `nodes` says otherwise."""
    sides = [(w, h) for w in range(2, 41) for h in range(w, 41) if nodes[0] <= w * h <= nodes[1]]
    if nodes == FAMILIES["grid"].nodes:
        sides = [(w, h) for w, h in sides if w >= 10 and h <= 20]
    if not sides:
        raise ConfigError(f"data.nodes: no grid has {nodes[0]} to {nodes[1]} nodes")
    w, h = sides[int(draws.integers(len(sides)))]
    return w * h, grid_edges(w, h)


def grid_edges(w: int, h: int) -> Edges:
    places = np.arange(w * h).reshape(w, h)
    across = np.stack([places[:, :-1].ravel(), places[:, 1:].ravel()], axis=1)
    down = np.stack([places[:-1].ravel(), places[1:].ravel()], axis=1)
    return np.concatenate([across, down])


def _by_blocks(draws: Generator, block: NDArray[np.int64], inside: float, between: float) -> tuple[int, Edges]:
    n = len(block)
    u, v = np.triu_indices(n, 1)
    there = draws.random(len(u)) < np.where(block[u] == block[v], inside, between)
    return n, np.stack([u[there], v[there]], axis=1)


FAMILIES: Mapping[str, Family] = {
    "planar": Family("Delaunay triangulations of 64 points", (64, 64), planar),
    "tree": Family("trees of 64 nodes", (64, 64), tree),
    "lobster": Family("lobster trees of 10 to 100 nodes", (10, 100), lobster),
    "sbm": Family("stochastic block models of 2 to 5 blocks of 20 to 40 nodes", (40, 200), sbm),
    "community_small": Family("two communities, 12 to 20 nodes", (12, 20), community_small, (64, 16, 20)),
    "grid": Family("grids of 10 to 20 by 10 to 20 nodes", (100, 400), grid, (64, 16, 20)),
}


def atlas() -> Iterator[Graph]:
    """All 1,253 graphs of up to seven nodes of Read and Wilson's Atlas, by networkx; four in five are for training."""
    import networkx

    listed = networkx.graph_atlas_g()
    place = np.argsort(permutation(len(listed), "atlas"))
    borders = (0.8 * len(listed), 0.9 * len(listed))
    for number, drawn in enumerate(listed):
        split = ("train", "validation", "test")[int(np.searchsorted(borders, place[number], side="right"))]
        edges = np.array(list(drawn.edges), np.int64).reshape(-1, 2)
        yield Graph(f"atlas_{number}", drawn.number_of_nodes(), edges, split=split)
