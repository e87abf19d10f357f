"""BED with FASTA: regions as records, one a line, each found or rejected with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.rejects import Reject
from domains.formats.bed import read_bed
from domains.formats.text import InputFile

GENOME = ">chr1 first\nAACC\nGGTT\n>chr2\nACGTN\n>empty\n"


def cut(tmp_path: Path, bed: str, genome: str = GENOME) -> list:
    (tmp_path / "genome.fa").write_text(genome)
    (tmp_path / "regions.bed").write_text(bed)
    return list(read_bed(InputFile(tmp_path / "regions.bed", "BED"), InputFile(tmp_path / "genome.fa", "FASTA")))


def test_regions_are_cut_half_open_and_turned_on_the_minus_strand(tmp_path: Path) -> None:
    bed = "track name=x\n# comment\nchr2\t1\t4\nchr1\t2\t6\tgene\t0\t+\n\nchr1\t0\t3\tother\t0\t-\t9\t9\n"
    found = cut(tmp_path, bed)
    assert [(r.id, str(r.seq)) for r in found] == [("gene", "CCGG"), ("other", "GTT"), ("chr2:1-4", "CGT")]
    assert found[1].description == "other chr1:0-3(-)"
    assert found[1].annotations["place"] == (str(tmp_path / "regions.bed"), 6, None)


@pytest.mark.parametrize(
    ("line", "reason", "message"),
    [
        ("chr1\t2\t2\tx", "bad_region", "start 2 is not below stop 2"),
        ("chr1\t-1\t2\tx", "bad_region", "no BED line"),
        ("chr1\t1", "bad_region", "no BED line"),
        ("chr1\tone\ttwo", "bad_region", "no BED line"),
        ("chr1\t0\t2\tx\t0\t*", "bad_region", "'+', '-' or '.'"),
        ("chr1\t6\t9\tx", "outside_sequence", "stops at 9, 'chr1' has 8 letters"),
        ("chrom1\t0\t2\tx", "unknown_sequence", "genome.fa has no sequence 'chrom1'; did you mean 'chr1'?"),
        ("empty\t0\t2\tx", "unknown_sequence", "no sequence 'empty'"),
    ],
)
def test_a_bad_region_is_rejected_and_the_others_cut(tmp_path: Path, line: str, reason: str, message: str) -> None:
    found = cut(tmp_path, f"chr1\t0\t4\ta\n{line}\nchr2\t0\t4\tb\n")
    rejects = [item for item in found if isinstance(item, Reject)]
    assert sorted(item.id for item in found if not isinstance(item, Reject)) == ["a", "b"]
    assert [(r.index, r.line, r.reason) for r in rejects] == [(1, 2, reason)]
    assert message in rejects[0].message


def test_columns_may_be_separated_by_spaces(tmp_path: Path) -> None:
    assert [str(r.seq) for r in cut(tmp_path, "chr1 0 4 a 0 -\n")] == ["GGTT"]


def test_a_bed_file_without_regions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no region"):
        cut(tmp_path, "# nothing\n")


def test_every_line_is_counted(tmp_path: Path) -> None:
    lines = ["chr1\t0\t4\ta", "nonsense", "chr9\t0\t1", "chr2\t0\t1\tb"]
    assert len(cut(tmp_path, "\n".join(lines))) == len(lines)
