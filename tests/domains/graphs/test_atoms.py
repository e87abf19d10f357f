"""Molecules as graphs: there and back, and what is no molecule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, RecordError
from core.rejects import Reject
from domains.graphs.atoms import graph_of, is_molecule, smiles_of
from domains.graphs.graph import renumbered
from domains.graphs.source import open_source
from domains.graphs.source.molecules import MoleculeGraphs
from domains.graphs.tokenizer import SentTokenizer
from domains.graphs.tokenizer.sent import SentConfig

MOLECULES = (
    "CC(=O)Nc1ccc(O)cc1", "c1ccc2[nH]ccc2c1", "[O-][n+]1ccccc1", "C[N+](C)(C)C", "C#N", "[2H]C", "[CH2]C", "O=C=O",
    "c1ccsc1", "NS(=O)(=O)c1ccccc1", "C", "CC(=O)[O-].[Na+]",
)  # fmt: skip


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_molecule_comes_back_however_its_atoms_are_numbered(smiles: str) -> None:
    from rdkit import Chem

    made = graph_of(smiles, "m")
    wanted = Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
    assert smiles_of(made) == wanted
    turned = renumbered(made, np.random.default_rng(1).permutation(made.n))
    assert smiles_of(turned) == wanted
    tokenizer = SentTokenizer(SentConfig(max_nodes=16, labels="both")).fit([graph_of(s) for s in (*MOLECULES, "C=C")])
    assert smiles_of(tokenizer.decode(tokenizer.encode(turned))) == wanted


def test_what_is_no_molecule() -> None:
    good = graph_of("CC=C")
    assert is_molecule(good)
    assert not is_molecule(replace(good, node_labels=("F", "F", "F")))
    assert not is_molecule(replace(good, edge_labels=(":", "=")))
    assert not is_molecule(replace(good, edge_labels=("-", "bond")))
    assert not is_molecule(replace(good, node_labels=None))
    assert smiles_of(graph_of("C.C")) == "C.C"
    assert not is_molecule(graph_of("C.C"))
    for smiles, reason in (("C(", "syntax"), ("C->[Fe]", "bond")):
        with pytest.raises(RecordError) as error:
            graph_of(smiles, "bad")
        assert error.value.reason == reason


ASSAY = """smiles,pic50,maker
CC(=O)Nc1ccc(O)cc1,5.5,a
N[C@@H](C)C(=O)O,4.5,b
C->[Fe],4,a
C(,3,b
c1ccsc1,,a
"""


def test_molecules_of_ones_own_as_graphs(tmp_path: Path) -> None:
    (tmp_path / "assay.csv").write_text(ASSAY)
    source = open_source(
        path=tmp_path / "assay.csv", format="molecules", labels=["pic50"], properties=["edges", "rings"], workers=1
    )
    items = list(source)
    graphs = [item for item in items if not isinstance(item, Reject)]
    assert [smiles_of(graph) for graph in graphs] == ["CC(=O)Nc1ccc(O)cc1", "CC(N)C(=O)O", "c1ccsc1"]
    assert Counter(item.reason for item in items if isinstance(item, Reject)) == {"bond": 1, "syntax": 1}
    assert [item.index for item in items if isinstance(item, Reject)] == [2, 3]
    labels = [source.labels(graph) for graph in graphs]
    assert [label["pic50"] for label in labels][:2] == [5.5, 4.5]
    assert np.isnan(labels[2]["pic50"])
    assert [(label["edges"], label["rings"]) for label in labels] == [(11, 1), (5, 0), (5, 1)]
    assert source.notes["molecules without their stereo marks"] == 1
    assert source.suggested_split == {"rule": "random", "k": 6}
    assert source.provenance["family"] == "molecule"


def test_endings_say_molecules_and_scaffolds_are_groups(tmp_path: Path) -> None:
    (tmp_path / "few.smi").write_text("CCc1ccccc1 one\nCCCc1ccccc1 two\nC1CCNCC1 three\n")
    source = open_source(path=tmp_path / "few.smi", scaffolds=True, workers=1)
    groups = [source.group(graph) for graph in source if not isinstance(graph, Reject)]
    assert groups[0] == groups[1] != groups[2]
    assert source.suggested_split["rule"] == "group"


def test_what_graphs_of_molecules_cannot_be_asked(tmp_path: Path) -> None:
    (tmp_path / "few.smi").write_text("C\n")
    for options, said in (
        ({"stamp_column": "date"}, "no time"),
        ({"random_copies": 2}, "no SMILES"),
        ({"properties": ["lgop"]}, "logp"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_source(path=tmp_path / "few.smi", **options)
    with pytest.raises(ConfigError, match="esol_graphs"):
        open_source("esl_graphs")


@pytest.mark.network
def test_moses_as_graphs() -> None:
    source = MoleculeGraphs("moses_graphs", options={"limit": 200})
    found = list(source)
    assert len(found) == 200
    assert Counter(g.split for g in found).keys() == {"train", "test"}
    assert all(is_molecule(g) for g in found)
