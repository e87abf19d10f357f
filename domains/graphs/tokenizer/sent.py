"""`graph_sent`: a walk over nodes, each followed by its edges to nodes that came before (AutoGraph, arXiv 2502.02216).

    n0  n1 e0  n2 e1 e0  n3 e2          a triangle with a tail

Every prefix that ends before a node is an induced subgraph. The paper leaves the edge that the walk goes along unsaid,
puts the others in brackets and marks where the walk is broken off; here each edge stands as one reference, the newest
node first, so that any walk over a graph has n + m tokens: a view fits where the stored reading did. A reference is
to an earlier node (`e0`; of an arc that comes from there, `i0`); labels follow their node or edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array
from domains.graphs.graph import Graph
from domains.graphs.tokenizer.alphabet import Alphabet, Kind
from domains.graphs.tokenizer.grammar import SentGrammar
from domains.graphs.tokenizer.shared import GraphTokenizer, Parsed, Reading, WalkConfig, broken
from domains.graphs.walks import ORDERS, neighbour_lists, visit


@dataclass(frozen=True)
class SentConfig(WalkConfig):
    """What the tokenizer can be told."""

    order: str = "walk"
    """In which nodes come: a random `walk` as the paper's; `dfs`, `bfs`; or, with little left to chance, those whose
    neighbours came last (`lexdfs`), first (`lexbfs`), or are the most (`mcs`). See `domains.graphs.walks.visit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise ConfigError(f"order: got {self.order!r}, allowed: {', '.join(ORDERS)}")


class SentTokenizer(GraphTokenizer[SentConfig]):
    """Graphs to nodes with references and back."""

    kind = "graph_sent"
    config_class = SentConfig

    def make_alphabet(self) -> Alphabet:
        c = self.config
        return Alphabet(
            c.max_nodes,
            back=True,
            into=c.directed,
            node_labels=c.node_labels,
            edge_labels=c.edge_labels,
            extension=c.extension,
        )

    def read(self, graph: Graph, draws: np.random.Generator, *, density: bool = False) -> Reading:
        order, log = visit(neighbour_lists(graph.n, graph.edges), draws, self.config.order)
        return Reading(self._written(graph, np.array(order, np.int64)), log)

    def _written(self, graph: Graph, order: NDArray[np.int64]) -> Array:
        """The tokens (T,) of a graph whose nodes come in this order."""
        n, m, first = graph.n, len(graph.edges), self.alphabet.first
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        ends = rank[graph.edges]
        later, earlier = ends.max(1), ends.min(1)
        into = (ends[:, 1] == later) & (ends[:, 0] != later) if graph.directed else np.zeros(m, bool)
        label_ids = None if graph.edge_labels is None else self.edge_label_ids(graph)
        keys = (2 * earlier + ~into) if label_ids is None else (2 * earlier + ~into) * len(self.alphabet) + label_ids
        newest_first = np.lexsort((-keys, later))
        wide_node, wide_edge = 1 + (graph.node_labels is not None), 1 + (label_ids is not None)
        tokens = np.empty(n * wide_node + m * wide_edge, self.vocabulary.dtype)
        before = np.concatenate(([0], np.cumsum(np.bincount(later, minlength=n))))[:-1]
        at_node = np.arange(n) * wide_node + before * wide_edge
        tokens[at_node] = first[Kind.NODE] + np.arange(n)
        if graph.node_labels is not None:
            tokens[at_node + 1] = self.node_label_ids(graph)[order]
        at_edge = (later[newest_first] + 1) * wide_node + np.arange(m) * wide_edge
        reference = np.where(into, first[Kind.INTO], first[Kind.BACK]) + earlier
        tokens[at_edge] = reference[newest_first]
        if label_ids is not None:
            tokens[at_edge + 1] = label_ids[newest_first]
        return tokens

    def parse(self, tokens: Array, name: str) -> Parsed:
        config, alphabet = self.config, self.alphabet
        kinds, values = alphabet.kinds[tokens], alphabet.values[tokens]
        is_node = kinds == Kind.NODE
        is_edge = (kinds == Kind.BACK) | (kinds == Kind.INTO)
        n = int(is_node.sum())

        def check(wrong: NDArray[np.bool_], expected: str) -> None:
            if wrong.any():
                at = int(np.argmax(wrong))
                raise broken(
                    name, at, expected, self.vocabulary.symbol(int(tokens[at])) if at < len(tokens) else "the end"
                )

        if not len(tokens):
            raise broken(name, 0, "a node", "nothing")
        check(~(is_node | is_edge | (kinds == Kind.NODE_LABEL) | (kinds == Kind.EDGE_LABEL)), "a node or an edge")
        newest = np.cumsum(is_node) - 1
        check(is_node & (values != newest), "the next node")
        check(is_edge & ((newest < values) | (~np.bool_(config.self_loops) & (newest == values))), "an earlier node")
        check(is_edge & (newest == values) & (kinds == Kind.INTO), "a loop as a reference")
        for there, label, wanted in (
            (is_node, kinds == Kind.NODE_LABEL, config.with_nodes),
            (is_edge, kinds == Kind.EDGE_LABEL, config.with_edges),
        ):
            due = np.zeros(len(tokens) + 1, bool)
            due[1:] = there & wanted
            check(due != np.append(label, False), "a label where one is due and nowhere else")
        keys = (2 * values + (kinds == Kind.BACK))[is_edge]
        owner = newest[is_edge]
        again = np.zeros(len(tokens), bool)
        rising = (keys[1:] >= keys[:-1]) if not config.multi_edges else (keys[1:] > keys[:-1])
        again[np.flatnonzero(is_edge)[1:]] = (owner[1:] == owner[:-1]) & rising
        check(again, "edges to ever older nodes, each once")
        into = kinds[is_edge] == Kind.INTO
        ends = np.stack([owner, values[is_edge]], axis=1)
        edges = np.where(into[:, None], ends[:, ::-1], ends)
        labels: dict[str, Any] = {}
        if config.with_nodes:
            labels["node_labels"] = tuple(alphabet.label(Kind.NODE_LABEL, i) for i in values[kinds == Kind.NODE_LABEL])
        if config.with_edges:
            labels["edge_labels"] = tuple(alphabet.label(Kind.EDGE_LABEL, i) for i in values[kinds == Kind.EDGE_LABEL])
        return Parsed(Graph(name, n, edges, directed=config.directed, **labels))

    def new_edges(self, tokens: Array) -> NDArray[np.bool_]:
        kinds = self.alphabet.kinds[tokens]
        found: NDArray[np.bool_] = (kinds == Kind.BACK) | (kinds == Kind.INTO)
        return found

    def grammar(  # type: ignore[override]
        self, *, nodes: int | None = None, max_length: int | None = None
    ) -> SentGrammar:
        c = self.config
        return SentGrammar(
            self.alphabet,
            self_loops=c.self_loops,
            multi_edges=c.multi_edges,
            labels=(c.with_nodes, c.with_edges),
            nodes=self.most_nodes(nodes),
            length=max_length,
        )
