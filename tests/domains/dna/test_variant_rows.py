"""Variants through `prepare` and `predict`: pairs in the store, ratios and tables out, nothing lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.split import SplitConfig
from core.store import TokenStore
from domains.dna.source import VariantSource, open_source
from domains.dna.tokenizer import NucleotideTokenizer

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINES = (
    "chr1\t4\trs1\tC\tT,G,<DEL>",
    "chr1\t3\t.\tCCG\tC",
    "chr2\t1\tx\tA\tC",
    "chr1\t4\tbad\tG\tT",
    "chr9\t1\ty\tA\tC",
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "genome.fa").write_text(">chr1 first\nAACC\nGGTT\n>chr2\nACGTN\n")
    (tmp_path / "calls.vcf").write_text(
        HEAD + "".join("\t".join([*line.split(), ".", ".", "."]) + "\n" for line in LINES)
    )
    return {"path": str(tmp_path / "calls.vcf"), "reference": str(tmp_path / "genome.fa")}


def test_each_allele_has_a_pair_and_alleles_of_a_line_share_their_reference(tmp_path: Path, files) -> None:
    source = open_source(**files, flank=2)
    split = SplitConfig(**source.suggested_split)
    report = prepare_store(source, NucleotideTokenizer(), tmp_path / "s.zarr", split=split, domain="dna", max_bad=0.5)
    store = TokenStore.open(tmp_path / "s.zarr")
    decoded = [str(NucleotideTokenizer().decode(sequence).seq) for sequence in store]
    assert [(decoded[a], decoded[b], store.ids[b]) for a, b in store.pairs.tolist()] == [
        ("ACCGG", "ACTGG", "rs1"),
        ("ACCGG", "ACGGG", "rs1.2"),
        ("AACCGGT", "AACGT", "chr1:3:CCG>C"),
        ("ACG", "CCG", "x"),
    ]
    assert store.pairs[:, 0].tolist() == [0, 0, 3, 5]
    assert store.labels("position")[store.pairs[:, 1]].tolist() == [4, 4, 3, 1]
    assert store.labels("alt").tolist() == ["", "T", "G", "", "C", "", "C"]
    rejected = {"symbolic_allele": 1, "reference_mismatch": 1, "unknown_sequence": 1}
    assert report.counts == {"in": 10, "ok": 7, "rejected": rejected}
    lines = [json.loads(line) for line in Path(report.rejects).read_text().splitlines()]
    assert {(line["id"], line["line"]) for line in lines} == {("rs1", 3), ("bad", 6), ("y", 7)}
    assert np.asarray(store.span_split).tolist() == [2] * 7
    assert not report.warnings


def test_labels_that_every_file_of_variants_has_are_not_warned_of(tmp_path: Path, files) -> None:
    """All variants on one sequence, which tells nothing apart, are nothing odd."""
    line = "\t".join(["chr1", "4", "rs1", "C", "T", ".", ".", "."])
    Path(files["path"]).write_text(f"{HEAD}{line}\n")
    source = open_source(**files, flank=2)
    split = SplitConfig(**source.suggested_split)
    report = prepare_store(source, NucleotideTokenizer(), tmp_path / "s.zarr", split=split, domain="dna")
    assert report.labels["sequence"]["different"] == 1
    assert report.labels["sequence"]["own"]
    assert not [warning for warning in report.warnings if "label" in warning]


def test_a_window_that_the_tokenizer_refuses_takes_its_alleles_along(tmp_path: Path, files) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nAACC-GTT\n>chr2\nACGTN\n")
    source = open_source(**files, flank=2)
    split = SplitConfig(**source.suggested_split)
    report = prepare_store(source, NucleotideTokenizer(), tmp_path / "s.zarr", split=split, domain="dna", max_bad=1.0)
    assert report.counts["in"] == report.counts["ok"] + sum(report.counts["rejected"].values())
    assert TokenStore.open(tmp_path / "s.zarr").pairs.tolist() == [[0, 1]]


def test_a_source_is_read_again_the_same(files) -> None:
    source = open_source(**files)
    assert isinstance(source, VariantSource)
    first = [repr(item) for item in source]
    assert source.records_in == len(first) == 10
    assert [repr(item) for item in source] == first


def test_what_is_missing_is_said(tmp_path: Path, files) -> None:
    with pytest.raises(ConfigError, match="genome"):
        open_source(path=files["path"])
    with pytest.raises(ConfigError, match=r"flank.*positive"):
        open_source(**files, flank=0)
    with pytest.raises(ConfigError, match="did you mean 'flank'"):
        open_source(**files, flanks=3)
    with pytest.raises(InputError, match=r"other\.fa"):
        open_source(path=files["path"], reference=str(tmp_path / "other.fa"))
    with pytest.raises(ConfigError, match=r"data\.path"):
        open_source("ecoli", reference=files["reference"])
