"""Bad graphs and bad files beside good ones: each is a reject with reason, place and words, and takes none with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from core.errors import InputError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from domains.graphs.graph import Graph, from_networkx, to_networkx
from domains.graphs.source import open_source, write_samples
from domains.graphs.tokenizer import SentConfig, SentTokenizer
from tests.domains.graphs.graphs import TAILED, graph, items, only, written

BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<graphml><graph id="&b;"><node id="n0"/></graph></graphml>"""


def refused(path: Path, **options: Any) -> Reject:
    (found,) = items(path, **options)
    assert isinstance(found, Reject), found
    return found


@pytest.mark.parametrize(
    ("name", "text", "reason", "line"),
    [
        ("short.edges", "0 1\n2\n", "short_line", 2),
        ("nan.edges", "0 1 1.0\n1 2 NaN\n", "nan_weight", 2),
        ("dangling.json", '{"nodes": [{"id": 1}], "links": [{"source": 1, "target": 2}]}', "dangling_edge", None),
        ("lacking.json", '{"nodes": [{"name": 1}], "links": []}', "no_graph", None),
        ("dangling.jsonl", '{"n": 2, "edges": [[0, 2]]}\n', "dangling_edge", 1),
        ("one_based.mtx", "%%MatrixMarket matrix coordinate pattern symmetric\n2 2 1\n2 0\n", "dangling_edge", 3),
        ("nan.mtx", "%%MatrixMarket matrix coordinate real symmetric\n% c\n2 2 1\n2 1 nan\n", "nan_weight", 4),
        ("word.mtx", "%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n2 x 1\n", "no_number", 3),
        (
            "vast.mtx",
            "%%MatrixMarket matrix coordinate pattern general\n99999999999 99999999999 0\n",
            "too_many_nodes",
            None,
        ),
        ("cut.mtx", "%%MatrixMarket matrix coordinate pattern symmetric\n2 2 3\n2 1\n", "cut_short", None),
        ("odd.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 1\n2 1 1\n", "not_symmetric", None),
        ("wide.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 3 1\n2 1\n", "not_square", None),
        ("cut.g6", "DQ\n", "no_graph6", 1),
        ("empty.jsonl", '{"n": 0, "edges": []}\n', "no_node", 1),
        ("text.jsonl", "not json\n", "no_json", 1),
        ("halves.jsonl", '{"n": 2, "edges": [[0, 0.5]]}\n', "no_graph", 1),
        ("vast.jsonl", '{"n": 1000000000000, "edges": [[0, 1]]}\n', "too_many_nodes", 1),
        ("nan.jsonl", '{"n": 2, "edges": [[0, NaN]]}\n', "no_graph", 1),
        ("deep.jsonl", "[" * 100_000 + "\n", "no_json", 1),
        ("labels.jsonl", '{"n": 2, "edges": [[0, 1]], "node_labels": ["C"]}\n', "no_graph", 1),
        ("names.gml", "graph [ node [ id 1 ] node [ id 1 ] ]", "repeated_node", None),
        ("dangling.gml", "graph [ node [ id 1 ] edge [ source 1 target 2 ] ]", "dangling_edge", None),
    ],
)
def test_bad_graphs_are_rejects(tmp_path: Path, name: str, text: str, reason: str, line: int | None) -> None:
    (tmp_path / name).write_text(text)
    found = refused(tmp_path / name)
    assert (found.reason, found.line) == (reason, line), found
    assert found.message
    assert found.file.endswith(name)


def test_matrices_that_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "nan.npz", a=np.array([[0, np.nan], [np.nan, 0]]))
    assert refused(tmp_path / "nan.npz").reason == "nan_weight"
    np.savez(tmp_path / "arcs.npz", a=np.array([[0, 1], [0, 0]]))
    found = refused(tmp_path / "arcs.npz")
    assert found.reason == "not_symmetric"
    assert "(0, 1)" in found.message
    assert only(tmp_path / "arcs.npz", directed=True).edges.tolist() == [[0, 1]]
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    assert "plain arrays" in refused(tmp_path / "objects.npz").message
    np.savez(tmp_path / "parts.npz", data=[1], indices=[9], indptr=[0, 1, 3], shape=[2, 2])
    assert refused(tmp_path / "parts.npz").reason == "damaged_npz"
    np.savez(tmp_path / "words.npz", a=np.array([["x"]]), b=np.eye(2)[::-1])
    source = open_source(path=tmp_path / "words.npz")
    assert [len(g.edges) for g in source if isinstance(g, Graph)] == [1]
    assert source.notes["arrays that are no matrix of numbers left out"] == 1


