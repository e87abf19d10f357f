"""GenBank: whole records with features, and never a shorter one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import CompoundLocation, SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord

from core.errors import InputError
from core.rejects import Reject
from domains.formats.genbank import codon_positions, genbank_records, gene_structure


def genbank_text(name: str, letters: str, features: tuple[SeqFeature, ...] = ()) -> str:
    record = SeqRecord(Seq(letters), id=name, name=name, annotations={"molecule_type": "DNA"}, features=list(features))
    return record.format("genbank")


def coding(*parts: tuple[int, int, int], **qualifiers: str) -> SeqFeature:
    places = [SimpleLocation(start, stop, strand) for start, stop, strand in parts]
    location = places[0] if len(places) == 1 else CompoundLocation(places)
    return SeqFeature(location, type="CDS", qualifiers={key: [value] for key, value in qualifiers.items()})


A, B = genbank_text("A", "ACGTACGTAC" * 13), genbank_text("B", "GGGTTTCCCA")


def read(tmp_path: Path, text: str) -> list:
    path = tmp_path / "records.gb"
    path.write_text(text)
    return list(genbank_records(path))


def test_records_come_whole_with_their_features(tmp_path: Path) -> None:
    first, second = read(tmp_path, A + genbank_text("B", "ATGAAATAG", (coding((0, 9, 1)),)))
    assert str(first.seq) == "ACGTACGTAC" * 13
    assert second.features[0].type == "CDS"
    assert second.annotations["place"][1] == A.count("\n") + 1


BAD = {
    "cut_short, no end": (A.removesuffix("//\n"), "cut_short"),
    "cut_short, letters missing": ("\n".join(A.splitlines()[:-2]) + "\n//\n", "cut_short"),
    "no letters": (A[: A.index("ORIGIN")] + "ORIGIN\n//\n", "empty_sequence"),
    "letters without their number": (A.replace("        1 acgt", "acgt"), "cut_short"),
    "CONTIG": (A[: A.index("ORIGIN")] + "CONTIG      join(X.1:1..130)\n//\n", "empty_sequence"),
    "unreadable": (A.replace("130 bp", "bp"), "unreadable"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_record_is_rejected_and_the_next_one_read(tmp_path: Path, what: str) -> None:
    text, reason = BAD[what]
    found = read(tmp_path, B + text + B)
    assert [type(item) for item in found] == [SeqRecord, Reject, SeqRecord]
    assert (found[1].reason, found[1].id, found[1].line) == (reason, "A", B.count("\n") + 1)


def test_biopython_alone_would_have_given_a_shorter_record(tmp_path: Path) -> None:
    """The reason for our own count."""
    path = tmp_path / "cut.gb"
    path.write_text(BAD["cut_short, letters missing"][0])
    with pytest.warns(match="Expected sequence length 130, found"):
        assert len(SeqIO.read(path, "genbank")) < 130
    (reject,) = genbank_records(path)
    assert "says 130 letters, it has 120" in reject.message


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    """Whatever the byte where a copy stopped: whole records come, the rest is a reject, never less than a record."""
    whole = B + A
    for stop in range(len(B) + 8, len(whole) - 3, 37):
        first, *rest = read(tmp_path, whole[:stop])
        assert str(first.seq) == "GGGTTTCCCA"
        assert [type(item) for item in rest] == [Reject], f"cut at {stop}"


def test_text_between_records_is_a_reject(tmp_path: Path) -> None:
    found = read(tmp_path, A + "\n\n" + B + "some words\n//\n")
    assert [getattr(item, "reason", "ok") for item in found] == ["ok", "ok", "no_header"]


@pytest.mark.parametrize(
    ("text", "hint"), [(">a\nACGT\n", "FASTA"), ("@a\nA\n+\nI\n", "FASTQ"), ("hello\n", "flat file")]
)
def test_another_format_is_named(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(InputError, match=rf"expected a GenBank LOCUS line.*\n.*{hint}"):
        read(tmp_path, text)


def positions(*features: SeqFeature, length: int = 24) -> list[int]:
    return codon_positions(SeqRecord(Seq("A" * length), features=list(features))).tolist()


def test_codon_positions_follow_the_coding_strand() -> None:
    assert positions(coding((3, 9, 1)), length=10) == [-1, -1, -1, 0, 1, 2, 0, 1, 2, -1]
    assert positions(coding((3, 9, -1)), length=10) == [-1, -1, -1, 2, 1, 0, 2, 1, 0, -1]
    # an intron inside a codon; then the same on the other strand, its parts in the order they are read
    assert positions(coding((0, 4, 1), (6, 8, 1)), length=8) == [0, 1, 2, 0, -1, -1, 1, 2]
    assert positions(coding((6, 8, -1), (0, 4, -1)), length=8) == [2, 1, 0, 2, -1, -1, 1, 0]
    assert positions(coding((0, 5, 1), codon_start="2"), length=5) == [2, 0, 1, 2, 0]
    assert positions(coding((0, 5, 1), codon_start="3"), length=5) == [1, 2, 0, 1, 2]
    assert positions(coding((0, 3, 1)), coding((2, 5, 1)), length=5) == [0, 1, 2, 1, 2]
    assert positions(coding((0, 3, 1), pseudo=""), length=3) == [-1, -1, -1]


def test_codon_positions_agree_with_extracted_coding_regions() -> None:
    """Where regions do not overlap: the bases at position 0, 1, 2 in coding order are the extracted region's."""
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 60))
    feature = coding((40, 52, -1), (20, 29, -1), (5, 11, -1))
    places = codon_positions(SeqRecord(Seq(letters), features=[feature]))
    coded = str(feature.extract(Seq(letters)))
    for place in range(3):
        bases = [letters[i] for i in np.flatnonzero(places == place)[::-1]]
        assert str(Seq("".join(bases)).complement()) == coded[place::3]


def test_introns_lie_between_the_exons_of_one_region() -> None:
    features = [coding((2, 4, 1), (6, 8, 1)), coding((10, 12, -1)), coding((0, 14, 1), pseudo="")]
    found = gene_structure(SeqRecord(Seq("A" * 14), features=features))
    assert "".join(map(str, found.tolist())) == "00112211001100"
    # an exon of one region inside the intron of another
    nested = gene_structure(SeqRecord(Seq("A" * 9), features=[coding((0, 2, 1), (7, 9, 1)), coding((4, 5, -1))]))
    assert "".join(map(str, nested.tolist())) == "112212211"
