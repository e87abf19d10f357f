"""Graphs as arrays, what is untidy in them, the families that code makes, and who is isomorphic to whom."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from core.errors import ConfigError, RecordError
from domains.graphs.evaluation.samples import random_graphs
from domains.graphs.families import FAMILIES, atlas, grid_edges, make_graph
from domains.graphs.graph import (
    Graph,
    Policies,
    components,
    degrees,
    equal,
    from_networkx,
    renumbered,
    tidy,
    to_networkx,
)
from domains.graphs.isomorphism import KnownGraphs, invariant, isomorphic
from domains.graphs.properties import NODES_ASKED, PROPERTIES, asked, check_properties, mark
from domains.graphs.validity import CHECKS
from domains.graphs.walks import counted_euler_walks, euler_walks, made_eulerian
from tests.domains.graphs.graphs import PARTS, TAILED, graph, graphs, shuffled
from tests.tokenizer_kit import for_records

UNTIDY = graph(5, (1, 0), (0, 1), (2, 2), (2, 3), name="untidy")
"""An edge named twice, a loop, a node by itself, two parts."""


def test_untidy_graphs_are_tidied_and_counted() -> None:
    notes: Counter[str] = Counter()
    found = tidy(UNTIDY, Policies(), notes)
    assert found.edges.tolist() == [[0, 1], [2, 3]]
    assert found.n == 5
    assert notes == {
        "self-loops left out": 1, "repeated edges left out": 1,
        "nodes without an edge": 1, "graphs in several parts": 1,
    }  # fmt: skip
    kept = tidy(UNTIDY, Policies(self_loops="keep", multi_edges="keep"), Counter())
    assert kept.edges.tolist() == [[0, 1], [0, 1], [2, 2], [2, 3]]
    assert tidy(UNTIDY, Policies(isolated="drop"), Counter()).n == 4
    assert tidy(UNTIDY, Policies(disconnected="largest"), Counter()).n == 2


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        ({"self_loops": "refuse"}, "self_loop"),
        ({"multi_edges": "refuse"}, "multi_edge"),
        ({"isolated": "refuse"}, "isolated_node"),
        ({"disconnected": "refuse"}, "disconnected"),
    ],
)
def test_each_policy_can_refuse(policies: dict[str, str], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        tidy(UNTIDY, Policies(**policies), Counter())
    assert (caught.value.reason, caught.value.record) == (reason, "untidy")


def test_labels_and_directions_have_policies() -> None:
    dressed = graph(2, (1, 0), node_labels=("a", "b"), edge_labels=("x",), directed=True)
    notes: Counter[str] = Counter()
    bare = tidy(dressed, Policies(node_labels="drop", edge_labels="drop", directions="drop"), notes)
    assert (bare.node_labels, bare.edge_labels, bare.directed) == (None, None, False)
    assert notes.total() == 3
    for key, reason in (("node_labels", "node_labels"), ("edge_labels", "edge_labels"), ("directions", "directed")):
        with pytest.raises(RecordError) as caught:
            tidy(dressed, Policies(**{key: "refuse"}), Counter())
        assert caught.value.reason == reason
    with pytest.raises(ConfigError, match=r"data\.isolated"):
        Policies(isolated="remove")


def test_impossible_graphs_are_refused() -> None:
    dangling = "dangling_edge"
    for given, reason in ((graph(0), "no_node"), (graph(2, (0, 2)), dangling), (graph(2, (-1, 0)), dangling)):
        with pytest.raises(RecordError) as caught:
            tidy(given, Policies(), Counter())
        assert caught.value.reason == reason
    with pytest.raises(RecordError, match="no node has an edge"):
        tidy(graph(2), Policies(isolated="drop"), Counter())


def test_networkx_and_back() -> None:
    def check(given: Graph) -> None:
        back = from_networkx(to_networkx(given), given.id)
        assert equal(back, given)

    for_records(graphs(directed=True, loops=True), check)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_what_they_say(name: str) -> None:
    family = FAMILIES[name]
    made = [make_graph(name, family.nodes, 0, "train", i) for i in range(6)]
    for given in made:
        assert family.nodes[0] <= given.n <= family.nodes[1]
        assert len(np.unique(given.edges, axis=0)) == len(given.edges)
        assert (given.edges[:, 0] < given.edges[:, 1]).all()
    share = np.mean([CHECKS[name](given) for given in made])
    assert share >= (0.8 if name in ("sbm", "community_small") else 1.0)
    again = make_graph(name, family.nodes, 0, "train", 3)
    assert equal(again, made[3])
    assert len({given.edges.tobytes() for given in made}) == 6
    assert not equal(make_graph(name, family.nodes, 0, "test", 3), made[3])


@pytest.mark.parametrize("name", FAMILIES)
def test_matched_random_graphs_pass_no_check(name: str) -> None:
    made = [make_graph(name, FAMILIES[name].nodes, 0, "train", i) for i in range(4)]
    assert not any(CHECKS[name](given) for given in random_graphs(made, 6, 0))


def test_trees_are_uniform() -> None:
    """Of the 16 labelled trees of four nodes, 4 are stars."""
    stars = [degrees(make_graph("tree", (4, 4), 0, "train", i)).max() == 3 for i in range(800)]
    assert np.mean(stars) == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 800) ** 0.5)


def test_checks_know_what_is_wrong() -> None:
    cycle = graph(4, (0, 1), (1, 2), (2, 3), (3, 0))
    k5 = from_networkx(nx.complete_graph(5))
    spider = from_networkx(nx.from_edgelist([(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9)]))
    assert not CHECKS["tree"](cycle)
    assert CHECKS["grid"](cycle)
    assert not CHECKS["planar"](k5)
    assert CHECKS["tree"](spider)
    assert not CHECKS["lobster"](spider)
    assert not CHECKS["grid"](graph(6, *grid_edges(2, 3)[1:].tolist(), (0, 2)))
    assert not CHECKS["planar"](PARTS)


def test_the_atlas_has_every_graph_once() -> None:
    known = KnownGraphs()
    listed = list(atlas())
    assert len(listed) == 1253
    small = [given for given in listed if 0 < given.n <= 6]
    assert all(known.add(given) for given in small)
    assert len(small) == 1 + 2 + 4 + 11 + 34 + 156
    assert known.undecided == 0
    assert Counter(given.split for given in listed)["test"] == 125


def test_isomorphism_agrees_with_networkx() -> None:
    def check(given: Graph) -> None:
        twin = shuffled(given, 1)
        assert isomorphic(given, twin) is True
        assert invariant(given) == invariant(twin)
        if len(given.edges):
            changed = Graph(given.id, given.n, given.edges[1:], given.node_labels, None, given.directed)
            other = Graph(given.id, given.n, given.edges[:-1], given.node_labels, None, given.directed)
            match = nx.is_isomorphic(
                to_networkx(changed), to_networkx(other), node_match=lambda a, b: a.get("label") == b.get("label")
            )
            assert isomorphic(changed, other) is match

    for_records(graphs(labels=True, directed=True), check)


def test_regular_graphs_are_told_apart_or_undecided() -> None:
    prism, twisted = nx.circular_ladder_graph(6), nx.circulant_graph(12, [1, 6])
    a, b = from_networkx(prism), from_networkx(twisted)
    assert invariant(a) == invariant(b), "colour refinement cannot tell these apart"
    assert isomorphic(a, b) is False
    assert isomorphic(a, shuffled(a)) is True
    assert isomorphic(a, b, limit=1) is None


def test_euler_walks_go_along_every_step_once() -> None:
    def check(given: Graph) -> None:
        draws = np.random.default_rng(0)
        steps = made_eulerian(given.n, given.edges, draws)
        assert len(steps) <= len(given.edges) + given.n
        for walks in (euler_walks(given.n, steps, draws), counted_euler_walks(given.n, steps, draws)[0]):
            walked = Counter(tuple(sorted(pair)) for walk in walks for pair in pairwise(walk))
            assert walked == Counter(tuple(sorted(pair)) for pair in steps.tolist())
            assert len(walks) == components(given).max() + 1
            assert {node for walk in walks for node in walk} == set(range(given.n))

    for_records(graphs(loops=True), check)


def test_steps_without_an_euler_walk_are_an_error() -> None:
    star = np.array([[0, 1], [0, 2], [0, 3]])
    with pytest.raises(ValueError, match="no Euler walk"):
        euler_walks(4, star, np.random.default_rng(0))


def test_properties_are_those_of_networkx() -> None:
    def check(given: Graph) -> None:
        drawn = nx.Graph(to_networkx(given))
        found = {name: of(given) for name, of in PROPERTIES.items() if name not in NODES_ASKED}
        assert found["triangles"] == sum(nx.triangles(drawn).values()) / 3
        assert found["parts"] == nx.number_connected_components(drawn)
        assert found["diameter"] == (nx.diameter(drawn) if found["connected"] == "yes" else -1)
        assert (found["nodes"], found["edges"]) == (given.n, len(given.edges))

    for_records(graphs(), check)
    with pytest.raises(ConfigError, match="did you mean 'triangles'"):
        check_properties(["triangle"])


def test_renumbering_is_undone() -> None:
    order = np.random.default_rng(0).permutation(TAILED.n)
    assert equal(renumbered(renumbered(TAILED, order), np.argsort(order)), TAILED)


def test_questions_about_nodes_are_marked_in_their_labels() -> None:
    for seed in range(20):
        given = shuffled(make_graph("tree", (6, 12), 0, "train", seed), seed)
        marked = mark(given, 2)
        first, last = asked(marked)
        twin = to_networkx(given)
        assert PROPERTIES["distance"](marked) == nx.shortest_path_length(twin, first, last)
        assert PROPERTIES["degree"](marked) == twin.degree[first]
        assert PROPERTIES["adjacent"](marked) == ("yes" if twin.has_edge(first, last) else "no")
    assert PROPERTIES["triangles_at"](mark(graph(3, (0, 1), (1, 2), (0, 2)), 1)) == 1
    assert PROPERTIES["distance"](mark(graph(2), 2)) == -1
    assert PROPERTIES["reachable"](mark(graph(2), 2)) == "no"
    for wrong, reason in ((graph(1), "few_nodes"), (graph(2, node_labels=("C", "N")), "has_labels")):
        with pytest.raises(RecordError) as error:
            mark(wrong, 2)
        assert error.value.reason == reason
