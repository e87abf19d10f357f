"""Reading graphs: every format gives the same graph, every defect its reason; what is written is read back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.split import SplitConfig
from core.store import TokenStore
from domains.graphs.graph import Graph, equal, from_networkx, to_networkx
from domains.graphs.isomorphism import isomorphic
from domains.graphs.source import open_source, write_samples
from domains.graphs.tokenizer import SentConfig, SentTokenizer
from tests.domains.graphs.graphs import PARTS, TAILED, graph, items, only, written


@pytest.mark.parametrize("kind", ["edges", "csv", "graphml", "gml", "json", "jsonl", "npz", "g6", "mtx"])
def test_every_format_gives_the_same_graph(tmp_path: Path, kind: str) -> None:
    found = only(written(tmp_path, kind))
    assert isomorphic(Graph("", found.n, found.edges), TAILED) is True
    assert found.id.startswith("tailed")
    assert found.place[0].endswith(f"tailed.{kind}")


def test_gzip_and_folders(tmp_path: Path) -> None:
    plain = written(tmp_path, "edges")
    (tmp_path / "more.edges.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert len(items(tmp_path)) == 2


def test_sparse_parts_and_stacks(tmp_path: Path) -> None:
    from scipy.sparse import csr_array, save_npz

    matrix = nx.to_numpy_array(to_networkx(TAILED))
    save_npz(tmp_path / "sparse.npz", csr_array(matrix))
    assert isomorphic(only(tmp_path / "sparse.npz"), Graph("", 4, TAILED.edges)) is True
    np.savez(tmp_path / "stack.npz", a=np.stack([matrix, np.zeros((4, 4))]))
    assert [len(g.edges) for g in items(tmp_path / "stack.npz") if isinstance(g, Graph)] == [4, 0]


def test_labels_and_directions_are_read(tmp_path: Path) -> None:
    arcs = graph(3, (1, 0), (0, 2), name="arcs", directed=True, node_labels=("C", "N", "O"), edge_labels=("x", "y"))
    for name in ("samples.jsonl", "samples.graphml"):
        write_samples(tmp_path / name, [arcs], nats=[1.5])
        found = only(tmp_path / name)
        assert equal(found, arcs), found
    nx.write_graphml_xml(to_networkx(arcs), tmp_path / "theirs.graphml")
    assert isomorphic(only(tmp_path / "theirs.graphml"), arcs) is True
    (tmp_path / "weighted.edges").write_text("a b 0.5\nb c 2\n")
    assert only(tmp_path / "weighted.edges").edge_labels is None
    assert only(tmp_path / "weighted.edges", weights="label").edge_labels == ("0.5", "2")
    source = open_source(path=tmp_path / "weighted.edges")
    list(source)
    assert source.notes == {"edge weights left out": 2}


def test_tu_folders(tmp_path: Path) -> None:
    """Two graphs, 1-based; each edge in both directions."""
    (tmp_path / "DS_A.txt").write_text("1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n")
    (tmp_path / "DS_graph_indicator.txt").write_text("1\n1\n1\n2\n2\n")
    (tmp_path / "DS_graph_labels.txt").write_text("-1\n1\n")
    (tmp_path / "DS_node_labels.txt").write_text("0\n1\n0\n2\n2\n")
    found = items(tmp_path)
    assert [(g.id, g.n, g.edges.tolist(), g.labels, g.node_labels) for g in found if isinstance(g, Graph)] == [
        ("DS_1", 3, [[0, 1], [1, 2]], {"label": "-1"}, ("0", "1", "0")),
        ("DS_2", 2, [[0, 1]], {"label": "1"}, ("2", "2")),
    ]
    (tmp_path / "DS_A.txt").write_text("1, 2\n2, 1\n2, 3\n4, 5\n5, 4\n")
    assert [getattr(item, "reason", "") for item in items(tmp_path)] == ["not_symmetric", ""]
    for edges, words in (
        ("1, 2\n2, 9\n", "line 2: an edge names node 9"),
        ("0, 1\n1, 0\n", "line 1: an edge names node 0"),
        ("1, 2\n\nx, 1\n", "line 3: expected a whole number, got 'x'"),
        ("1, 2, 3\n", "line 1: expected two"),
    ):
        (tmp_path / "DS_A.txt").write_text(edges)
        with pytest.raises(InputError, match=f"DS_A.txt, {words}"):
            items(tmp_path)
    for owners, words in (("1\nfoo\n", "line 2: expected a whole"), ("1\n1\n2\n1\n2\n", "line 4: expected the number")):
        (tmp_path / "DS_graph_indicator.txt").write_text(owners)
        with pytest.raises(InputError, match=f"indicator.txt, {words}"):
            items(tmp_path)


def test_options_are_checked() -> None:
    for given, words in (
        ({"data": "planer"}, "did you mean 'planar'"),
        ({"data": "planar", "node": 3}, "did you mean 'nodes'"),
        ({"data": "planar", "nodes": [9, 5]}, "fewest, most"),
        ({"data": "atlas", "count": 3}, "atlas"),
        ({"data": "planar", "path": "x"}, "either"),
        ({}, "either"),
    ):
        with pytest.raises(ConfigError, match=words):
            open_source(**given)  # type: ignore[arg-type]


def test_made_graphs_come_with_the_benchmarks_split() -> None:
    source = open_source(data="planar", nodes=[8, 8])
    found = list(source)
    sides = [source.split(item) for item in found if isinstance(item, Graph)]
    assert [sides.count(side) for side in ("train", "validation", "test")] == [128, 32, 40]
    assert source.suggested_split["rule"] == "given"
    assert sum(1 for _ in open_source(data="tree", nodes=5, count=10, held_out=2)) == 14


def test_properties_become_labels(tmp_path: Path) -> None:
    source = open_source(data="tree", nodes=6, count=4, held_out=1, properties=["diameter", "triangles"])
    out = tmp_path / "s.zarr"
    prepare_store(source, SentTokenizer(), out, split=SplitConfig(rule="given", k=6), domain="graphs")
    store = TokenStore.open(out)
    assert set(store.label_names) == {"diameter", "triangles"}
    assert np.asarray(store.labels("triangles")).tolist() == [0] * 6


def test_copies_are_found_whatever_their_numbers(tmp_path: Path) -> None:
    """An isomorphic copy stands on the same side, and the report counts it."""
    twins = [graph(4, (0, 1), (1, 2), (0, 2), (2, 3)), graph(4, (3, 2), (2, 1), (3, 1), (1, 0))]
    others = [from_networkx(nx.cycle_graph(n)) for n in range(3, 15)]
    write_samples(tmp_path / "graphs.jsonl", [*twins, PARTS, *others])
    source = open_source(path=tmp_path / "graphs.jsonl")
    report = prepare_store(
        source, SentTokenizer(SentConfig(max_nodes=16)), tmp_path / "s.zarr", split=SplitConfig(rule="random", k=6),
        domain="graphs",
    )  # fmt: skip
    assert report.duplicates == {"records": 1, "sets": 1, "across_splits": 0}
    assert report.counts == {"in": 15, "ok": 15, "rejected": {}}
    assert report.leakage is not None
    assert report.leakage["test"] in (0.0, None), "cycles of different lengths share nothing"


def test_too_large_graphs_are_counted(tmp_path: Path) -> None:
    write_samples(tmp_path / "graphs.jsonl", [TAILED, from_networkx(nx.path_graph(20))])
    report = prepare_store(
        open_source(path=tmp_path / "graphs.jsonl"), SentTokenizer(SentConfig(max_nodes=8)), tmp_path / "s.zarr",
        split=SplitConfig(rule="random"), domain="graphs", max_bad=0.6,
    )  # fmt: skip
    assert report.counts["rejected"] == {"too_many_nodes": 1}
    (line,) = (tmp_path / "s.zarr.rejects.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "too_many_nodes"
