"""Clusters as tokens: the contract of every tokenizer, what is predicted, and views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.tokenizer import TraceTokenizer, TraceTokenizerConfig
from tests.tokenizer_kit import TokenizerContract

TRACES = TraceTokenizer()
BASES = st.text("ACGTacgt", min_size=1, max_size=12)
CLUSTERS = st.builds(
    Cluster,
    st.sampled_from(["c1", "c2"]),
    st.lists(BASES, min_size=1, max_size=5).map(tuple),
    st.none() | BASES,
)


class TestTraces(TokenizerContract):
    tokenizer = TRACES
    records = CLUSTERS
    refused = [
        (Cluster("empty", ()), "no_reads"),
        (Cluster("gone", ("ACG", "")), "empty_read"),
        (Cluster("n", ("ACG", "ANG")), "ambiguous"),
        (Cluster("bar", ("AC|G",)), "bad_letter"),
        (Cluster("bad truth", ("AC",), "AC:"), "bad_letter"),
        (Cluster("no truth", ("AC",), ""), "empty_truth"),
    ]
    anything = st.builds(Cluster, st.just("x"), st.lists(st.text(max_size=4), max_size=3).map(tuple), st.text())

    def size(self, record: Cluster) -> float:
        return len(record.truth or "")


def test_a_cluster_reads_as_the_paper_writes_it() -> None:
    sequence = TRACES.encode(Cluster("c", ("acg", "AG"), "ACT"))
    assert "".join(TRACES.vocabulary.decode(sequence.arrays["tokens"])) == "ACG|AG:ACT"
    assert sequence.loss_mask["tokens"].tolist() == [False] * 7 + [True] * 3
    assert sequence.labels == {"n_reads": 2, "length": 3}


def test_its_text_is_a_cluster_too() -> None:
    text, cluster = TRACES.encode("ACG|AG:ACT"), TRACES.encode(Cluster("", ("ACG", "AG"), "ACT"))
    assert np.array_equal(text.arrays["tokens"], cluster.arrays["tokens"])
    assert TRACES.canonical("ACG|AG:") == Cluster("", ("ACG", "AG"))


def test_a_refusal_names_the_read_and_the_base() -> None:
    with pytest.raises(RecordError, match="'c', read 2, base 3: 'N'") as caught:
        TRACES.encode(Cluster("c", ("ACG", "ACNA")))
    assert caught.value.position == 2


def test_views_permute_reads_and_nothing_else() -> None:
    cluster = Cluster("c", ("A", "CC", "GGG", "TTTT"), "ACGT")
    sequence = TRACES.encode(cluster)
    seen = set()
    for seed in range(60):
        arrays = {**sequence.arrays, "loss_mask/tokens": sequence.loss_mask["tokens"]}
        view = TRACES.view_window(arrays, np.random.default_rng(seed))
        assert view["loss_mask/tokens"] is arrays["loss_mask/tokens"]
        back = TRACES.decode(Sequence({"tokens": view["tokens"]}, "c"))
        assert sorted(back.reads) == sorted(cluster.reads)
        assert back.truth == cluster.truth
        seen.add(back.reads)
    assert len(seen) > 15, "of 24 orders few were seen"


def test_a_window_that_is_no_whole_cluster_is_left_alone() -> None:
    tokens = TRACES.encode("ACG|AG:ACT").arrays["tokens"]
    for part in (tokens[:5], np.concatenate([tokens, tokens])):
        assert TRACES.view_window({"tokens": part}, np.random.default_rng(0))["tokens"] is part
    still = TraceTokenizer(TraceTokenizerConfig(permute_reads=False))
    assert still.view_window({"tokens": tokens}, np.random.default_rng(0))["tokens"] is tokens


def test_tokens_that_are_no_cluster_are_refused() -> None:
    tokens = TRACES.encode("ACG|AG:ACT").arrays["tokens"]
    for wrong in (tokens[:5], np.concatenate([tokens, tokens]), tokens[3:]):
        with pytest.raises(RecordError):
            TRACES.decode(Sequence({"tokens": wrong}))


def test_config_is_checked() -> None:
    with pytest.raises(ConfigError, match="permute_reads"):
        TraceTokenizer.from_config({"permute_reads": "yes"})
    with pytest.raises(ConfigError, match="permute"):
        TraceTokenizer.from_config({"permute": True})


def walk(grammar, seed, most=200):
    """Symbols drawn uniformly among those allowed, until EOS."""
    generator, state, tokens = torch.Generator().manual_seed(seed), grammar.start(1), []
    while len(tokens) < most:
        weights = grammar.allowed(state)[0].double()
        token = int(torch.multinomial(weights, 1, generator=generator))
        if token == EOS:
            return tokens
        tokens.append(token)
        state = grammar.advance(state, torch.tensor([token]))
    return None


@pytest.mark.parametrize("length", [None, 1, 7])
def test_whatever_the_grammar_allows_is_a_cluster(length) -> None:
    ended = 0
    for seed in range(40):
        tokens = walk(TRACES.grammar(length=length), seed)
        if tokens is not None:
            ended += 1
            cluster = TRACES.decode(Sequence({"tokens": np.array(tokens, np.uint8)}, "x"))
            assert cluster.truth
            assert length is None or len(cluster.truth) == length
    assert ended > 20


def test_every_cluster_is_allowed_by_its_grammar() -> None:
    cluster = Cluster("c", ("ACG", "A", "TT"), "ACGTA")
    grammar = TRACES.grammar(length=5)
    state = grammar.start(1)
    for token in TRACES.encode(cluster).arrays["tokens"].tolist():
        assert grammar.allowed(state)[0, token]
        assert not grammar.allowed(state)[0, EOS]
        state = grammar.advance(state, torch.tensor([token]))
    assert grammar.allowed(state)[0].nonzero().ravel().tolist() == [EOS]


def test_rows_of_the_automaton_are_apart() -> None:
    grammar = TRACES.grammar(length=2)
    tokens = [TRACES.encode(text).arrays["tokens"] for text in ("A:AC", "AC:A")]
    state = grammar.start(2)
    for pair in zip(*tokens, strict=True):
        state = grammar.advance(state, torch.tensor([int(t) for t in pair]))
    swapped = state.select(torch.tensor([1, 0, 1]))
    assert grammar.allowed(swapped)[:, EOS].tolist() == [False, True, False]
    fresh = state.reset(torch.tensor([0]))
    assert torch.equal(grammar.allowed(fresh)[0], grammar.allowed(grammar.start(1))[0])
    assert grammar.allowed(state)[0, EOS], "reset changed the state it was called on"


def test_rates_are_not_encoded() -> None:
    plain = Cluster("c", ("A",), "C")
    assert TRACES.same(TRACES.canonical(replace(plain, rates=(0.1, 0.1, 0.1))), plain)
