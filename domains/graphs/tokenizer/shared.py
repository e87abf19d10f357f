"""What every walk over a graph shares: the config, labels and their symbols, refusals, views, readings with a density.

A walk adds its symbols (`make_alphabet`), one random reading (`read`) and the way back (`parse`). The stored reading is
one such draw, made by the graph's own content; a view is another. All readings of a graph that a view may give have the
same number of tokens, so a batch is planned by the stored one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError
from core.grammar import Grammar
from core.order import rng
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import Vocabulary
from domains.graphs.graph import Graph, ordered
from domains.graphs.isomorphism import isomorphic
from domains.graphs.tokenizer.alphabet import Alphabet, Kind

LABELS = ("none", "nodes", "edges", "both")


@dataclass(frozen=True)
class WalkConfig:
    """What all of them can be told."""

    max_nodes: int = 128
    """How many node indices there are; a larger graph is refused. 128: of the benchmarks all but sbm and grid."""
    labels: str = "none"
    """Which labels have symbols, learned from training graphs: none, nodes, edges, both. A graph must have those that
    have symbols and no others."""
    directed: bool = False
    """Whether graphs are directed; the other kind is refused."""
    self_loops: bool = False
    """Whether an edge may lead to where it starts; false refuses such graphs."""
    multi_edges: bool = False
    """Whether two nodes may be joined more than once; false refuses such graphs."""
    node_labels: tuple[str, ...] = ()
    """What `fit` found."""
    edge_labels: tuple[str, ...] = ()
    """What `fit` found."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`: marks that stand in no record and are left out by decode."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.type == "tuple[str, ...]":
                object.__setattr__(self, f.name, tuple(value))
            elif f.type == "bool" and not isinstance(value, bool):
                raise ConfigError(f"{f.name}: got {value!r}, allowed: true, false")
        if not isinstance(self.max_nodes, int) or self.max_nodes < 1:
            raise ConfigError(f"max_nodes: got {self.max_nodes!r}, allowed: a positive whole number")
        if self.labels not in LABELS:
            raise ConfigError(f"labels: got {self.labels!r}, allowed: {', '.join(LABELS)}")

    @property
    def with_nodes(self) -> bool:
        return self.labels in ("nodes", "both")

    @property
    def with_edges(self) -> bool:
        return self.labels in ("edges", "both")


Config = TypeVar("Config", bound=WalkConfig)


@dataclass(frozen=True)
class Reading:
    """One way through a graph."""

    tokens: Array
    """(T,)"""
    log_density: float
    """Log-probability of the choices that led to it, in nats; NaN where they were not counted."""


@dataclass
class Parsed:
    """What tokens say: a graph, and what a walk must remember to walk anew in as many tokens."""

    graph: Graph
    steps: NDArray[np.int64] | None = None
    """Of Euler walks: (S, 2) every step, repetitions included; components by their first nodes."""


