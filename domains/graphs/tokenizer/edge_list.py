"""`graph_edges`: the nodes, a mark, then the edges as pairs of nodes (G2PT, arXiv 2501.01073).

    n0 n1 n2 n3 <edges> n0 n1  n1 n2  n0 n2  n2 n3          a triangle with a tail

Nodes without an edge stand in the first section, so graphs in several parts survive. The order of edges is that of a
traversal, of G2PT's removal by degree, or uniform; nodes are numbered as they appear in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.sequence import Array
from domains.graphs.graph import Edges, Graph
from domains.graphs.tokenizer.alphabet import Alphabet, Kind
from domains.graphs.tokenizer.grammar import EdgesGrammar
from domains.graphs.tokenizer.shared import GraphTokenizer, Parsed, Reading, WalkConfig, broken, log_factorial
from domains.graphs.walks import neighbour_lists, removal_order, visit

MARK = "<edges>"
ORDERS = ("bfs", "dfs", "degree", "uniform")


@dataclass(frozen=True)
class EdgesConfig(WalkConfig):
    """What the tokenizer can be told."""

    order: str = "bfs"
    """Of edges: as a traversal meets them, breadth first (`bfs`) or depth first (`dfs`); `degree`, the paper's best, by
    taking away edges of nodes of least degree, backwards; `uniform`, any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise ConfigError(f"order: got {self.order!r}, allowed: {', '.join(ORDERS)}")


