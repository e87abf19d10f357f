"""Walks over graphs: what a scientist sees first, then the contract for each walk and kind of graph, then details."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.tokenizer import grammar_within, limits_of
from core.vocabulary import EOS
from domains.graphs.families import make_graph
from domains.graphs.graph import Graph, components
from domains.graphs.tokenizer import (
    EdgesConfig,
    EdgesTokenizer,
    EulerConfig,
    EulerTokenizer,
    GraphTokenizer,
    SentConfig,
    SentTokenizer,
)
from domains.graphs.walks import ORDERS
from tests.domains.graphs.graphs import ATOMS, BONDS, PARTS, TAILED, graph, graphs, shuffled
from tests.tokenizer_kit import TokenizerContract, for_records

LABELLED: dict[str, Any] = {"labels": "both", "node_labels": ATOMS, "edge_labels": BONDS}
WALKS: list[GraphTokenizer[Any]] = [
    SentTokenizer(SentConfig(max_nodes=16)),
    *(SentTokenizer(SentConfig(max_nodes=16, order=order)) for order in ORDERS[1:]),
    *(EdgesTokenizer(EdgesConfig(max_nodes=16, order=order)) for order in ("bfs", "dfs", "degree", "uniform")),
    EulerTokenizer(EulerConfig(max_nodes=16)),
    EulerTokenizer(EulerConfig(max_nodes=16, cyclic=False)),
]
EVERYTHING: list[tuple[GraphTokenizer[Any], dict[str, bool]]] = [
    (SentTokenizer(SentConfig(max_nodes=9, directed=True, self_loops=True, multi_edges=True, **LABELLED)),
     {"directed": True, "loops": True, "several": True, "labels": True}),
    (SentTokenizer(SentConfig(max_nodes=9, self_loops=True, multi_edges=True)), {"loops": True, "several": True}),
    (EdgesTokenizer(EdgesConfig(max_nodes=9, directed=True, self_loops=True, multi_edges=True, **LABELLED)),
     {"directed": True, "loops": True, "several": True, "labels": True}),
    (EdgesTokenizer(EdgesConfig(max_nodes=9, order="uniform", labels="nodes", node_labels=ATOMS)), {}),
    (EulerTokenizer(EulerConfig(max_nodes=9, directed=True, self_loops=True, **LABELLED)),
     {"directed": True, "loops": True, "labels": True}),
    (EulerTokenizer(EulerConfig(max_nodes=9, **LABELLED)), {"labels": True}),
    (EulerTokenizer(EulerConfig(max_nodes=9, directed=True)), {"directed": True}),
]  # fmt: skip


def records_of(tokenizer: GraphTokenizer[Any], kinds: dict[str, bool]) -> st.SearchStrategy[Graph]:
    found = graphs(**kinds)  # type: ignore[arg-type]
    if tokenizer.config.labels == "nodes":
        return graphs(labels=True, **kinds).map(without_edge_labels)  # type: ignore[arg-type]
    return found


def without_edge_labels(given: Graph) -> Graph:
    given.edge_labels = None
    return given


def spelled(tokenizer: GraphTokenizer[Any], given: Graph) -> str:
    return " ".join(tokenizer.vocabulary.decode(tokenizer.encode(given).arrays["tokens"]))


def test_a_path_reads_from_either_end_or_the_middle() -> None:
    path = graph(3, (0, 1), (1, 2))
    assert spelled(SentTokenizer(), path) in ("n0 n1 e0 n2 e1", "n0 n1 e0 n2 e0")
    assert spelled(EdgesTokenizer(), path).startswith("n0 n1 n2 <edges> n0 n1")
    assert spelled(EulerTokenizer(EulerConfig(cyclic=False)), path) == "n0 n1 n2"


class TestSent(TokenizerContract):
    tokenizer = SentTokenizer(SentConfig(max_nodes=9))
    records = graphs()
    anything = st.one_of(graphs(loops=True, several=True), graphs(directed=True), graphs(labels=True), graphs(most=12))
    refused = [
        (graph(0, name="none"), "no_node"),
        (graph(10, (0, 9), name="large"), "too_many_nodes"),
        (graph(2, (0, 5), name="dangling"), "dangling_edge"),
        (graph(2, (0, 1), name="arcs", directed=True), "directed"),
        (graph(2, (0, 0), name="loop"), "self_loop"),
        (graph(2, (0, 1), (1, 0), name="twice"), "multi_edge"),
        (graph(1, name="atom", node_labels=("C",)), "has_labels"),
    ]

    def size(self, record: Graph) -> float:
        return len(record.edges)


class TestEdges(TestSent):
    tokenizer = EdgesTokenizer(EdgesConfig(max_nodes=9))


class TestEuler(TestSent):
    tokenizer = EulerTokenizer(EulerConfig(max_nodes=9))


class TestLabelled(TokenizerContract):
    tokenizer = SentTokenizer(SentConfig(max_nodes=9, directed=True, self_loops=True, multi_edges=True, **LABELLED))
    records = graphs(directed=True, loops=True, several=True, labels=True)
    refused = [
        (graph(1, name="plain", directed=True), "lacks_labels"),
        (graph(1, name="gold", directed=True, node_labels=("Au",), edge_labels=()), "unknown_label"),
    ]
    unfitted = SentTokenizer(SentConfig(max_nodes=9, labels="both"))
    training = [graph(2, (0, 1), node_labels=("N", "C"), edge_labels=("2",))]

    def size(self, record: Graph) -> float:
        return len(record.edges)

    def test_refusals_name_record_and_reason(self) -> None:
        for record, reason in self.refused:
            with pytest.raises(RecordError) as caught:
                self.tokenizer.encode(record)
            assert (caught.value.reason, caught.value.record) == (reason, record.id)


@pytest.mark.parametrize(("tokenizer", "kinds"), EVERYTHING, ids=lambda value: getattr(value, "kind", None))
def test_every_kind_of_graph_comes_back(tokenizer: GraphTokenizer[Any], kinds: dict[str, bool]) -> None:
    """Loops, parallel edges, directions, labels, lonely nodes."""

    def check(record: Graph) -> None:
        sequence = tokenizer.encode(record)
        assert tokenizer.same(tokenizer.decode(sequence), tokenizer.canonical(record))
        assert tokenizer.units(sequence.arrays).sum() == len(record.edges)
        view = tokenizer.view_window(sequence.arrays, np.random.default_rng(1))["tokens"]
        assert len(view) == len(sequence)
        again = tokenizer.decode(Sequence({"tokens": view}, record.id))
        assert tokenizer.same(again, tokenizer.canonical(record))

    for_records(records_of(tokenizer, kinds), check, examples=25)


@pytest.mark.parametrize("tokenizer", WALKS, ids=lambda t: f"{t.kind}-{getattr(t.config, 'order', t.config.max_nodes)}")
def test_views_are_other_walks_of_the_same_length(tokenizer: GraphTokenizer[Any]) -> None:
    made = make_graph("planar", (16, 16), 0, "train", 0)
    sequence = tokenizer.encode(made)
    views = [tokenizer.view_window(sequence.arrays, np.random.default_rng(i))["tokens"] for i in range(8)]
    assert len({view.tobytes() for view in views}) >= 6
    assert {len(view) for view in views} == {len(sequence)}


def test_a_prefix_of_sent_is_an_induced_subgraph() -> None:
    tokenizer = SentTokenizer()
    made = make_graph("planar", (12, 12), 0, "train", 1)
    tokens = tokenizer.encode(made).arrays["tokens"]
    whole = tokenizer.decode(Sequence({"tokens": tokens}))
    starts = np.flatnonzero(tokenizer.alphabet.kinds[tokens] == 2)
    for n, at in enumerate(starts[1:].tolist(), start=1):
        prefix = tokenizer.decode(Sequence({"tokens": tokens[:at]}))
        inside = whole.edges[(whole.edges < n).all(1)]
        assert prefix.n == n
        assert sorted(map(sorted, prefix.edges.tolist())) == sorted(map(sorted, inside.tolist()))
        assert components(prefix).max() == 0, "a walk of a connected graph left it"


def test_lengths_are_what_the_pages_say() -> None:
    made = make_graph("planar", (12, 12), 0, "train", 2)
    n, m = made.n, len(made.edges)
    assert len(SentTokenizer().encode(made)) == n + m
    assert len(EdgesTokenizer().encode(made)) == n + 1 + 2 * m
    assert m + 1 <= len(EulerTokenizer().encode(made)) <= m + n
    assert len(EulerTokenizer().encode(PARTS)) == 2 + 4 + 1 + 2, "an edge, a triangle, a node, and two jumps"


@pytest.mark.parametrize("tokenizer", WALKS, ids=lambda t: f"{t.kind}-{getattr(t.config, 'order', t.config.max_nodes)}")
def test_densities_are_those_of_the_draws(tokenizer: GraphTokenizer[Any]) -> None:
    """The mean of 1 / q over the readings is how many there are: the sum over all of them is 1."""
    parsed = tokenizer.parse(tokenizer.encode(TAILED).arrays["tokens"], "")
    draws = np.random.default_rng(0)
    readings = [tokenizer.read_counted(parsed, draws) for _ in range(1500)]
    by_tokens: dict[bytes, list[float]] = {}
    for reading in readings:
        by_tokens.setdefault(reading.tokens.tobytes(), []).append(reading.log_density)
    # A tailed triangle has two automorphisms, so each sequence has two walks that lead to it.
    twins = 2.0
    shares = np.array([len(found) / len(readings) for found in by_tokens.values()])
    densities = np.array([twins * np.mean(np.exp(found)) for found in by_tokens.values()])
    expected_misses = np.sqrt(densities * (1 - densities).clip(0) / len(readings))
    assert np.all(np.abs(shares - densities) < 5 * expected_misses + 1e-3)


def test_uniform_densities_are_exact() -> None:
    reading = EdgesTokenizer(EdgesConfig(order="uniform")).read(TAILED, np.random.default_rng(0))
    assert reading.log_density == pytest.approx(-math.log(math.factorial(4) * 2**4))


@pytest.mark.parametrize(
    ("tokenizer", "kinds"), [(w, {}) for w in WALKS] + EVERYTHING, ids=lambda v: getattr(v, "kind", None)
)
def test_the_grammar_lets_every_walk_through(tokenizer: GraphTokenizer[Any], kinds: dict[str, bool]) -> None:
    def check(record: Graph) -> None:
        tokens = tokenizer.encode(record).arrays["tokens"]
        grammar = tokenizer.grammar(max_length=len(tokens))
        state = grammar.start(1)
        for at, token in enumerate([*tokens.tolist(), EOS]):
            assert grammar.allowed(state)[0, token], f"token {at} of {tokens.tolist()} is not allowed"
            if token != EOS:
                state = grammar.advance(state, torch.tensor([token]))

    for_records(records_of(tokenizer, kinds), check, examples=15)


@pytest.mark.parametrize("tokenizer", [WALKS[0], WALKS[-3], WALKS[-2]], ids=lambda v: v.kind)
def test_samples_can_be_held_to_a_number_of_nodes(tokenizer: GraphTokenizer[Any]) -> None:
    """By the name that `limits.nodes=` has; every graph has at most so many, and some have as many."""
    assert "nodes" in limits_of(tokenizer)
    grammar, draws = grammar_within(tokenizer, 40, {"nodes": 3}), torch.Generator().manual_seed(0)
    state, rows = grammar.start(16), torch.zeros((16, 0), dtype=torch.long)
    for _ in range(40):
        drawn = torch.multinomial(grammar.allowed(state).float(), 1, generator=draws)
        state, rows = grammar.advance(state, drawn[:, 0]), torch.cat([rows, drawn], 1)
    sizes = []
    for row in rows.tolist():
        walk = row[: row.index(EOS)] if EOS in row else row
        sizes.append(tokenizer.decode(Sequence({"tokens": np.array(walk, np.int64)})).n)
    assert max(sizes) == 3
    for wrong in (0, 17, "many"):
        with pytest.raises(ConfigError, match="allowed: 1 to 16"):
            grammar_within(tokenizer, 40, {"nodes": wrong})


@pytest.mark.parametrize(
    ("tokenizer", "kinds"), [(w, {}) for w in WALKS] + EVERYTHING, ids=lambda v: getattr(v, "kind", None)
)
@pytest.mark.parametrize("length", [5, 24])
def test_whatever_the_grammar_allows_parses(
    tokenizer: GraphTokenizer[Any], kinds: dict[str, bool], length: int
) -> None:
    """Random walks through the automaton, ended or cut off at the limit, are graphs."""
    generator = torch.Generator().manual_seed(0)
    grammar = tokenizer.grammar(max_length=length, nodes=6)
    state, rows = grammar.start(24), [[] for _ in range(24)]  # type: ignore[var-annotated]
    done: list[list[int]] = []
    for _ in range(length):
        allowed = grammar.allowed(state)
        assert allowed.any(1).all(), "nothing may follow"
        drawn = torch.multinomial(allowed.float(), 1, generator=generator)[:, 0]
        going = drawn != EOS
        done += [row for row, on in zip(rows, going.tolist(), strict=True) if not on]
        rows = [[*row, t] for row, t in zip(rows, drawn.tolist(), strict=True) if t != EOS]
        if not rows:
            break
        state = grammar.advance(state.select(going.nonzero()[:, 0]), drawn[going])
    done += rows
    assert len(done) == 24
    for tokens in done:
        assert len(tokens) <= length
        found = tokenizer.decode(Sequence({"tokens": np.array(tokens, tokenizer.vocabulary.dtype)}, "drawn"))
        assert found.n <= 6
        tokenizer.encode(found)


def test_states_can_be_selected_and_reset() -> None:
    for tokenizer in WALKS:
        tokens = torch.from_numpy(tokenizer.encode(TAILED).arrays["tokens"].astype(np.int64))
        grammar = tokenizer.grammar()
        state = grammar.start(3)
        for token in tokens.tolist():
            state = grammar.advance(state, torch.full((3,), token))
        fresh = state.reset(torch.tensor([1]))
        assert torch.equal(grammar.allowed(fresh)[1], grammar.allowed(grammar.start(1))[0])
        assert torch.equal(grammar.allowed(fresh)[0], grammar.allowed(state)[0])
        assert torch.equal(grammar.allowed(state.select(torch.tensor([2]))), grammar.allowed(state)[2:])


@pytest.mark.parametrize(
    "symbols",
    [[], ["e0"], ["n1"], ["n0", "n2"], ["n0", "e0"], ["n0", "n1", "e0", "e0"], ["n0", "n1", "n2", "e0", "e1"]],
)
def test_sent_refuses_what_is_no_walk(symbols: list[str]) -> None:
    tokenizer = SentTokenizer()
    tokens = tokenizer.vocabulary.encode(symbols).astype(tokenizer.vocabulary.dtype)
    with pytest.raises(RecordError) as caught:
        tokenizer.decode(Sequence({"tokens": tokens}, "made up"))
    assert caught.value.reason == "no_walk"
    assert "made up" in str(caught.value)


@pytest.mark.parametrize(
    "symbols",
    [["n0"], ["<edges>"], ["n0", "<edges>", "n0"], ["n0", "<edges>", "n0", "n0"], ["n0", "n1", "<edges>", "n0", "n2"],
     ["n0", "n1", "<edges>", "n0", "n1", "n1", "n0"], ["n1", "n0", "<edges>"], ["n0", "<edges>", "<edges>"]],
)  # fmt: skip
def test_edge_lists_refuse_what_is_none(symbols: list[str]) -> None:
    tokenizer = EdgesTokenizer()
    with pytest.raises(RecordError):
        tokenizer.decode(Sequence({"tokens": tokenizer.vocabulary.encode(symbols)}))


@pytest.mark.parametrize(
    "symbols",
    [[], ["<jump>"], ["n0", "<jump>"], ["n0", "n0"], ["n0", "n2"], ["n0", "n1", "<jump>", "n0"],
     ["n0", "<jump>", "<jump>", "n1"]],
)  # fmt: skip
def test_euler_walks_refuse_what_is_none(symbols: list[str]) -> None:
    tokenizer = EulerTokenizer()
    with pytest.raises(RecordError):
        tokenizer.decode(Sequence({"tokens": tokenizer.vocabulary.encode(symbols)}))


def test_a_window_of_a_walk_is_left_as_it_is() -> None:
    for tokenizer in WALKS:
        tokens = tokenizer.encode(make_graph("planar", (12, 12), 0, "train", 0)).arrays["tokens"][3:-2]
        arrays = {"tokens": tokens, "loss_mask/tokens": np.ones(len(tokens), bool)}
        if tokenizer.kind != "graph_euler":  # a part of an Euler walk is one
            assert tokenizer.view_window(arrays, np.random.default_rng(0)) is arrays


def test_node_numbers_carry_nothing() -> None:
    """Any numbering of a graph gives readings out of one distribution: the same number of tokens, the same graph."""
    for tokenizer in WALKS:
        one, other = tokenizer.encode(TAILED), tokenizer.encode(shuffled(TAILED))
        assert len(one) == len(other)
        assert tokenizer.same(tokenizer.decode(one), tokenizer.decode(other))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_nodes"):
        SentTokenizer.from_config({"max_node": 3})
    for config in ({"max_nodes": 0}, {"labels": "all"}, {"order": "random"}, {"directed": "yes"}):
        with pytest.raises(ConfigError):
            SentTokenizer.from_config(config)
    with pytest.raises(ConfigError, match="repeats edges"):
        EulerTokenizer.from_config({"multi_edges": True})
    with pytest.raises(ConfigError, match="no training graph"):
        SentTokenizer(SentConfig(labels="edges")).fit([TAILED])
