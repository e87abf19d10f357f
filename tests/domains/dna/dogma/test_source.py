"""Genes out of GenBank files: introns cut out, frames kept, regions together; made reading frames only to train on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqFeature import SeqFeature

from core.errors import ConfigError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.dna.dogma.gene import Gene, LeftOut, genes_of, genetic_code, translate
from domains.dna.dogma.source import DogmaConfig, DogmaSource, draw_orfs, open_dogma
from domains.dna.dogma.tokenizer import DogmaTokenizer
from domains.dna.source import open_source, write_samples
from domains.formats.genbank import genbank_records
from tests.domains.formats.test_genbank import coding, genbank_text

EXONS = "ATGGCTAAACC", "CTGGTAA"
FORWARD = "TT" + EXONS[0] + "GTAAGTTTTAG" + EXONS[1] + "GG"
PLACES = ((2, 13, 1), (24, 31, 1))


def genbank(folder: Path, text: str) -> Path:
    (folder / "genes.gb").write_text(text)
    return folder / "genes.gb"


def genes(folder: Path, text: str, codons: int = 100, notes: Counter[str] | None = None) -> list[Gene]:
    notes = Counter() if notes is None else notes
    found = (gene for record in genbank_records(genbank(folder, text)) for gene in genes_of(record, codons, notes))
    return [gene for gene in found if isinstance(gene, Gene)]


def test_introns_are_cut_out_and_the_stop_left_out_on_both_strands(tmp_path: Path) -> None:
    n = len(FORWARD)
    turned = [(n - stop, n - start, -1) for start, stop, _ in PLACES]
    text = genbank_text("A", FORWARD, (coding(*PLACES, gene="g"),))
    text += genbank_text("B", str(Seq(FORWARD).reverse_complement()), (coding(*turned),))
    found = genes(tmp_path, text)
    assert [(g.cds, g.protein) for g in found] == [("ATGGCTAAACCCTGG", "MAKPW")] * 2
    assert [g.group.partition(":")[2] for g in found] == ["g:1", "1:1"]


def test_frames_start_where_the_file_says_and_long_regions_are_cut_between_codons(tmp_path: Path) -> None:
    text = genbank_text("A", "CATGGCTTGGTAA", (coding((0, 13, 1), codon_start="2"),))
    pieces = genes(tmp_path, text, codons=2)
    assert [(g.cds, g.protein) for g in pieces] == [("ATGGCT", "MA"), ("TGG", "W")]
    assert len({g.group for g in pieces}) == 1
    assert len({g.id for g in pieces}) == 2


def test_what_is_left_out_or_differs_is_noted(tmp_path: Path) -> None:
    features = (
        coding((0, 9, 1)),  # a stop inside
        coding((3, 12, 1), translation="MMM"),
        coding((0, 9, 1), pseudo=""),
        coding((12, 18, 1)),  # an unknown base
    )
    notes: Counter[str] = Counter()
    (kept,) = genes(tmp_path, genbank_text("A", "TAAATGGCTTGGATGANC", features), notes=notes)
    assert (kept.cds, kept.protein) == ("ATGGCTTGG", "MAW")
    assert list(notes.values()) == [1]
    assert any("RNA editing" in what for what in notes)


def test_a_region_that_is_not_translated_is_a_reject_with_its_reason(tmp_path: Path) -> None:
    features = (coding((0, 9, 1), gene="stop"), coding((3, 12, 1), gene="good"), coding((12, 14, 1), gene="short"))
    path = genbank(tmp_path, genbank_text("A", "TAAATGGCTTGGATGANC", features))
    source = open_dogma(path=path)
    items = list(source)
    rejects = [item for item in items if not isinstance(item, Gene)]
    assert [(r.id.split(":")[1], r.reason) for r in rejects] == [("stop", "not_translated"), ("short", "no_codons")]
    assert all(r.file == str(path) and r.line is not None for r in rejects)
    assert source.records_in == len(items) == 3
    assert not any(isinstance(found, LeftOut) for found in items)


@pytest.mark.parametrize(
    ("feature", "reason", "said"),
    [
        (coding((0, 9, 1)), "not_translated", "'TAA' is a stop"),
        (coding((12, 18, 1)), "not_translated", "'ANC'"),
        (coding((3, 12, 1), transl_table="77"), "not_readable", "transl_table 77"),
        (coding((3, 12, 1), codon_start="x"), "not_readable", "'x'"),
        (coding((3, 5, 1)), "no_codons", "no codon"),
    ],
)
def test_why_a_region_is_left_out(tmp_path: Path, feature: SeqFeature, reason: str, said: str) -> None:
    notes: Counter[str] = Counter()
    (record,) = genbank_records(genbank(tmp_path, genbank_text("A", "TAAATGGCTTGGATGANC", (feature,))))
    assert not isinstance(record, Reject)
    (found,) = genes_of(record, 9, notes)
    assert isinstance(found, LeftOut)
    assert found.reason == reason
    assert said in found.message
    assert not notes


def test_the_code_is_biopythons() -> None:
    code = genetic_code()
    assert len(code) == 61
    cds = "".join(sorted(code))
    assert translate(cds) == str(Seq(cds).translate())
    with pytest.raises(KeyError):
        translate("TAA")


def test_made_reading_frames_are_a_function_of_seed_and_number() -> None:
    first = list(draw_orfs(200, 6, 0))
    assert first[:50] == list(draw_orfs(50, 6, 0))
    assert first[0] != next(draw_orfs(1, 6, 1))
    assert {len(g.cds) // 3 for g in first} == set(range(1, 7))
    assert all(g.made and g.protein == translate(g.cds) for g in first)


def test_regions_stay_on_one_side_and_made_frames_train(tmp_path: Path) -> None:
    rng, sense = np.random.default_rng(0), np.array(sorted(genetic_code()))
    text = ""
    for i in range(150):
        letters = "".join(sense[rng.integers(61, size=4)])
        text += genbank_text(f"R{i}", letters, (coding((0, 12, 1), gene=f"g{i}"),))
    source = DogmaSource(DogmaConfig(codons=3, random_orfs=40), [genbank(tmp_path, text)], own=False)
    split = SplitConfig(**source.suggested_split)
    report = prepare_store(source, DogmaTokenizer(), tmp_path / "s.zarr", split=split, domain="dna")
    store = TokenStore.open(tmp_path / "s.zarr")
    assert report.counts == {"in": 340, "ok": 340, "rejected": {}}
    assert report.lengths["total"] == 150 * 4 + sum(len(g.cds) // 3 for g in draw_orfs(40, 3, 0))
    sides: dict[str, set[int]] = {}
    for row, side in zip(store.spans()[:, 0].tolist(), store.span_split.tolist(), strict=True):
        sides.setdefault(store.groups[row] if store.groups else "", set()).add(side)
    assert sides.pop("") == {0}
    assert all(len(found) == 1 for found in sides.values())
    assert {min(found) for found in sides.values()} == {0, 1, 2}
    assert store.labels("made").sum() == 40


def test_files_of_ones_own_have_no_made_frames_beside_them(tmp_path: Path) -> None:
    path = genbank(tmp_path, genbank_text("A", FORWARD, (coding(*PLACES),)))
    source = open_source(path=path, format="coding")
    assert [g.protein for g in source] == ["MAKPW"]
    assert source.tokenizer_kind == "dna_dogma"
    with pytest.raises(ConfigError, match="did you mean 'codons'"):
        open_source(path=path, format="coding", codon=3)
    with pytest.raises(ConfigError, match=r"data\.codons"):
        open_source(path=path, format="coding", codons=0)


def test_a_gene_is_written_as_its_codons_with_the_protein_in_the_header(tmp_path: Path) -> None:
    genes = [Gene("g", "ATGGCT", "MA"), Gene("h", "ATG")]
    assert write_samples(tmp_path / "s.fasta", genes, [1.0, 2.0]) == 2
    first, codons, second, _ = (tmp_path / "s.fasta").read_text().splitlines()
    assert first.startswith(">g protein=MA nats=1 ")
    assert codons == "ATGGCT"
    assert second.startswith(">h nats=2 ")
