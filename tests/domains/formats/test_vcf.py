"""VCF with FASTA: each allele's two windows, or the reason why there are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.text import InputFile
from domains.formats.vcf import VariantPair, read_vcf

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GENOME = ">chr1 first\nAACC\nGGTT\n>chr2\nACGTN\n"


def windows(folder: Path, *lines: str, flank: int = 3, head: str = HEAD, zipped: bool = False) -> list:
    text = head + "".join("\t".join([*line.split(), ".", ".", "."]) + "\n" for line in lines)
    (folder / "genome.fa").write_text(GENOME)
    place = folder / ("v.vcf.gz" if zipped else "v.vcf")
    place.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    return list(read_vcf(InputFile(place, "VCF"), InputFile(folder / "genome.fa", "FASTA"), flank=flank))


def letters(found: list) -> list[tuple[str, str]]:
    return [(str(pair.reference.seq), str(pair.alternative.seq)) for pair in found]


@pytest.mark.parametrize("zipped", [False, True])
def test_every_kind_of_change_is_put_in_between_the_same_flanks(tmp_path: Path, zipped: bool) -> None:
    lines = ("chr1 4 snv C T", "chr1 4 ins C CAA", "chr1 3 del CCG C", "chr1 4 mnv CG TA")
    assert letters(windows(tmp_path, *lines, flank=2, zipped=zipped)) == [
        ("ACCGG", "ACTGG"),
        ("ACCGG", "ACCAAGG"),
        ("AACCGGT", "AACGT"),
        ("ACCGGT", "ACTAGT"),
    ]


def test_windows_end_where_the_sequence_ends(tmp_path: Path) -> None:
    assert letters(windows(tmp_path, "chr1 1 a A G", "chr1 8 b t c", flank=99)) == [
        ("AACCGGTT", "GACCGGTT"),
        ("AACCGGTT", "AACCGGTc"),
    ]


def test_each_allele_of_a_line_is_a_row_good_or_bad(tmp_path: Path) -> None:
    found = windows(tmp_path, "chr1 4 . C T,<DEL>,G", "chr2 1 x A C")
    rejects = [item for item in found if isinstance(item, Reject)]
    pairs = [item for item in found if isinstance(item, VariantPair)]
    assert [(r.index, r.reason, r.line) for r in rejects] == [(1, "symbolic_allele", 3)]
    assert [(p.variant.index, p.variant.name) for p in pairs] == [(0, "chr1:4:C>T"), (2, "chr1:4:C>G"), (3, "x")]


@pytest.mark.parametrize(
    ("line", "reason", "said"),
    [
        ("chr1 4 v G T", "reference_mismatch", ("'G'", "'C'")),
        ("chr1 9 v T A", "outside_sequence", ("9", "8 letters")),
        ("chr1 8 v TT A", "outside_sequence", ("9", "8 letters")),
        ("chr1 0 v T A", "outside_sequence", ("telomere",)),
        ("chr3 1 v A C", "unknown_sequence", ("'chr3'", "did you mean")),
        ("chr1 4 v C G[chr2:1[", "symbolic_allele", ("chr2:1",)),
        ("chr1 4 v C .", "no_change", ("'.'",)),
        ("chr1 4 v C J", "bad_variant", ("'J'",)),
        ("chr1 four v C T", "bad_variant", ("line 3",)),
    ],
)
def test_what_disagrees_is_rejected_by_name(tmp_path: Path, line: str, reason: str, said: tuple[str, ...]) -> None:
    (reject,) = windows(tmp_path, line)
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.line) == (reason, 3)
    assert all(part in reject.message for part in said), reject.message


def test_files_that_are_no_vcf_and_bad_flanks_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="#CHROM"):
        windows(tmp_path, "chr1 4 v C T", head="")
    with pytest.raises(InputError, match="no variant"):
        windows(tmp_path)
    with pytest.raises(ConfigError, match="flank"):
        windows(tmp_path, "chr1 4 v C T", flank=0)
