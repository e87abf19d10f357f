"""Drawn graphs and their V.U.N.: valid, unique, and new, over *all* samples, those that do not parse among them.

A graph is unique where none before it is isomorphic to it, and new where none of training is. Pairs that the search for
an isomorphism leaves open are counted. Beside the model stand random graphs of as many nodes, and edges on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import Drawing
from core.order import rng
from core.sequence import Sequence as Tokens
from core.store import TokenStore
from domains.graphs.graph import Graph, ordered
from domains.graphs.isomorphism import KnownGraphs
from domains.graphs.tokenizer.shared import GraphTokenizer

ER = "erdos_renyi"
"""The baseline's name: nodes and density of a training graph, edges at random."""


class Scorer(Protocol):
    """What of core.engine.Engine is used here."""

    def score(self, sequences: Iterable[Tokens], *, mode: str) -> Iterable[Any]: ...

    def sample(self, prefixes: Any, *, max_length: int, seed: int, **options: Any) -> list[Any]: ...


@dataclass(frozen=True)
class Drawn:
    """What a model drew."""

    graphs: list[Graph | None]
    """None where the tokens are no walk."""
    masked_mass: float
    """The mean probability that a grammar took away; 0 without one."""
    seconds: float


@dataclass(frozen=True)
class Counts:
    """What was found of each sample; (N,) each."""

    parsed: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    unique: NDArray[np.bool_]
    novel: NDArray[np.bool_]
    undecided: int

    @property
    def vun(self) -> NDArray[np.bool_]:
        return self.valid & self.unique & self.novel


def graphs_of(
    store: TokenStore, tokenizer: GraphTokenizer[Any], spans: NDArray[np.int64], most: int = 0
) -> list[Graph]:
    """The graphs of whole rows, evenly drawn where there are more than `most` (0: all)."""
    if most and len(spans) > most:
        spans = spans[np.linspace(0, len(spans) - 1, most).round().astype(np.int64)]
    return [ordered(tokenizer.decode(store[row])) for row in spans[:, 0].tolist()]


def draw_graphs(
    engine: Scorer,
    tokenizer: GraphTokenizer[Any],
    n: int,
    length: int,
    seed: int,
    drawing: Drawing,
    *,
    grammar: bool = False,
) -> Drawn:
    """`n` samples of at most `length` tokens."""
    from time import perf_counter

    began = perf_counter()
    automaton = tokenizer.grammar(max_length=length) if grammar else None
    samples = engine.sample(n, max_length=length, seed=seed, grammar=automaton, **drawing)
    graphs: list[Graph | None] = []
    for number, sample in enumerate(samples, start=1):
        sample.sequence.id = f"sample_{number}"
        try:
            # One that was cut off at the limit is no graph that the model meant.
            graphs.append(ordered(tokenizer.decode(sample.sequence)) if sample.finished or grammar else None)
        except InputError:
            graphs.append(None)
    masked = float(np.mean([sample.masked_mass for sample in samples])) if samples else 0.0
    return Drawn(graphs, masked, perf_counter() - began)


def random_graphs(like: list[Graph], n: int, seed: int) -> list[Graph]:
    """Erdos-Renyi graphs, each with the nodes and the density of a training graph."""
    draws = rng("erdos_renyi", seed)
    found = []
    for number in range(n):
        twin = like[int(draws.integers(len(like)))]
        u, v = np.triu_indices(twin.n, 1)
        pairs = np.stack([u, v], axis=1)
        if twin.directed:
            pairs = np.concatenate([pairs, pairs[:, ::-1]])
        there = draws.random(len(pairs)) < len(twin.edges) / max(1, len(pairs))
        found.append(ordered(Graph(f"random_{number}", twin.n, pairs[there], directed=twin.directed)))
    return found


def count(graphs: Iterable[Graph | None], training: KnownGraphs, valid: Callable[[Graph], bool]) -> Counts:
    """Validity, uniqueness and novelty of each."""
    seen = KnownGraphs(limit=training.limit)
    before = training.undecided
    rows = []
    for graph in graphs:
        if graph is None:
            rows.append((False, False, False, False))
        else:
            rows.append((True, valid(graph), seen.add(graph), graph not in training))
    table = np.array(rows, bool).reshape(-1, 4)
    undecided = seen.undecided + training.undecided - before
    return Counts(table[:, 0], table[:, 1], table[:, 2], table[:, 3], undecided)


def add_counts(table: MetricTable, counts: Counts, random: Counts, *, label: str, seed: int, resamples: int) -> None:
    """The rows of V.U.N.; the first one is the headline."""
    options: dict[str, Any] = {"split": label, "seed": seed, "resamples": resamples}

    def totals(values: NDArray[np.bool_]) -> Totals:
        return Totals(values.astype(np.float64), np.ones(len(values)))

    for name, mine, theirs in (
        ("vun_all", counts.vun, random.vun),
        ("valid_all", counts.valid, random.valid),
        ("unique_all", counts.unique, random.unique),
        ("novelty_all", counts.novel, random.novel),
    ):
        table.measure(name, {MODEL: totals(mine), ER: totals(theirs)}, **options)
    table.measure("valid_parse_share", {MODEL: totals(counts.parsed)}, **options)
    if counts.parsed.any():
        table.measure("vun_as_papers_count", {MODEL: totals(counts.vun[counts.parsed])}, **options)
    table.add("isomorphism_undecided_pairs", counts.undecided, split=label, n=len(counts.parsed))
