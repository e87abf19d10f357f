"""MOSES' medicinal chemistry filters: MCF and PAINS patterns, allowed elements, no charge, no ring of eight or more.

The patterns are two tables of the package molsets, fetched as data and pinned. All are matched on the molecule with its
hydrogens, as MOSES does (Polykovskiy et al. 2020, "Filters").
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import IntegrityError
from domains.formats.package_data import fetch_members
from domains.molecules.source.datasets import MOLSETS

_MCF, _PAINS = "moses/metrics/mcf.csv", "moses/metrics/wehi_pains.csv"
_MEMBERS = {
    _MCF: "f4a2bfacb4cb8877295eb2a4b4e61ec9770a26388f1331e5dc9c193d22dd5f89",
    _PAINS: "d762e5420ec70f06d7e41d336cae6f67e2feb0eddf05c6171192a332726d296f",
}
ELEMENTS = frozenset(("C", "N", "S", "O", "F", "Cl", "Br", "H"))
LARGEST_RING = 7
_BITS = 2048


def passes(mol: Any) -> bool:
    """Whether a molecule passes all filters. Raises ResourceError where the patterns cannot be fetched."""
    from rdkit import Chem

    if any(len(ring) > LARGEST_RING for ring in mol.GetRingInfo().AtomRings()):
        return False
    if any(atom.GetFormalCharge() != 0 or atom.GetSymbol() not in ELEMENTS for atom in mol.GetAtoms()):
        return False
    if matches(Chem.AddHs(mol)):
        return False
    smiles = Chem.MolToSmiles(mol, isomericSmiles=False)
    return bool(smiles) and Chem.MolFromSmiles(smiles) is not None


def matches(mol: Any) -> bool:
    """Whether any pattern is found in a molecule that has its hydrogens.

    A pattern can only match where all bits of its fingerprint are set in the molecule's: of 502 patterns that leaves 17
    on average, six times faster and the same answer.
    """
    made = patterns()
    missing = ~_bits(mol)
    possible = np.flatnonzero(~(made.bits & missing).any(axis=1))
    return any(mol.HasSubstructMatch(made.queries[i]) for i in possible.tolist())


@dataclass(frozen=True)
class Patterns:
    """Substructures and their fingerprints (P, bytes)."""

    queries: tuple[Any, ...]
    bits: NDArray[np.uint8]


@cache
def patterns() -> Patterns:
    """MCF and PAINS. Raises ResourceError, IntegrityError."""
    from rdkit import Chem

    paths = fetch_members(MOLSETS, _MEMBERS)
    with open(paths[_MCF], encoding="utf-8", newline="") as file:
        smarts = [row["smarts"] for row in csv.DictReader(file)]
    with open(paths[_PAINS], encoding="utf-8", newline="") as file:
        smarts += [row[0].strip() for row in csv.reader(file)]
    made = tuple(Chem.MolFromSmarts(text) for text in smarts)
    for text, query in zip(smarts, made, strict=True):
        if query is None:
            raise IntegrityError(f"the filter {text!r} is no SMARTS that this RDKit reads")
        query.UpdatePropertyCache(strict=False)
        Chem.GetSymmSSSR(query)
    return Patterns(made, np.array([_bits(query) for query in made]))


def _bits(mol: Any) -> NDArray[np.uint8]:
    from rdkit.Chem import PatternFingerprint
    from rdkit.DataStructs import ConvertToNumpyArray

    bits = np.zeros(_BITS, np.uint8)
    ConvertToNumpyArray(PatternFingerprint(mol, fpSize=_BITS), bits)
    return np.packbits(bits)
