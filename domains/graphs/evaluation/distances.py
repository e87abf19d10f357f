"""How far sets of graphs are apart: squared MMD of degrees, clustering, orbits and spectrum, as the benchmark has them.

Descriptors and bandwidths are those of SPECTRE (arXiv 2204.01613) and DiGress (arXiv 2209.14734): a Gaussian kernel of
the total variation distance (`tv`), or of the earth mover's distance between histograms (`emd`, GraphRNN, arXiv
1802.08773). The estimate is the biased one of the benchmark: of two samples of one family it is above 0, which the row
`train` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation import jackknife
from domains.graphs.graph import Graph, degrees

Rows = NDArray[np.float64]
KERNELS = ("tv", "emd")
CLUSTERING_BINS, SPECTRUM_BINS = 100, 200


@dataclass(frozen=True)
class Descriptor:
    """What is measured of a graph."""

    of: Callable[[Graph], Rows]
    sigma: float
    """Bandwidth of the kernel."""
    histogram: bool = True
    """Whether it is brought to sum 1; else it is compared as it is, by total variation."""
    bin: float = 1.0
    """Width of a bin, for the earth mover's distance."""


def adjacency(graph: Graph) -> Rows:
    """(n, n) 0 or 1; direction, loops and repetition disregarded."""
    found = np.zeros((graph.n, graph.n))
    found[graph.edges[:, 0], graph.edges[:, 1]] = found[graph.edges[:, 1], graph.edges[:, 0]] = 1
    np.fill_diagonal(found, 0)
    return found


def degree_histogram(graph: Graph) -> Rows:
    return np.bincount(degrees(graph)).astype(np.float64)


def clustering(graph: Graph) -> Rows:
    """(n,) share of a node's pairs of neighbours that are joined (Watts and Strogatz 1998)."""
    a = adjacency(graph)
    degree = a.sum(1)
    closed = ((a @ a) * a).sum(1)
    found: Rows = closed / np.maximum(degree * (degree - 1), 1)
    return found


def clustering_histogram(graph: Graph) -> Rows:
    return np.histogram(clustering(graph), CLUSTERING_BINS, (0.0, 1.0))[0].astype(np.float64)


def spectrum_histogram(graph: Graph) -> Rows:
    """Eigenvalues of the normalised Laplacian, from 0 to 2."""
    a = adjacency(graph)
    degree = a.sum(1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0)
    laplacian = np.diag((degree > 0).astype(np.float64)) - scale[:, None] * a * scale
    return np.histogram(np.linalg.eigvalsh(laplacian), SPECTRUM_BINS, (-1e-5, 2.0 + 1e-5))[0].astype(np.float64)


def orbits(graph: Graph) -> Rows:
    """(15,) how often a node, on average, stands in each orbit of the graphlets of up to four nodes (ORCA, Hocevar and
    Demsar 2014). Raises ImportError without the extra `chem`."""
    from orca import orca_nodes

    sides = np.unique(np.sort(graph.edges, axis=1), axis=0)
    sides = sides[sides[:, 0] != sides[:, 1]]
    if not len(sides):
        return np.zeros(15)
    found: Rows = np.asarray(orca_nodes(sides, graph.n), np.float64).sum(0) / graph.n
    return found


DESCRIPTORS: Mapping[str, Descriptor] = {
    "degree": Descriptor(degree_histogram, 1.0),
    "clustering": Descriptor(clustering_histogram, 0.1, bin=1 / CLUSTERING_BINS),
    "orbits": Descriptor(orbits, 30.0, histogram=False),
    "spectrum": Descriptor(spectrum_histogram, 1.0, bin=2 / SPECTRUM_BINS),
}


def can_count_orbits() -> bool:
    """Whether the library of the extra `chem` is there."""
    from importlib.util import find_spec

    return find_spec("orca") is not None


def described(descriptor: Descriptor, graphs: Sequence[Graph]) -> list[Rows]:
    """One vector a graph."""
    found = []
    for graph in graphs:
        vector = descriptor.of(graph)
        found.append(vector / max(vector.sum(), 1e-12) if descriptor.histogram else vector)
    return found


def kernel(descriptor: Descriptor, a: Sequence[Rows], b: Sequence[Rows], kind: str) -> Rows:
    """(A, B) exp(-d^2 / 2 sigma^2) of every pair."""
    width = max(len(row) for row in (*a, *b))
    x, y = (np.stack([np.pad(row, (0, width - len(row))) for row in rows]) for rows in (a, b))
    if kind == "emd" and descriptor.histogram:
        distance = descriptor.bin * np.abs(x.cumsum(1)[:, None] - y.cumsum(1)[None]).sum(2)
    else:
        distance = np.abs(x[:, None] - y[None]).sum(2) / 2
    found: Rows = np.exp(-(distance**2) / (2 * descriptor.sigma**2))
    return found


def squared_mmd(
    descriptor: Descriptor, mine: Sequence[Rows], theirs: Sequence[Rows], kind: str = "tv"
) -> tuple[float, float, float]:
    """(value, low, high) of the squared MMD between two sets; the interval leaves out one of `mine` at a time."""
    xx, xy = kernel(descriptor, mine, mine, kind), kernel(descriptor, mine, theirs, kind)
    yy = float(kernel(descriptor, theirs, theirs, kind).mean())
    across = xy.mean(1)

    def statistic(weights: NDArray[np.float64]) -> float:
        share = weights / weights.sum()
        return float(share @ xx @ share + yy - 2 * share @ across)

    value, low, high = jackknife(statistic, len(mine))
    return max(value, 0.0), max(low, 0.0), max(high, 0.0)  # below 0 by rounding only