class EdgesTokenizer(GraphTokenizer[EdgesConfig]):
    """Graphs to a section of nodes and one of edges, and back."""

    kind = "graph_edges"
    config_class = EdgesConfig

    def make_alphabet(self) -> Alphabet:
        c = self.config
        return Alphabet(
            c.max_nodes,
            marks=(MARK,),
            node_labels=c.node_labels,
            edge_labels=c.edge_labels,
            extension=c.extension,
        )

    def read(self, graph: Graph, draws: np.random.Generator, *, density: bool = False) -> Reading:
        if self.config.order in ("bfs", "dfs"):
            visited, log = visit(neighbour_lists(graph.n, graph.edges), draws, self.config.order)
            order = np.array(visited, np.int64)
            rank = np.empty(graph.n, np.int64)
            rank[order] = np.arange(graph.n)
            ends = rank[graph.edges]
            taken = np.lexsort((ends.min(1), ends.max(1)))
            pairs = ends[taken] if graph.directed else np.sort(ends[taken], axis=1)
            return Reading(self._written(graph, order, taken, pairs), log)
        m = len(graph.edges)
        if self.config.order == "degree":
            listed, log = removal_order(graph.n, graph.edges, draws)
            taken = np.array(listed, np.int64)
        else:
            taken, log = draws.permutation(m), -log_factorial(m)
        pairs = graph.edges[taken]
        if not graph.directed:
            turned = draws.random(m) < 0.5
            pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
            log -= int((pairs[:, 0] != pairs[:, 1]).sum()) * math.log(2)
        order, lonely = _as_they_appear(graph.n, pairs, draws)
        rank = np.empty(graph.n, np.int64)
        rank[order] = np.arange(graph.n)
        return Reading(self._written(graph, order, taken, rank[pairs]), log - log_factorial(lonely))

    def _written(self, graph: Graph, order: NDArray[np.int64], taken: NDArray[np.int64], pairs: Edges) -> Array:
        """The tokens of nodes in this order, and of the edges `taken` in theirs as `pairs` of new numbers."""
        node, n, m = self.alphabet.first[Kind.NODE], graph.n, len(taken)
        nodes = node + np.arange(n)
        if graph.node_labels is not None:
            nodes = np.stack([nodes, self.node_label_ids(graph)[order]], axis=1).ravel()
        edges = (node + pairs).reshape(m, 2)
        if graph.edge_labels is not None:
            edges = np.concatenate([edges, self.edge_label_ids(graph)[taken][:, None]], axis=1)
        mark = np.array([self.alphabet.first[Kind.MARK]])
        return np.concatenate([nodes, mark, edges.ravel()]).astype(self.vocabulary.dtype)

    def parse(self, tokens: Array, name: str) -> Parsed:
        config, alphabet = self.config, self.alphabet
        kinds, values = alphabet.kinds[tokens], alphabet.values[tokens]
        marks = np.flatnonzero(kinds == Kind.MARK)

        def wrong(at: int, expected: str) -> Exception:
            return broken(
                name, at, expected, self.vocabulary.symbol(int(tokens[at])) if at < len(tokens) else "the end"
            )

        if len(marks) != 1:
            raise wrong(int(marks[1]) if len(marks) else len(tokens), f"one {MARK}")
        at = int(marks[0])
        wide, long = 1 + config.with_nodes, 2 + config.with_edges
        if not at or at % wide:
            raise wrong(at, "a node" if not at else "a label")
        if (len(tokens) - at - 1) % long:
            raise wrong(len(tokens), "the rest of an edge")
        heads, edges = slice(0, at, wide), np.arange(at + 1, len(tokens)).reshape(-1, long)
        form = np.full(len(tokens), Kind.NODE)
        form[at] = Kind.MARK
        if config.with_nodes:
            form[1:at:2] = Kind.NODE_LABEL
        if config.with_edges:
            form[edges[:, 2]] = Kind.EDGE_LABEL
        if (odd := kinds != form).any():
            raise wrong(int(np.argmax(odd)), form_name(form[int(np.argmax(odd))]))
        n = at // wide
        if (odd := values[heads] != np.arange(n)).any():
            raise wrong(int(np.argmax(odd)) * wide, "the next node")
        pairs = values[edges[:, :2]]
        outside = (pairs >= n).any(1) | ((pairs[:, 0] == pairs[:, 1]) & (not config.self_loops))
        if outside.any():
            raise wrong(int(edges[int(np.argmax(outside)), 0]), "an edge between two nodes of the first section")
        if not config.multi_edges and len(pairs):
            sides = pairs if config.directed else np.sort(pairs, axis=1)
            first = np.unique(sides[:, 0] * n + sides[:, 1], return_index=True)[1]
            if len(first) < len(pairs):
                again = np.setdiff1d(np.arange(len(pairs)), first)[0]
                raise wrong(int(edges[again, 0]), "each edge once")
        labels: dict[str, Any] = {}
        if config.with_nodes:
            labels["node_labels"] = tuple(alphabet.label(Kind.NODE_LABEL, i) for i in values[1:at:2])
        if config.with_edges:
            labels["edge_labels"] = tuple(alphabet.label(Kind.EDGE_LABEL, i) for i in values[edges[:, 2]])
        return Parsed(Graph(name, n, pairs, directed=config.directed, **labels))

    def new_edges(self, tokens: Array) -> NDArray[np.bool_]:
        """The second node of each pair."""
        kinds = self.alphabet.kinds[tokens]
        behind = np.cumsum(kinds == Kind.MARK) > 0
        is_node = behind & (kinds == Kind.NODE)
        found: NDArray[np.bool_] = is_node & (np.cumsum(is_node) % 2 == 0)
        return found

    def grammar(  # type: ignore[override]
        self, *, nodes: int | None = None, max_length: int | None = None
    ) -> EdgesGrammar:
        c = self.config
        return EdgesGrammar(
            self.alphabet,
            self_loops=c.self_loops,
            multi_edges=c.multi_edges,
            directed=c.directed,
            labels=(c.with_nodes, c.with_edges),
            nodes=self.most_nodes(nodes),
            length=max_length,
        )


def form_name(kind: int) -> str:
    """What an error calls a kind of symbol."""
    return {Kind.NODE: "a node", Kind.NODE_LABEL: "a node's label", Kind.EDGE_LABEL: "an edge's label"}.get(
        Kind(kind), "a mark"
    )


def _as_they_appear(n: int, pairs: Edges, draws: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """(n,) nodes in the order in which pairs name them, those that none names last; and how many these are."""
    named, first = np.unique(pairs.ravel(), return_index=True)
    order = named[np.argsort(first)]
    alone = draws.permutation(np.setdiff1d(np.arange(n), named))
    return np.concatenate([order, alone]).astype(np.int64), len(alone)
