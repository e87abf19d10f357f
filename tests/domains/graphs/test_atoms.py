"""Molecules as graphs: there and back, and what is no molecule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.errors import RecordError
from domains.graphs.atoms import graph_of, is_molecule, smiles_of
from domains.graphs.graph import renumbered
from domains.graphs.source.molecules import MoleculeGraphs, MoleculesConfig
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


@pytest.mark.network
def test_moses_as_graphs() -> None:
    source = MoleculeGraphs(MoleculesConfig(limit=200))
    found = list(source)
    assert len(found) == 200
    assert Counter(g.split for g in found).keys() == {"train", "test"}
    assert all(is_molecule(g) for g in found)
