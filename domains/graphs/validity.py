"""Whether a graph is one of a family: a test for each, as sharp as the family allows.

Trees, lobsters, grids and planarity are decided exactly. Of a stochastic block model there is no proof: blocks are
found by spectral clustering, and the estimated edge probabilities are compared with the model's by the Wald test of
SPECTRE (arXiv 2204.01613), whose variance is that of a single pair; it is passed where the mean p-value is above 0.9.
The paper finds its blocks with graph-tool.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from domains.graphs.atoms import is_molecule
from domains.graphs.families import BLOCK_NODES, BLOCKS, P_INTER, P_INTRA, grid_edges
from domains.graphs.graph import Graph, components, degrees, part, to_networkx
from domains.graphs.isomorphism import isomorphic

_WALD_P = 0.9


def is_connected(graph: Graph) -> bool:
    return bool(components(graph).max(initial=0) == 0)


def is_planar(graph: Graph) -> bool:
    """Connected, and drawn without crossings (Boyer and Myrvold's test, by networkx)."""
    import networkx

    return is_connected(graph) and bool(networkx.check_planarity(to_networkx(graph))[0])


def is_tree(graph: Graph) -> bool:
    return len(graph.edges) == graph.n - 1 and is_connected(graph)


def is_lobster(graph: Graph) -> bool:
    """A tree of which a path is left when its leaves are taken away twice."""
    if not is_tree(graph):
        return False
    for _ in range(2):
        inner = np.flatnonzero(degrees(graph) > 1)
        if len(inner) < 2:
            return True
        graph = part(graph, inner)
    return bool(degrees(graph).max(initial=0) <= 2)


def is_grid(graph: Graph) -> bool:
    """w by h nodes for some w and h of at least 2: 2wh - w - h edges, then isomorphism."""
    for w in range(2, int(graph.n**0.5) + 1):
        h, left = divmod(graph.n, w)
        if not left and len(graph.edges) == 2 * w * h - w - h:
            return isomorphic(graph, Graph("", graph.n, grid_edges(w, h))) is True
    return False


def is_community(graph: Graph) -> bool:
    """Connected, and cut by the Fiedler vector into two halves, equal to one node, each of p > 0.5 within and with at
    most a tenth of the graph's edges between them: of made ones 92 in 100 pass."""
    if not is_connected(graph) or graph.n < 4:
        return False
    block = _clusters(graph, 2)
    sizes = np.bincount(block, minlength=2)
    if abs(int(sizes[0]) - int(sizes[1])) > 1:
        return False
    across = block[graph.edges[:, 0]] != block[graph.edges[:, 1]]
    inside = np.bincount(block[graph.edges[~across, 0]], minlength=2) / (sizes * (sizes - 1) / 2)
    return bool(across.sum() <= 0.1 * len(graph.edges) and inside.min() > 0.5)


def is_sbm(graph: Graph) -> bool:
    """Two to five blocks of 20 to 40 nodes, with the model's probabilities: of made ones 97 in 100 pass. See the page's
    head."""
    from scipy.stats import chi2

    best, score = np.zeros(graph.n, np.int64), np.inf
    for several in range(BLOCKS[0], BLOCKS[1] + 1):
        if graph.n >= several * BLOCK_NODES[0] // 2:
            block = _clusters(graph, several)
            cost = _description(graph, block)
            best, score = (block, cost) if cost < score else (best, score)
    sizes = np.bincount(best)
    if len(sizes) < BLOCKS[0] or sizes.min() < BLOCK_NODES[0] or sizes.max() > BLOCK_NODES[1]:
        return False
    edges, pairs = _block_counts(graph, best)
    upper = np.triu_indices(len(sizes))
    wanted = np.where(np.eye(len(sizes), dtype=bool), P_INTRA, P_INTER)[upper]
    found = edges[upper] / pairs[upper]
    wald = (found - wanted) ** 2 / (2 * found * (1 - found) + 1e-6)
    return bool((1 - chi2.cdf(wald, 1)).mean() > _WALD_P)


def _block_counts(graph: Graph, block: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, K) edges and pairs of nodes between blocks; symmetric."""
    sizes = np.bincount(block).astype(np.float64)
    edges = np.zeros((len(sizes), len(sizes)))
    ends = np.sort(block[graph.edges], axis=1)
    np.add.at(edges, (ends[:, 0], ends[:, 1]), 1)
    edges = np.triu(edges) + np.triu(edges, 1).T
    return edges, np.outer(sizes, sizes) - np.diag(sizes * (sizes + 1) / 2)


def _description(graph: Graph, block: NDArray[np.int64]) -> float:
    """Nats of the edges given the blocks, and of the blocks: what the number of blocks is chosen by."""
    edges, pairs = _block_counts(graph, block)
    upper = np.triu_indices(len(edges))
    share = np.clip(edges[upper] / np.maximum(pairs[upper], 1), 1e-9, 1 - 1e-9)
    nats = -(edges[upper] * np.log(share) + (pairs[upper] - edges[upper]) * np.log(1 - share)).sum()
    return float(nats + graph.n * np.log(len(edges)) + len(share) * np.log(max(2, graph.n)))


def _clusters(graph: Graph, several: int) -> NDArray[np.int64]:
    """(n,) blocks 0 .. several-1 by k-means on eigenvectors of the normalised adjacency (Ng et al. 2002)."""
    from scipy.cluster.vq import kmeans2

    adjacency = np.zeros((graph.n, graph.n))
    adjacency[graph.edges[:, 0], graph.edges[:, 1]] = adjacency[graph.edges[:, 1], graph.edges[:, 0]] = 1
    scale = 1 / np.sqrt(np.maximum(adjacency.sum(1), 1))
    vectors = np.linalg.eigh(scale[:, None] * adjacency * scale)[1][:, -several:]
    if several == 2:
        order = np.argsort(vectors[:, 0] * scale)
        best = min((_cut(graph, order, at), at) for at in range(max(1, graph.n // 4), max(2, graph.n - graph.n // 4)))[
            1
        ]
        block = np.zeros(graph.n, np.int64)
        block[order[best:]] = 1
        return block
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of an empty cluster: then there are fewer blocks
        found = kmeans2(rows, several, minit="++", rng=np.random.default_rng(0))[1]
    blocks: NDArray[np.int64] = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return blocks


def _cut(graph: Graph, order: NDArray[np.int64], at: int) -> float:
    """Normalised cut (Shi and Malik 2000) of the first `at` nodes from the rest."""
    first = np.zeros(graph.n, bool)
    first[order[:at]] = True
    inside = first[graph.edges]
    across = float((inside[:, 0] != inside[:, 1]).sum())
    ends = float(inside.sum()), float((~inside).sum())
    return across / max(ends[0], 1) + across / max(ends[1], 1)


CHECKS: Mapping[str, Callable[[Graph], bool]] = {
    "planar": is_planar,
    "tree": is_tree,
    "lobster": is_lobster,
    "sbm": is_sbm,
    "community_small": is_community,
    "grid": is_grid,
    "molecule": is_molecule,
    "connected": is_connected,
}
"""By the family's name; `connected` for graphs of no family."""
