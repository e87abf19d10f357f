"""`graph_euler`: a walk along every edge, some of them twice (GraphGPT, arXiv 2401.00529).

    n0 n1 n2 n0 n2 n3          a triangle with a tail

A graph in several parts has a walk for each, with a mark between. Nodes are numbered as they appear, from a first
number that is drawn anew for every view (the paper's cyclic re-indexing), so that all numbers are trained alike. Labels
follow a node's first appearance and an edge's first step; of a directed graph that step has an arrow. A view is another
walk over the same steps, so it has as many tokens.
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
from domains.graphs.tokenizer.grammar import EulerGrammar
from domains.graphs.tokenizer.shared import GraphTokenizer, Parsed, Reading, WalkConfig, broken
from domains.graphs.walks import counted_euler_walks, euler_walks, made_eulerian

JUMP = "<jump>"
FORWARD, BACKWARD, BOTH = "<to>", "<from>", "<both>"
ARROWS = (FORWARD, BACKWARD, BOTH)
"""Of a step from u to v: an arc u to v, v to u, or both."""


@dataclass(frozen=True)
class EulerConfig(WalkConfig):
    """What the tokenizer can be told."""

    cyclic: bool = True
    """Whether the first node has any number, those that follow counting on from there; false: always n0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multi_edges:
            raise ConfigError("multi_edges: an Euler walk repeats edges by itself; take tokenizer=graph_sent")


