"""Evaluation of graphs: a copying model is found out, a perfect one is at the floor, and every count adds up."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.report.gallery import read_gallery
from core.sequence import Sequence
from core.split import SplitConfig
from core.store import TokenStore
from domains import DOMAINS
from domains.graphs.evaluation import evaluate
from domains.graphs.evaluation.distances import DESCRIPTORS, clustering, described, kernel, orbits, squared_mmd
from domains.graphs.evaluation.likelihood import RandomGraphs, measure_likelihood
from domains.graphs.evaluation.samples import ER, count, random_graphs
from domains.graphs.families import make_graph
from domains.graphs.graph import Graph, from_networkx, to_networkx
from domains.graphs.isomorphism import KnownGraphs
from domains.graphs.source import open_source
from domains.graphs.tokenizer import (
    EdgesConfig,
    EdgesTokenizer,
    EulerConfig,
    EulerTokenizer,
    GraphTokenizer,
    SentConfig,
    SentTokenizer,
)
from domains.graphs.validity import is_tree
from tests.domains.graphs.graphs import TAILED, graph

FAST: dict[str, Any] = {"samples": 24, "grammar_samples": 4, "max_graphs": 12, "walks": 2, "resamples": 100}


@dataclass
class Drawn:
    sequence: Sequence
    finished: bool = True
    masked_mass: float = 0.25


@dataclass
class Scored:
    nll: float


class Teller:
    """An engine that tells given graphs, in turn, and gives every token the same probability."""

    def __init__(self, tokenizer: GraphTokenizer[Any], graphs: list[Graph], broken: int = 0) -> None:
        self.tokenizer, self.graphs, self.broken = tokenizer, graphs, broken

    def sample(
        self, prefixes: int, *, max_length: int, seed: int, grammar: Any = None, **drawing: float
    ) -> list[Drawn]:
        self.drawing = drawing
        found = []
        for i in range(prefixes):
            sequence = self.tokenizer.encode(self.graphs[i % len(self.graphs)])
            assert len(sequence) <= max_length
            if i < self.broken and grammar is None:
                sequence.arrays["tokens"] = sequence.arrays["tokens"][::-1].copy()
            found.append(Drawn(sequence))
        return found

    def score(self, sequences: Iterable[Sequence], *, mode: str) -> list[Scored]:
        assert mode == "records"
        return [Scored((len(s) + 1) * math.log(10)) for s in sequences]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    out = tmp_path_factory.mktemp("trees") / "tree.zarr"
    source = open_source(data="tree", nodes=[8, 12], count=40, held_out=12)
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    prepare_store(source, tokenizer, out, split=SplitConfig(rule="given", k=6), domain="graphs")
    return TokenStore.open(out)


def fresh(n: int, split: str = "fresh") -> list[Graph]:
    return [make_graph("tree", (8, 12), 0, split, i) for i in range(n)]


def test_a_perfect_sampler_is_valid_unique_and_new(store: TokenStore, tmp_path: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    table = evaluate(Teller(tokenizer, fresh(24)), store, tokenizer, out=tmp_path, training={"seconds": 3.0}, **FAST)
    assert table.rows[0].name == "vun_all"
    assert table.rows[0].split == "tree/test"
    value = {(r.name, r.model): r.value for r in table.rows}
    assert value["valid_all", "foretell"] == 1
    assert (value["vun_all", "foretell"] or 0) > 0.7, "a few trees of eight nodes come up twice"
    assert value["vun_all", ER] == 0
    assert value["masked_probability_mean", "foretell"] == 0.25
    assert value["seconds_training", "foretell"] == 3
    for name in ("degree", "spectrum", "orbits", "clustering"):
        mine, random = value[f"mmd2_{name}_tv", "foretell"], value[f"mmd2_{name}_tv", ER]
        assert mine < random  # type: ignore[operator]
    assert value["tokens_a_graph", "graph_edges"] > value["tokens_a_graph", "graph_sent"]  # type: ignore[operator]
    figures = read_gallery(tmp_path)
    assert {f.path.stem for f in figures} == {"graphs", "vun", "distances", "degrees", "walks"}
    assert all(f.alt for f in figures)
    with open(tmp_path / "per_sample.csv") as file:
        assert len(list(csv.DictReader(file))) == 24
    assert json.loads((tmp_path / "metrics.json").read_text())[0]["n"] == 24


def test_how_samples_are_drawn_is_passed_on_and_told(store: TokenStore, tmp_path: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    teller = Teller(tokenizer, fresh(24))
    table = evaluate(teller, store, tokenizer, out=tmp_path, figures=False, min_p=0.02, **FAST)
    assert teller.drawing == {"temperature": 1.0, "min_p": 0.02}
    assert table.find("samples_min_p").value == 0.02  # type: ignore[union-attr]


def test_a_copying_model_is_found_out(store: TokenStore, tmp_path: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    known = [make_graph("tree", (8, 12), 0, "train", i) for i in range(24)]
    table = evaluate(Teller(tokenizer, known), store, tokenizer, out=tmp_path, figures=False, **FAST)
    assert table.find("valid_all").value == 1  # type: ignore[union-attr]
    assert table.find("novelty_all").value == 0  # type: ignore[union-attr]
    assert table.find("vun_all").value == 0  # type: ignore[union-attr]


def test_what_does_not_parse_counts_against(store: TokenStore, tmp_path: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    teller = Teller(tokenizer, fresh(24), broken=12)
    table = evaluate(teller, store, tokenizer, out=tmp_path, figures=False, **FAST)
    everything, papers = table.find("vun_all"), table.find("vun_as_papers_count")
    assert table.find("valid_parse_share").value == 0.5  # type: ignore[union-attr]
    assert papers.n == 12  # type: ignore[union-attr]
    assert everything.value == pytest.approx(papers.value / 2)  # type: ignore[union-attr, operator]
    assert table.find("valid_parse_share_grammar").value == 1  # type: ignore[union-attr]


def test_every_sample_is_judged_once() -> None:
    path, star, cycle = (from_networkx(g) for g in (nx.path_graph(4), nx.star_graph(3), nx.cycle_graph(4)))
    found = count([path, None, path, star, cycle], KnownGraphs([star]), is_tree)
    assert found.parsed.tolist() == [True, False, True, True, True]
    assert found.valid.tolist() == [True, False, True, True, False]
    assert found.unique.tolist() == [True, False, False, True, True]
    assert found.novel.tolist() == [True, False, True, False, True]
    assert found.vun.tolist() == [True, False, False, False, False]
    assert found.undecided == 0


def test_likelihoods_of_a_uniform_model_are_known(tmp_path: Path) -> None:
    """Every token has the probability 1/10; a path of two nodes has two equal walks in each tokenizer."""
    edge = graph(2, (0, 1), name="edge")
    for tokenizer, tokens, walks in (
        (SentTokenizer(), 3, 2),
        (EdgesTokenizer(EdgesConfig(order="uniform")), 5, 2),
        (EulerTokenizer(EulerConfig(cyclic=False)), 2, 2),
    ):
        out = tmp_path / f"{tokenizer.kind}.zarr"
        (tmp_path / "edge.jsonl").write_text('{"id": "edge", "n": 2, "edges": [[0, 1]]}\n')
        prepare_store(
            open_source(path=tmp_path / "edge.jsonl"), tokenizer, out, split=SplitConfig(test=0, validation=0),
            domain="graphs",
        )  # fmt: skip
        found = measure_likelihood(
            Teller(tokenizer, [edge]), TokenStore.open(out), tokenizer, [0], [edge], walks=4, seed=0
        )
        assert found.reading[0] == pytest.approx((tokens + 1) * math.log(10))
        assert found.averaged[0] == pytest.approx((tokens + 1) * math.log(10) - math.log(walks))
        assert found.single[0] >= found.averaged[0] - 1e-9


def test_random_graphs_have_the_likelihood_of_their_model() -> None:
    """Over all numbered graphs of three nodes, n! times the probability sums to n! times that of the size."""
    training = [graph(3, (0, 1)), graph(3, (0, 1), (1, 2))]
    model = RandomGraphs(training)
    pairs = [(0, 1), (0, 2), (1, 2)]
    every = [graph(3, *(p for i, p in enumerate(pairs) if code >> i & 1)) for code in range(8)]
    total = sum(math.exp(-model.nats(given)) for given in every)
    assert total == pytest.approx(6 * model.sizes[0] / model.total)
    drawn = random_graphs(training, 50, 0)
    assert all(given.n == 3 for given in drawn)
    assert 0.3 < np.mean([len(given.edges) for given in drawn]) / 1.5 < 1.7


def test_descriptors_are_those_of_networkx() -> None:
    made = make_graph("planar", (20, 20), 0, "x", 0)
    drawn = to_networkx(made)
    assert clustering(made) == pytest.approx([nx.clustering(drawn)[i] for i in range(20)])
    counted = orbits(TAILED) * TAILED.n
    # Of the tailed triangle: 8 ends of edges, 3 corners of one triangle, one node in each place of the paw.
    assert counted[0] == 8
    assert counted[3] == 3
    assert counted[9:12].tolist() == [1, 2, 1]
    assert orbits(graph(3)).tolist() == [0] * 15


def test_distances_are_zero_between_equals_and_grow() -> None:
    trees, planar = fresh(6), [make_graph("planar", (10, 10), 0, "x", i) for i in range(6)]
    for descriptor in DESCRIPTORS.values():
        one, other = described(descriptor, trees), described(descriptor, planar)
        for kind in ("tv", "emd"):
            assert squared_mmd(descriptor, one, one, kind)[0] == pytest.approx(0, abs=1e-12)
            value, low, high = squared_mmd(descriptor, one, other, kind)
            assert 0 <= low <= value <= high
            assert value > 0 or kind == "emd"
            near = kernel(descriptor, one, other, kind)
            assert near.shape == (6, 6)
            assert 0 < near.min() <= near.max() <= 1


def test_options_and_missing_splits_are_named(store: TokenStore, tmp_path: Path) -> None:
    tokenizer = SentTokenizer(SentConfig(max_nodes=16))
    teller = Teller(tokenizer, fresh(1))
    for options, words in (
        ({"samples": 0}, "samples"),
        ({"family": "plnar"}, "did you mean 'planar'"),
        ({"kernel": "rbf"}, "tv, emd"),
        ({"sample": 3}, "did you mean 'samples'"),
    ):
        with pytest.raises(ConfigError, match=words):
            evaluate(teller, store, tokenizer, out=tmp_path, **options)
    (tmp_path / "one.jsonl").write_text('{"n": 2, "edges": [[0, 1]]}\n')
    source, out = open_source(path=tmp_path / "one.jsonl"), tmp_path / "one.zarr"
    prepare_store(source, tokenizer, out, split=SplitConfig(test=0, validation=0), domain="graphs")
    with pytest.raises(InputError, match="no test split"):
        evaluate(teller, TokenStore.open(out), tokenizer, out=tmp_path)


def test_the_domain_names_what_is_there() -> None:
    domain = DOMAINS.get("graphs")
    for part in ("source", "writer", "data_module", "evaluation", "figures"):
        assert domain.load(part)
    for kind in domain.tokenizers:
        assert domain.make_tokenizer(kind, {"max_nodes": 8}).kind == kind
