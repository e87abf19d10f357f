"""The metrics of MOSES by their definitions (Polykovskiy et al. 2020): what is measured on a set of molecules, and how
two sets compare.

valid           share of all samples that RDKit reads
unique_K        share of different ones among the first K valid ones
novelty         share of different valid ones that are not in training
intdiv          1 - mean Tanimoto similarity of all pairs
snn_test        mean similarity to the nearest test molecule
frag_test       cosine of the counts of BRICS fragments; scaf_test of scaffolds
filters         share that passes MCF, PAINS and the rest
fcd_test        Frechet ChemNet distance
wasserstein_P   between the distributions of a property

All but the first three are of the valid samples, repeats included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from core.errors import RecordError
from domains.molecules.descriptors import property_of, scaffold_of
from domains.molecules.evaluation import chemnet
from domains.molecules.evaluation.fingerprints import Packed, fingerprints, mean_similarity, nearest
from domains.molecules.parsing import parse

PROPERTIES = ("logp", "sa", "qed", "weight")
SCAFFOLD_RINGS = 2
"""Scaffolds of fewer rings are not counted."""


@dataclass
class Statistics:
    """What a set of molecules is compared by."""

    n: int
    packed: Packed
    """(n, bytes) fingerprints."""
    fragments: Counter[str]
    """BRICS fragments."""
    scaffolds: Counter[str]
    properties: dict[str, NDArray[np.float64]]
    """By name, of all n or of an even part of them."""
    mean: NDArray[np.float64] | None = None
    """(512,) of ChemNet's activations; None where they are not measured."""
    covariance: NDArray[np.float64] | None = None
    costly: int = 0
    """Of how many molecules properties and activations are."""


@dataclass
class Valid:
    """The readable ones of some samples."""

    total: int
    smiles: list[str]
    """Canonical."""
    mols: list[Any]
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Which samples they are."""


def read_valid(texts: Sequence[str]) -> Valid:
    """Molecules of the samples that RDKit reads."""
    from rdkit.Chem import MolFromSmiles, MolToSmiles

    smiles, mols, places = [], [], []
    for place, text in enumerate(texts):
        try:
            written = str(MolToSmiles(parse(text)))
        except RecordError:
            continue
        mol = MolFromSmiles(written)
        if mol is not None:
            smiles.append(written)
            mols.append(mol)
            places.append(place)
    return Valid(len(texts), smiles, mols, np.array(places, np.int64))


def statistics(
    smiles: Sequence[str],
    mols: Sequence[Any],
    *,
    fcd: bool,
    costly: int = 0,
    names: Sequence[str] = PROPERTIES,
    say: Callable[[str], None] = lambda text: None,
) -> Statistics:
    """Measures molecules.

    Args:
        smiles, mols: canonical SMILES and their molecules.
        fcd: whether ChemNet's activations are measured.
        costly: of how many molecules, evenly drawn, properties and activations are measured; 0: of all.
        names: which properties.
    """
    say(f"fingerprints, fragments and scaffolds of {len(mols):,} molecules")
    packed = fingerprints(mols)
    fragments = Counter(part for mol in mols for part in fragments_of(mol))
    scaffolds = Counter(name for mol in mols if (name := scaffold_of(mol, SCAFFOLD_RINGS)))
    chosen = even_part(len(mols), costly)
    say(f"properties of {len(chosen):,} molecules")
    properties = {name: np.array([property_of(mols[i], name) for i in chosen.tolist()], np.float64) for name in names}
    found = Statistics(len(mols), packed, fragments, scaffolds, properties, costly=len(chosen))
    if fcd and len(chosen) > 1:
        say(f"ChemNet's activations of {len(chosen):,} molecules")
        active = chemnet.activations([smiles[i] for i in chosen.tolist()])
        found.mean, found.covariance = active.mean(0), np.cov(active.T)
    return found


def compared(found: Statistics, reference: Statistics) -> dict[str, float]:
    """Metric to value of a set against the reference; NaN where a side has nothing to compare."""
    values = {
        "frag_test": cosine(found.fragments, reference.fragments),
        "scaf_test": cosine(found.scaffolds, reference.scaffolds),
    }
    if found.mean is not None and found.covariance is not None:
        assert reference.mean is not None
        assert reference.covariance is not None
        values["fcd_test"] = chemnet.frechet_distance(
            found.mean, found.covariance, reference.mean, reference.covariance
        )
    for name, measured in found.properties.items():
        known = reference.properties[name]
        both = len(measured) and len(known)
        values[f"wasserstein_{name}"] = float(wasserstein_distance(measured, known)) if both else float("nan")
    return values


def internal_diversity(found: Statistics) -> float:
    return 1 - mean_similarity(found.packed)


def nearest_similarity(found: Statistics, reference: Statistics) -> NDArray[np.float64]:
    """(n,) of each molecule to the nearest one of the reference: their mean is SNN."""
    return nearest(found.packed, reference.packed)[0]


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Of two vectors of counts. NaN where one is empty."""
    if not a or not b:
        return float("nan")
    dot = sum(n * b[key] for key, n in a.items())
    return float(dot / np.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values())))


def fragments_of(mol: Any) -> list[str]:
    """BRICS fragments with their open ends (Degen et al. 2008)."""
    from rdkit.Chem import MolToSmiles
    from rdkit.Chem.rdmolops import FragmentOnBRICSBonds

    return str(MolToSmiles(FragmentOnBRICSBonds(mol))).split(".")


def even_part(n: int, size: int) -> NDArray[np.int64]:
    """`size` of 0 .. n - 1 at even distances; all where size is 0 or not below n."""
    return np.arange(n) if not 0 < size < n else np.arange(size) * n // size
