"""Nats per edge, averaged over orders, so that walks and tokenizers compare.

A model gives probabilities to readings; a graph has many. With readings w drawn with density q(w), the mean of
p(w) / q(w) is n! times the probability of the graph with numbered nodes, whatever the tokenizer: an importance average
(Chen et al., arXiv 2106.06189). Of k readings it is too small more often than too large, so nats are an upper bound
that falls with k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import Totals
from core.order import rng
from core.sequence import Sequence
from core.store import TokenStore
from domains.graphs.evaluation.samples import Scorer
from domains.graphs.graph import Graph
from domains.graphs.tokenizer.shared import GraphTokenizer


@dataclass(frozen=True)
class Likelihoods:
    """Of each graph of the split, in nats; (N,) each."""

    averaged: NDArray[np.float64]
    """-log of the mean of p / q over the readings."""
    single: NDArray[np.float64]
    """The mean of -log(p / q): one reading at a time."""
    reading: NDArray[np.float64]
    """The mean of -log p: what the model was trained on."""
    random: NDArray[np.float64]
    """Of an Erdos-Renyi graph fitted to training."""
    edges: NDArray[np.float64]

    def totals(self, nats: NDArray[np.float64]) -> Totals:
        return Totals(nats, self.edges)


def measure_likelihood(
    engine: Scorer,
    store: TokenStore,
    tokenizer: GraphTokenizer[Any],
    rows: list[int],
    training: list[Graph],
    *,
    walks: int,
    seed: int,
) -> Likelihoods:
    """Scores `walks` readings of each of the store's `rows`."""
    readings, graphs = [], []
    for row in rows:
        parsed = tokenizer.parse(store[row].arrays["tokens"], store.ids[row])
        graphs.append(parsed.graph)
        draws = rng("orders", seed, row)
        readings += [tokenizer.read_counted(parsed, draws) for _ in range(walks)]
    scores = engine.score([Sequence({"tokens": r.tokens}) for r in readings], mode="records")
    nll = np.array([score.nll for score in scores]).reshape(-1, walks)
    log = np.array([r.log_density for r in readings]).reshape(-1, walks)
    ratio = -nll - log
    top = ratio.max(1, keepdims=True)
    averaged = -(top[:, 0] + np.log(np.exp(ratio - top).mean(1)))
    fitted = RandomGraphs(training)
    return Likelihoods(
        averaged,
        -ratio.mean(1),
        nll.mean(1),
        np.array([fitted.nats(graph) for graph in graphs]),
        np.array([float(len(graph.edges)) for graph in graphs]),
    )


class RandomGraphs:
    """Erdos-Renyi graphs with training's sizes, mean degree and labels: the likelihood to beat.

    Sizes have Laplace's rule over the range that training has, and one beyond it; labels are drawn each by itself.
    """

    def __init__(self, training: list[Graph]) -> None:
        sizes = np.array([graph.n for graph in training])
        self.low, self.high = int(sizes.min()), int(sizes.max())
        self.sizes = np.bincount(sizes - self.low) + 1.0
        self.total = self.sizes.sum() + 1
        self.degree = sum(len(g.edges) for g in training) / max(1, sum(g.n for g in training))
        """Edges a node."""
        self.node_labels = _counts([label for g in training for label in g.node_labels or ()])
        self.edge_labels = _counts([label for g in training for label in g.edge_labels or ()])

    def nats(self, graph: Graph) -> float:
        """-log of n! times its probability with numbered nodes; loops and repeated edges count as edges do."""
        n, m = graph.n, len(graph.edges)
        pairs = n * (n - 1) / (1 if graph.directed else 2)
        p = min(max(self.degree * n / pairs if pairs else 0.5, 1e-9), 1 - 1e-9)
        size = self.sizes[n - self.low] if self.low <= n <= self.high else 1.0
        nats = math.log(self.total / size) - math.lgamma(n + 1)
        nats -= m * math.log(p) + max(0.0, pairs - m) * math.log(1 - p)
        for counts, labels in ((self.node_labels, graph.node_labels), (self.edge_labels, graph.edge_labels)):
            total = sum(counts.values()) + len(counts) + 1
            nats += sum(math.log(total / (counts.get(label, 0) + 1)) for label in labels or ())
        return nats


def _counts(labels: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for label in labels:
        found[label] = found.get(label, 0) + 1
    return found