DAMAGED = {
    "bomb.graphml": (BOMB, "unsafe_xml", "entities"),
    "cut.graphml": ("<graphml><graph>", "damaged_xml", "well-formed"),
    "odd.graphml": ("<?xml version='1.0' encoding='u3f-8'?><graphml/>", "damaged_xml", "u3f-8"),
    "cut.gml": ("graph [ node [ id 1", "damaged_gml", "bracket"),
    "deep.gml": ("graph " + "[ a " * 20_000, "damaged_gml", "'a'"),
    "cut.json": ('{"nodes": [', "no_json", "no JSON"),
    "none.json": ("[]", "no_graph", "no graph in it"),
    "dense.mtx": ("%%MatrixMarket matrix array real general\n1 1\n1\n", "bad_header", "coordinate"),
    "text.npz": ("no zip", "damaged_npz", "plain arrays"),
    "empty.edges": ("", "damaged_file", "empty"),
}
"""File name to its text, and why it is refused."""


def test_a_damaged_document_is_one_reject_and_the_others_go_on(tmp_path: Path) -> None:
    for name, (text, _, _) in DAMAGED.items():
        (tmp_path / name).write_text(text)
    written(tmp_path, "json")
    found = items(tmp_path)
    assert [item.index for item in found if isinstance(item, Reject)] == [
        i for i, item in enumerate(found) if isinstance(item, Reject)
    ], "every index is the place in the stream"
    refusals = {Path(item.file).name: item for item in found if isinstance(item, Reject)}
    assert {name: item.reason for name, item in refusals.items()} == {n: why for n, (_, why, _) in DAMAGED.items()}
    assert all(DAMAGED[name][2] in item.message for name, item in refusals.items())
    assert [item.id for item in found if isinstance(item, Graph)] == ["tailed"]


def test_a_folder_of_nothing_but_damage_makes_no_store(tmp_path: Path) -> None:
    (tmp_path / "bomb.graphml").write_text(BOMB)
    with pytest.raises(InputError, match=r"1 unsafe_xml.*\n.*bomb\.graphml"):
        prepare_store(
            open_source(path=tmp_path / "bomb.graphml"), SentTokenizer(), tmp_path / "s.zarr",
            split=SplitConfig(rule="random"), domain="graphs", max_bad=1,
        )  # fmt: skip


def test_damage_where_many_graphs_stand_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "words.xyz").write_text("0 1\n")
    with pytest.raises(InputError, match="names no format"):
        items(tmp_path / "words.xyz")
    line = json.dumps({"n": 2, "edges": [[0, 1]]}) + "\n"
    (tmp_path / "cut.jsonl").write_bytes(gzip.compress(line.encode() * 999)[:-9])
    with pytest.raises(InputError, match="ends early"):
        items(tmp_path / "cut.jsonl")


@pytest.mark.parametrize("suffix", ["jsonl", "json", "graphml", "gml", "npz", "mtx", "edges", "g6"])
def test_no_damage_is_anything_but_a_reject_or_an_input_error(tmp_path: Path, suffix: str) -> None:
    """Bytes of a good file are changed, left out and doubled at random."""
    good = written(tmp_path, suffix).read_bytes()
    path, draws, spoiled = tmp_path / f"bad.{suffix}", np.random.default_rng(0), 0
    for _ in range(60):
        data = bytearray(good)
        for _ in range(draws.integers(1, 4)):
            at = int(draws.integers(len(data)))
            data[at : at + int(draws.integers(3))] = [b"", b"nan", b"[", b"99999999999999999999", bytes([at % 256])][
                draws.integers(5)
            ]
        path.write_bytes(data)
        try:
            spoiled += any(isinstance(item, Reject) for item in items(path))
        except InputError:
            spoiled += 1
    assert spoiled > 5