class GraphTokenizer(ConfiguredTokenizer[Graph, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for every walk."""

    natural_unit: ClassVar[str] = "edge"
    config_class: ClassVar[Any]

    def make_alphabet(self) -> Alphabet:
        raise NotImplementedError

    def read(self, graph: Graph, draws: np.random.Generator, *, density: bool = False) -> Reading:
        """A random reading of a graph that `check` let through.

        Args:
            density: count the log-probability of the choices, which may take longer.
        """
        raise NotImplementedError

    def parse(self, tokens: Array, name: str) -> Parsed:
        """Raises RecordError where the tokens are no walk."""
        raise NotImplementedError

    def read_again(self, parsed: Parsed, draws: np.random.Generator) -> Array:
        """Another reading, of as many tokens."""
        return self.read(parsed.graph, draws).tokens

    def read_counted(self, parsed: Parsed, draws: np.random.Generator) -> Reading:
        """Another reading, with its density: what an average over orders needs."""
        return self.read(parsed.graph, draws, density=True)

    @property
    def remedies(self) -> dict[str, str]:
        """What helps where a graph has no place in this alphabet; see `core.ingest.source.RecordSource`."""
        config = self.config
        spelled = "nodes, edges or both" if config.labels == "none" else "both"
        other = str(not config.directed).lower()
        return {
            "too_many_nodes": f"tokenizer.max_nodes (now {config.max_nodes}) must reach the largest graph's nodes.",
            "directed": f"tokenizer.directed={other} reads arcs as arcs, data.directions=drop as edges.",
            "undirected": f"tokenizer.directed={other} reads undirected graphs.",
            "self_loop": "tokenizer.self_loops=true keeps loops, data.self_loops=drop leaves them out.",
            "multi_edge": "tokenizer.multi_edges=true keeps parallel edges, data.multi_edges=drop leaves them out.",
            "has_labels": f"tokenizer.labels={config.labels} leaves labels without symbols: set it to {spelled}, "
            "or leave them out with data.node_labels=drop data.edge_labels=drop.",
            "lacks_labels": f"tokenizer.labels={config.labels} asks for labels that these graphs lack: set it to none, "
            "or leave the graphs out.",
        }

    @property
    def needs_fit(self) -> bool:
        config = self.config
        return (config.with_nodes and not config.node_labels) or (config.with_edges and not config.edge_labels)

    def fit(self, train_records: Iterable[Graph]) -> Self:
        """A tokenizer with a symbol for every label that training graphs have; itself where labels have none.

        Raises ConfigError where no training graph has the labels that were asked for.
        """
        if not self.needs_fit:
            return self
        nodes: set[str] = set()
        edges: set[str] = set()
        for graph in train_records:
            nodes.update(graph.node_labels or ())
            edges.update(graph.edge_labels or ())
        config = self.config
        for wanted, found, what in ((config.with_nodes, nodes, "nodes"), (config.with_edges, edges, "edges")):
            if wanted and not found:
                raise ConfigError(f"tokenizer.labels={config.labels}: no training graph has labels of {what}")
        return type(self)(
            replace(
                config,
                node_labels=tuple(sorted(nodes)) if config.with_nodes else (),
                edge_labels=tuple(sorted(edges)) if config.with_edges else (),
            )
        )

    @cached_property
    def alphabet(self) -> Alphabet:
        return self.make_alphabet()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return self.alphabet.vocabulary

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: Graph) -> Sequence:
        """The stored reading: drawn at random, by nothing but the graph as it is numbered.

        Raises RecordError as `canonical`, and `unknown_label` for a label that training did not have.
        """
        graph = self.canonical(record)
        return Sequence({"tokens": self.read(graph, _own_draws(graph)).tokens}, record.id)

    def decode(self, sequence: Sequence) -> Graph:
        """Nodes are numbered as they appear. Raises RecordError where the tokens are no walk of this kind."""
        tokens = sequence.arrays["tokens"]
        if self.config.extension:
            tokens = tokens[self.alphabet.kinds[tokens] != Kind.OTHER]
        graph = self.parse(tokens, sequence.id).graph
        graph.labels = dict(sequence.labels)
        return graph

    def canonical(self, record: Graph) -> Graph:
        """Edges in order. Names of nodes are their numbers; a graph's own labels are no part of it.

        Raises RecordError with the reason `too_many_nodes`, `no_node`, `directed`, `undirected`, `self_loop`,
        `multi_edge`, `has_labels` or `lacks_labels`.
        """
        if not isinstance(record, Graph):
            raise RecordError("no_graph", f"expected a Graph, got {type(record).__name__}")
        self._check(record)
        graph = ordered(
            Graph(record.id, record.n, record.edges, record.node_labels, record.edge_labels, record.directed)
        )
        if not self.config.multi_edges and (graph.edges[1:] == graph.edges[:-1]).all(1).any():
            raise RecordError(
                "multi_edge",
                f"graph '{record.id}' joins two nodes more than once",
                record=record.id,
                hint=self.remedies["multi_edge"],
            )
        return graph

    def same(self, a: Graph, b: Graph) -> bool:
        """Whether ids are equal and the graphs isomorphic, labels and direction counted: a walk names no node."""
        return a.id == b.id and isomorphic(ordered(a), ordered(b)) is True

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """1 for each token that brings a new edge."""
        return self.new_edges(arrays["tokens"]).astype(np.float64)

    def new_edges(self, tokens: Array) -> NDArray[np.bool_]:
        """(T,) which tokens bring an edge that was not there before."""
        raise NotImplementedError

    def grammar(  # type: ignore[override]
        self, *, nodes: int | None = None, max_length: int | None = None
    ) -> Grammar[Any]:
        """The automaton of all sequences that decode.

        Args:
            nodes: how many a graph has at most; None for as many as there are symbols, `max_nodes`.
            max_length: tokens that a sequence has at most; None for any number.

        Raises ValueError for a number of nodes that is not from 1 to `max_nodes`.
        """
        raise NotImplementedError

    def most_nodes(self, limit: int | None) -> int:
        """How many nodes a graph has at most under a grammar's limit. Raises ValueError as `grammar`."""
        most = int(self.config.max_nodes)
        if limit is None:
            return most
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= most:
            raise ValueError(f"nodes: got {limit!r}, allowed: 1 to {most}")
        return limit

    def view_record(self, record: Graph, rng: np.random.Generator) -> Sequence:
        """Another walk."""
        return Sequence({"tokens": self.read(self.canonical(record), rng).tokens}, record.id)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Another walk over the graph; the same arrays for a window that is not one whole graph."""
        tokens = arrays["tokens"]
        try:
            parsed = self.parse(tokens, "")
        except RecordError:
            return arrays
        return {**arrays, "tokens": self.read_again(parsed, rng)}

    def node_label_ids(self, graph: Graph) -> Array:
        """(n,) ids of the nodes' labels. Raises RecordError for a label without a symbol."""
        return self._label_ids(graph, Kind.NODE_LABEL, graph.node_labels or (), "node")

    def edge_label_ids(self, graph: Graph) -> Array:
        """(E,) ids of the edges' labels. Raises RecordError for a label without a symbol."""
        return self._label_ids(graph, Kind.EDGE_LABEL, graph.edge_labels or (), "edge")

    def _label_ids(self, graph: Graph, kind: Kind, labels: Iterable[str], what: str) -> Array:
        known = self.alphabet.label_ids(kind)
        try:
            return np.array([known[label] for label in labels], np.int64)
        except KeyError as error:
            raise RecordError(
                "unknown_label",
                f"graph '{graph.id}': no training graph has the {what} label {error.args[0]!r}",
                record=graph.id,
            ) from None

    def _check(self, graph: Graph) -> None:
        config = self.config

        def refuse(reason: str, what: str) -> None:
            hint = self.remedies.get(reason, "")
            raise RecordError(reason, f"graph '{graph.id}' {what}", record=graph.id, hint=hint)

        if graph.n < 1:
            refuse("no_node", "has no node")
        if graph.n > config.max_nodes:
            refuse("too_many_nodes", f"has {graph.n:,} nodes, max_nodes is {config.max_nodes}")
        if len(graph.edges) and not 0 <= graph.edges.min() <= graph.edges.max() < graph.n:
            refuse("dangling_edge", f"has an edge to a node outside 0 to {graph.n - 1}")
        if graph.directed != config.directed:
            kind = "directed" if graph.directed else "undirected"
            refuse(kind, f"is {kind}")
        if not config.self_loops and (graph.edges[:, 0] == graph.edges[:, 1]).any():
            refuse("self_loop", "has an edge from a node to itself")
        for wanted, labels, what, count in (
            (config.with_nodes, graph.node_labels, "node", graph.n),
            (config.with_edges, graph.edge_labels, "edge", len(graph.edges)),
        ):
            if labels is not None and not wanted:
                refuse("has_labels", f"has {what} labels")
            if labels is None and wanted and count:
                refuse("lacks_labels", f"has no {what} labels")
            if labels is not None and len(labels) != count:
                refuse("lacks_labels", f"has {len(labels)} {what} labels for {count} {what}s")


def _own_draws(graph: Graph) -> np.random.Generator:
    """Random numbers that are a function of the graph as it is numbered."""
    text = f"{graph.n};{graph.directed};{graph.node_labels};{graph.edge_labels};".encode()
    return rng("reading", blake2b(text + graph.edges.astype("<i8").tobytes(), digest_size=8).hexdigest())


def log_factorial(n: int) -> float:
    return math.lgamma(n + 1)


def broken(name: str, position: int, expected: str, got: str) -> RecordError:
    """The error for tokens that are no walk."""
    return RecordError(
        "no_walk",
        f"sequence '{name}', token {position}: expected {expected}, got {got}",
        record=name,
        position=position,
    )
