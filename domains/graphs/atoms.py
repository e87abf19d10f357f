"""A molecule as a graph and back: an atom a node, labelled with its SMILES, a bond an edge.

Labels of nodes are the atoms of SMILES, `C`, `c`, `[nH]`, `[O-]`; hydrogens that SMILES leaves out are left out. Those
of edges are `-`, `=`, `#`, `$`, `:` (aromatic). Stereo marks have no place in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.errors import RecordError
from domains.graphs.graph import Graph, components

_BONDS = {"SINGLE": "-", "DOUBLE": "=", "TRIPLE": "#", "QUADRUPLE": "$", "AROMATIC": ":"}
"""By RDKit's names; what else it knows (dative bonds) has a direction or no sign."""


def graph_of(smiles: str, name: str = "") -> Graph:
    """Atoms in the order of the SMILES.

    Raises RecordError `syntax` where RDKit cannot read it, `bond` for one that an undirected graph has no label for.
    """
    from rdkit import Chem

    mol: Any = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise RecordError("syntax", f"molecule '{name}': RDKit cannot read {smiles!r}", record=name)
    Chem.RemoveStereochemistry(mol)
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), _BONDS.get(b.GetBondType().name)) for b in mol.GetBonds()]
    if any(label is None for *_, label in bonds):
        raise RecordError("bond", f"molecule '{name}': {smiles!r} has a bond that is none of - = # $ :", record=name)
    edges = np.array([sorted(bond[:2]) for bond in bonds], np.int64).reshape(-1, 2)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    labels = tuple(str(bonds[i][2]) for i in order.tolist())
    return Graph(name, mol.GetNumAtoms(), edges[order], tuple(a.GetSmarts() for a in mol.GetAtoms()), labels)


def smiles_of(graph: Graph) -> str | None:
    """The canonical SMILES of a graph of atoms; None where it is no molecule."""
    from rdkit import Chem, rdBase

    kinds: Mapping[str, Any] = {label: getattr(Chem.BondType, bond) for bond, label in _BONDS.items()}
    if graph.node_labels is None or (len(graph.edges) and graph.edge_labels is None):
        return None
    mol = Chem.RWMol()
    with rdBase.BlockLogs():
        for label in graph.node_labels:
            atom: Any = Chem.AtomFromSmiles(label)
            if atom is None:
                return None
            mol.AddAtom(atom)
        for (u, v), label in zip(graph.edges.tolist(), graph.edge_labels or (), strict=True):
            if label not in kinds:
                return None
            mol.AddBond(u, v, kinds[label])
        try:
            Chem.SanitizeMol(mol)
        except (Chem.AtomValenceException, Chem.KekulizeException, Chem.AtomKekulizeException):
            return None
        text: str = Chem.MolToSmiles(mol)
    return text


def is_molecule(graph: Graph) -> bool:
    """In one part, and RDKit finds no fault with valences and aromatic rings."""
    return bool(components(graph).max(initial=0) == 0) and smiles_of(graph) is not None
