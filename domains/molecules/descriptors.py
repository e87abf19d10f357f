"""Properties of molecules as MOSES measures them: logP, QED, synthetic accessibility, weight, rings, scaffold.

Synthetic accessibility follows Ertl and Schuffenhauer (2009, J. Cheminf. 1:8): how common a molecule's fragments are,
less what makes it hard (size, stereo centres, spiro and bridged atoms, large rings), from 1 (easy) to 10. Their
fragment scores are published as a pickle of plain numbers; its text is read here line by line, nothing is unpickled.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, IntegrityError, nearest
from domains.formats.package_data import Package, fetch_members

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_SCORES = "moses/metrics/SA_Score/fpscores.pkl.gz"
_SCORES_SHA = "10dcef9340c873e7b987924461b0af5365eb8dd96be607203debe8ddf80c1e73"
_PACKAGE = Package("pypi", "molsets", "0.3.1", "molsets-0.3.1-py3-none-any.whl")
_RARE = -4.0
"""Of a fragment that is not in the table."""
_LOW, _HIGH = -4.0, 2.5
"""The range of raw scores that is stretched to 1 to 10."""
_MACROCYCLE = 8
"""Rings of more atoms count as large."""


def logp(mol: Mol) -> float:
    """Octanol-water partition by atom contributions (Wildman and Crippen 1999)."""
    from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors

    return float(CalcCrippenDescriptors(mol)[0])


def qed(mol: Mol) -> float:
    """Drug-likeness from 0 to 1 (Bickerton et al. 2012)."""
    from rdkit.Chem.QED import qed as measured

    return float(measured(mol))  # type: ignore[no-untyped-call]


def weight(mol: Mol) -> float:
    """Molecular weight, Da."""
    from rdkit.Chem.rdMolDescriptors import _CalcMolWt

    return float(_CalcMolWt(mol))


def rings(mol: Mol) -> float:
    """How many rings the smallest set of them has."""
    return float(mol.GetRingInfo().NumRings())


def sa(mol: Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10, with the two changes of RDKit's version: a large ring counts once, and
    repeated fragments make a molecule easier.

    Raises ResourceError where the fragment scores cannot be fetched.
    """
    from rdkit.Chem import FindMolChiralCenters
    from rdkit.Chem.rdMolDescriptors import CalcNumBridgeheadAtoms, CalcNumSpiroAtoms

    scores = fragment_scores()
    found = _fragments().GetSparseCountFingerprint(mol).GetNonzeroElements()
    atoms, count = mol.GetNumAtoms(), sum(found.values())
    if not count:
        return float("nan")
    common = sum(scores.get(fragment, _RARE) * n for fragment, n in found.items()) / count
    centres = len(FindMolChiralCenters(mol, includeUnassigned=True))  # type: ignore[no-untyped-call]
    large = any(len(ring) > _MACROCYCLE for ring in mol.GetRingInfo().AtomRings())
    hard = (
        atoms**1.005
        - atoms
        + math.log10(centres + 1)
        + math.log10(CalcNumSpiroAtoms(mol) + 1)
        + math.log10(CalcNumBridgeheadAtoms(mol) + 1)
        + (math.log10(2) if large else 0.0)
    )
    repeated = 0.5 * math.log(atoms / len(found)) if atoms > len(found) else 0.0
    score = 11 - (common - hard + repeated - _LOW + 1) / (_HIGH - _LOW) * 9
    if score > 8:
        score = 8 + math.log(score - 8)
    return float(min(max(score, 1.0), 10.0))


PROPERTIES: dict[str, Callable[[Mol], float]] = {"logp": logp, "qed": qed, "sa": sa, "weight": weight, "rings": rings}


def property_of(mol: Mol, name: str) -> float:
    """Raises ConfigError for an unknown property, with the nearest one."""
    if name not in PROPERTIES:
        raise ConfigError(
            f"there is no property '{name}'{nearest(name, PROPERTIES)}", hint=f"Known: {', '.join(PROPERTIES)}."
        )
    return PROPERTIES[name](mol)


def scaffold_of(mol: Mol, min_rings: int = 0) -> str:
    """The canonical SMILES of the Bemis-Murcko scaffold; "" where it has fewer rings than `min_rings` or none."""
    from rdkit.Chem import MolToSmiles
    from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

    scaffold = GetScaffoldForMol(mol)  # type: ignore[no-untyped-call]
    if min_rings and scaffold.GetRingInfo().NumRings() < min_rings:
        return ""
    return str(MolToSmiles(scaffold))


@cache
def fragment_scores() -> dict[int, float]:
    """Morgan fragment of radius 2 to its score. Raises ResourceError, IntegrityError."""
    path = fetch_members(_PACKAGE, {_SCORES: _SCORES_SHA})[_SCORES]
    return read_fragment_scores(gzip.decompress(path.read_bytes()))


def read_fragment_scores(pickled: bytes) -> dict[int, float]:
    """The table out of a pickle (protocol 0) of a list of lists `[score, fragment, fragment ...]`.

    Such a pickle is text: `F` begins a line with a score, `I` one with a fragment, after an `a` where something is
    appended. A line that is neither, nor opens or closes a list, is refused.

    Raises IntegrityError.
    """
    scores: dict[int, float] = {}
    score: float | None = None
    for line in pickled.split(b"\n"):
        value = line.lstrip(b"a(")
        if value[:1] == b"F":
            score = float(value[1:])
        elif value[:1] == b"I" and score is not None:
            scores[int(value[1:])] = score
        elif value[:2] != b"lp" and value != b".":
            raise IntegrityError(f"the fragment scores hold {line[:40]!r}, expected numbers in lists")
    return scores


@cache
def _fragments():  # type: ignore[no-untyped-def]  # rdkit's generator has no public type
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return GetMorganGenerator(radius=2)


def properties_of(mols: list[Mol], names: list[str]) -> dict[str, NDArray[np.float64]]:
    """By name (N,)."""
    return {name: np.array([property_of(mol, name) for mol in mols]) for name in names}