class EulerTokenizer(GraphTokenizer[EulerConfig]):
    """Graphs to Euler walks and back."""

    kind = "graph_euler"
    config_class = EulerConfig

    def make_alphabet(self) -> Alphabet:
        c = self.config
        return Alphabet(
            c.max_nodes,
            marks=(JUMP,),
            arrows=ARROWS if c.directed else (),
            node_labels=c.node_labels,
            edge_labels=c.edge_labels,
            extension=c.extension,
        )

    def read(self, graph: Graph, draws: np.random.Generator, *, density: bool = False) -> Reading:
        """With `density` the repetitions are drawn first, and the density is that of a walk over them."""
        sides = np.sort(graph.edges, axis=1)
        if graph.directed:
            sides = np.unique(sides, axis=0)
        return self._walked(graph, made_eulerian(graph.n, sides, draws), draws, density)

    def read_again(self, parsed: Parsed, draws: np.random.Generator) -> Array:
        assert parsed.steps is not None
        return self._walked(parsed.graph, parsed.steps, draws, False).tokens

    def read_counted(self, parsed: Parsed, draws: np.random.Generator) -> Reading:
        """Another walk over the same steps, with its density. Averages of p / density count readings with just these
        repetitions, and so bound the graph's probability from below."""
        assert parsed.steps is not None
        return self._walked(parsed.graph, parsed.steps, draws, True)

    def _walked(self, graph: Graph, steps: Edges, draws: np.random.Generator, density: bool) -> Reading:
        log = math.nan
        if density:
            walks, log = counted_euler_walks(graph.n, steps, draws)
        else:
            walks = euler_walks(graph.n, steps, draws)
        shift = 0
        if self.config.cyclic:
            shift = int(draws.integers(self.config.max_nodes))
            log -= math.log(self.config.max_nodes)
        flat = np.concatenate([np.array([*walk, -1]) for walk in walks])[:-1]
        nodes = flat >= 0
        named, first = np.unique(flat[nodes], return_index=True)
        rank = np.empty(graph.n, np.int64)
        rank[named[np.argsort(first)]] = np.arange(graph.n)
        symbols = self.alphabet.first[Kind.NODE] + (rank[flat] + shift) % self.config.max_nodes
        tokens = np.where(nodes, symbols, self.alphabet.first[Kind.MARK])
        if graph.directed or graph.node_labels is not None or graph.edge_labels is not None:
            tokens = self._dressed(graph, flat.tolist(), tokens.tolist())
        return Reading(tokens.astype(self.vocabulary.dtype), log)

    def _dressed(self, graph: Graph, flat: list[int], plain: list[int]) -> Array:
        """The walk with arrows and labels put in."""
        arrow = self.alphabet.first[Kind.ARROW]
        node_ids = None if graph.node_labels is None else self.node_label_ids(graph).tolist()
        edge_ids = [None] * len(graph.edges) if graph.edge_labels is None else self.edge_label_ids(graph).tolist()
        arcs = dict(zip(map(tuple, graph.edges.tolist()), edge_ids, strict=True))
        seen: set[int] = set()
        walked: set[tuple[int, int]] = set()
        tokens: list[int] = []
        before = -1
        for here, symbol in zip(flat, plain, strict=True):
            tokens.append(symbol)
            if here >= 0 and here not in seen:
                seen.add(here)
                tokens += [] if node_ids is None else [node_ids[here]]
            side = (min(before, here), max(before, here))
            if before >= 0 and here >= 0 and side not in walked:
                walked.add(side)
                ways = [(before, here), (here, before)] if before != here else [side]
                there = [way for way in ways if way in arcs]
                if graph.directed:
                    tokens.append(arrow + (2 if len(there) == 2 else ways.index(there[0])))
                tokens += [arcs[way] for way in there if arcs[way] is not None]
            before = here
        return np.array(tokens, np.int64)

    def parse(self, tokens: Array, name: str) -> Parsed:
        if self.config.directed or self.config.labels != "none":
            return self._parse_dressed(tokens, name)
        kinds, values = self.alphabet.kinds[tokens], self.alphabet.values[tokens]
        nodes = kinds == Kind.NODE

        def check(wrong: NDArray[np.bool_], expected: str) -> None:
            if wrong.any():
                at = int(np.argmax(wrong))
                raise broken(name, at, expected, self.vocabulary.symbol(int(tokens[at])))

        if not len(tokens) or not nodes[-1]:
            raise broken(name, len(tokens), "a node", "the end")
        check(~nodes & (kinds != Kind.MARK), "a node")
        check(~nodes & np.append(True, ~nodes[:-1]), "a node")
        ranks = (values - values[0]) % self.config.max_nodes
        if not self.config.cyclic and values[0]:
            raise broken(name, 0, "n0", self.vocabulary.symbol(int(tokens[0])))
        ranks[~nodes] = -1
        most = np.concatenate(([-1], np.maximum.accumulate(ranks)[:-1]))
        check(ranks > most + 1, "a node that was named before, or the next one")
        after_jump = np.append(False, ~nodes[:-1])
        check(after_jump & (ranks <= most), "a new node after a jump")
        linked = nodes[1:] & nodes[:-1]
        steps = np.stack([ranks[:-1], ranks[1:]], axis=1)[linked]
        loops = np.append(False, linked & (ranks[:-1] == ranks[1:]))
        check(loops & (not self.config.self_loops), "another node")
        n = int(ranks.max()) + 1
        return Parsed(Graph(name, n, np.unique(np.sort(steps, axis=1), axis=0)), steps)

    def _parse_dressed(self, tokens: Array, name: str) -> Parsed:
        """As `parse`, with arrows and labels."""
        config, alphabet = self.config, self.alphabet
        items = list(zip(alphabet.kinds[tokens].tolist(), alphabet.values[tokens].tolist(), strict=True))
        at = 0

        def take(kind: Kind, expected: str) -> int:
            nonlocal at
            if at >= len(items) or items[at][0] != kind:
                raise broken(
                    name, at, expected, self.vocabulary.symbol(int(tokens[at])) if at < len(items) else "the end"
                )
            at += 1
            return int(items[at - 1][1])

        edges: dict[tuple[int, int], int | None] = {}
        steps: list[tuple[int, int]] = []
        walked: set[tuple[int, int]] = set()
        labels: list[int] = []
        n, shift, before = 0, 0, -1
        while True:
            value = take(Kind.NODE, "a node")
            shift = shift if n else value if config.cyclic else 0
            node = (value - shift) % config.max_nodes
            if node > n or (before < 0 and node < n) or (node == before and not config.self_loops):
                raise broken(name, at - 1, "a node that can follow", self.vocabulary.symbol(int(tokens[at - 1])))
            if node == n:
                n += 1
                if config.with_nodes:
                    labels.append(take(Kind.NODE_LABEL, "a node's label"))
            if before >= 0:
                side = (min(before, node), max(before, node))
                steps.append((before, node))
                if side not in walked:
                    walked.add(side)
                    ways = [(before, node)]
                    if config.directed:
                        arrow = take(Kind.ARROW, "an arrow")
                        ways = [[(before, node)], [(node, before)], [(before, node), (node, before)]][arrow]
                        if before == node and arrow:
                            raise broken(name, at - 1, FORWARD, ARROWS[arrow])
                    for way in ways:
                        edges[way] = take(Kind.EDGE_LABEL, "an edge's label") if config.with_edges else None
            before = node
            if at == len(items):
                break
            if items[at][0] == Kind.MARK:
                at, before = at + 1, -1
        pairs = np.array(list(edges), np.int64).reshape(-1, 2)
        graph = Graph(
            name,
            n,
            pairs if config.directed else np.sort(pairs, axis=1),
            tuple(alphabet.label(Kind.NODE_LABEL, i) for i in labels) if config.with_nodes else None,
            tuple(alphabet.label(Kind.EDGE_LABEL, int(i or 0)) for i in edges.values()) if config.with_edges else None,
            config.directed,
        )
        return Parsed(graph, np.array(steps, np.int64).reshape(-1, 2))

    def new_edges(self, tokens: Array) -> NDArray[np.bool_]:
        """The first step along each edge; both ways of a directed one count there."""
        return self._units(tokens) > 0

    def units(self, arrays: Any) -> NDArray[np.float64]:
        """Edges that each step brings: 2 where a first step has an arc either way."""
        return self._units(arrays["tokens"])

    def _units(self, tokens: Array) -> NDArray[np.float64]:
        kinds, values = self.alphabet.kinds[tokens], self.alphabet.values[tokens]
        found = np.zeros(len(tokens))
        at = np.flatnonzero((kinds == Kind.NODE) | (kinds == Kind.MARK))
        nodes = np.where(kinds[at] == Kind.NODE, values[at], -1)
        linked = np.flatnonzero((nodes[1:] >= 0) & (nodes[:-1] >= 0))
        low, high = np.minimum(nodes[linked], nodes[linked + 1]), np.maximum(nodes[linked], nodes[linked + 1])
        first = linked[np.sort(np.unique(low * len(self.alphabet) + high, return_index=True)[1])] + 1
        found[at[first]] = 1
        if self.config.directed:
            both = np.flatnonzero((kinds == Kind.ARROW) & (values == ARROWS.index(BOTH)))
            owner = at[np.searchsorted(at, both, side="right") - 1]
            found[owner] += 1
        return found

    def grammar(  # type: ignore[override]
        self, *, nodes: int | None = None, max_length: int | None = None
    ) -> EulerGrammar:
        c = self.config
        return EulerGrammar(
            self.alphabet,
            self_loops=c.self_loops,
            directed=c.directed,
            cyclic=c.cyclic,
            labels=(c.with_nodes, c.with_edges),
            nodes=self.most_nodes(nodes),
            length=max_length,
        )