@pytest.mark.parametrize("kind", ["graphml", "gml", "json", "edges"])
def test_weights_of_every_format_go_one_way(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"weighted.{kind}"

    def write(weight: float) -> None:
        drawn = to_networkx(graph(3, (0, 1), (1, 2)))
        nx.set_edge_attributes(drawn, {(0, 1): 0.5, (1, 2): weight}, "weight")
        if kind == "graphml":
            nx.write_graphml_xml(drawn, path)
        elif kind == "gml":
            nx.write_gml(drawn, path)
        elif kind == "json":
            path.write_text(json.dumps(nx.node_link_data(drawn, edges="links")))
        else:
            path.write_text(f"0 1 0.5\n1 2 {weight}\n")

    write(2.0)
    source = open_source(path=path)
    assert [g.edge_labels for g in source if isinstance(g, Graph)] == [None]
    assert source.notes == {"edge weights left out": 2}
    assert only(path, weights="label").edge_labels == ("0.5", "2.0")
    assert refused(path, weights="refuse").reason == "weighted"
    if kind != "edges":
        assert only(path, edge_label="weight").edge_labels == ("0.5", "2.0")
    write(float("nan"))
    assert refused(path).reason == "nan_weight"
    assert refused(path, weights="label").reason == "nan_weight"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"edges": [[0, [1, 2]]]}', "edge 1 is [0, [1, 2]]: expected two node numbers"),
        ('{"n": 3, "edges": [[0, 1], ["a", "b"]]}', 'edge 2 is ["a", "b"]'),
        ('{"n": 3, "edges": [[0, 1], [0, 1000000000000000000000]]}', "edge 2 is"),
        ('{"n": NaN, "edges": [[0, 1]]}', "n is NaN"),
        ('{"edges": {"a": 1}}', 'edges are {"a": 1}: expected a list'),
        ('{"n": 2, "edges": [[0, 1]], "node_labels": "AB"}', 'node_labels are "AB": expected a list'),
        ('{"nodes": [{"x": 1}], "links": []}', "node 1 has no id"),
        ('{"nodes": [{"id": 1}], "links": [5]}', "edge 1 is 5: expected an object"),
        ('{"n": 2, "edges": [], "directed": "no"}', "expected true or false"),
        ('{"n": 2, "edges": [], "labels": [1]}', "labels are [1]"),
        ("[1, 2]", "no JSON object but [1, 2]"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "weird.jsonl").write_text(line + "\n")
    found = refused(tmp_path / "weird.jsonl")
    assert words in found.message
    assert "object is not" not in found.message
    assert found.line == 1


def test_numbers_from_1_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "ones.jsonl").write_text('{"edges": [[1, 2]]}\n{"edges": [[0, 1]]}\n{"n": 3, "edges": [[1, 2]]}\n')
    source = open_source(path=tmp_path / "ones.jsonl")
    assert len(list(source)) == 3
    assert [n for what, n in source.notes.items() if "start at 1" in what] == [1]


def test_what_helps_is_told(tmp_path: Path) -> None:
    """Of what a source and of what a tokenizer refuses."""
    labelled = graph(2, (0, 1), node_labels=("C", "N"))
    arcs, large = graph(2, (0, 1), directed=True), from_networkx(nx.path_graph(20))
    write_samples(tmp_path / "graphs.jsonl", [TAILED, labelled, arcs, large])
    with (tmp_path / "graphs.jsonl").open("a") as file:
        file.write('{"n": 2, "edges": [[1, 2]]}\n')
    with pytest.raises(InputError) as error:
        prepare_store(
            open_source(path=tmp_path / "graphs.jsonl"), SentTokenizer(SentConfig(max_nodes=8)), tmp_path / "s.zarr",
            split=SplitConfig(rule="random"), domain="graphs",
        )  # fmt: skip
    for words in ("start at 0 in JSON lines", "tokenizer.directed=true", "tokenizer.labels=none", "max_nodes (now 8)"):
        assert words in error.value.hint


def test_a_bad_graph_takes_no_good_one_with_it(tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"g{i}", "n": 3, "edges": [[0, 1], [1, 2]]}) for i in range(4)]
    (tmp_path / "many.jsonl").write_text("\n".join([lines[0], "{", lines[1], "", lines[2], '{"n": 1}', lines[3]]))
    found = items(tmp_path / "many.jsonl")
    assert [item.id for item in found if isinstance(item, Graph)] == ["g0", "g1", "g2", "g3"]
    assert [item.line for item in found if isinstance(item, Reject)] == [2, 6]
    two = tmp_path / "two.edges"
    two.write_text("# graph first\n0 1\n1\n# graph second\n0 1\n1 2\n")
    assert [getattr(item, "reason", item.id) for item in items(two)] == ["short_line", "second"]
    assert [len(g.edges) for g in items(two, bad_lines="drop") if isinstance(g, Graph)] == [1, 2]
