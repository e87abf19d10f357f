"""FASTQ: four lines a record; a bad record is a Reject and costs no good one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.rejects import Reject
from domains.formats.fastq import fastq_records, read_fastq
from domains.formats.package_data import Package, fetch_members
from domains.formats.text import InputFile

GOOD = ["@r1 lane 1\nACGT\n+\nIIII\n", "@r2\nAC\n+r2\n@+\n", "@r3\nG\n+\n@\n"]


def read(tmp_path: Path, text: str) -> list:
    path = tmp_path / "reads.fq"
    path.write_bytes(text.encode("latin-1"))
    return list(fastq_records(path))


def test_reads_come_with_id_and_letters(tmp_path: Path) -> None:
    first, second, third = read(tmp_path, "".join(GOOD))
    assert (first.id, first.description, str(first.seq)) == ("r1", "r1 lane 1", "ACGT")
    assert (second.id, str(second.seq), third.id) == ("r2", "AC", "r3")
    assert third.annotations["place"][1] == 9


BAD = {
    "unequal_lengths": "@bad\nACGT\n+\nIII\n",
    "not_four_lines": "@bad\nACGT\nACGT\n+\nIIIIIIII\n",
    "different_ids": "@bad\nACGT\n+other\nIIII\n",
    "empty_sequence": "@bad\n\n+\n\n",
    "bad_quality": "@bad\nACGT\n+\nII\x7fI\n",
    "no_header": "bad\nACGT\n+\nIIII\n",
}


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_bad_record_between_good_ones_costs_none(tmp_path: Path, reason: str, ends: str) -> None:
    text = (GOOD[0] + BAD[reason] + GOOD[1] + BAD[reason] + GOOD[2]).replace("\n", ends)
    found = read(tmp_path, text)
    rejects = [item for item in found if isinstance(item, Reject)]
    assert [item.id for item in found if not isinstance(item, Reject)] == ["r1", "r2", "r3"]
    assert [reject.reason for reject in rejects] == [reason, reason]
    assert rejects[0].line == 5
    assert rejects[0].index == 1


@pytest.mark.parametrize("kept", range(1, 4))
def test_a_file_that_stops_inside_a_record_loses_only_that(tmp_path: Path, kept: int) -> None:
    cut = "\n".join(["@cut", "ACGT", "+"][:kept])
    *good, last = read(tmp_path, GOOD[0] + cut)
    assert [record.id for record in good] == ["r1"]
    assert (last.id, last.reason) == ("cut", "cut_short")


def test_a_missing_quality_line_does_not_swallow_the_next_record(tmp_path: Path) -> None:
    found = read(tmp_path, "@bad\nACGT\n+\n" + GOOD[0] + GOOD[1])
    assert [item.id for item in found] == ["bad", "r1", "r2"]
    assert isinstance(found[0], Reject)


def test_blank_lines_between_records_are_no_records(tmp_path: Path) -> None:
    assert [item.id for item in read(tmp_path, "\n" + GOOD[0] + "\n\n" + GOOD[1] + "\n")] == ["r1", "r2"]


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([*GOOD, *BAD.values()]), max_size=12), st.integers(1, 30))
def test_every_good_record_survives_any_mixture(tmp_path: Path, parts: list[str], block: int) -> None:
    path = tmp_path / "mixed.fq"
    path.write_bytes((GOOD[0] + "".join(parts)).encode("latin-1"))
    file = InputFile(path, "FASTQ", block_bytes=block)
    found = list(read_fastq(file))
    good = [item.id for item in found if not isinstance(item, Reject)]
    assert good == ["r1"] + [part[1:3] for part in parts if part in GOOD]
    assert file.records == len(found)
    rejected = [index for index, item in enumerate(found) if isinstance(item, Reject)]
    assert [item.index for item in found if isinstance(item, Reject)] == rejected
    # Bad records without the form of one are not told apart where they follow each other; others are counted each.
    formless = BAD["not_four_lines"], BAD["no_header"]
    runs = sum(
        part not in GOOD and (part not in formless or before in GOOD) for before, part in pairwise([GOOD[0], *parts])
    )
    assert runs <= len(rejected) <= sum(part not in GOOD for part in parts)


def test_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a FASTQ header .* found '>a' .*\n  It looks like FASTA."):
        read(tmp_path, ">a\nACGT\n")


BIOPYTHON = Package("pypi", "biopython", "1.88", "biopython-1.88.tar.gz")
FOLDER = "biopython-1.88/Tests/Quality"
ERROR_FILES = {
    "diff_ids": "fb28be12cda772adc2ca0d29c7b1159b439472ad8383406b2be512249bda347e",
    "double_qual": "bcd0f39312b6629a9bcbf5e260bd99f2edddd27ecb77df91bdeeda1bb7d351c0",
    "double_seq": "14b7fdfed604a3eb005d03cbe11d419cdccf81426bf6de1930fc06bf934dbd14",
    "long_qual": "4649efbe152fcc28e1c39b2721ce52f147252a7ee0b55ceb22d535dae1277d48",
    "no_qual": "28b8205b4b3ed0d76ff1e2aec7ffffb0ca506cb99f057b4270ba37f7a5a51129",
    "qual_del": "843acd2731c024662a481a9ff87349f4372cb407850fdd1e1b6d1c1dcc72de54",
    "qual_escape": "12659079d3d9f9348990d3c540988d3dd21dd80a5abebbe9527b5a24eb2a3e2c",
    "qual_null": "72af9fe18e7f35688f717b685771f6da3fb1534d54f3af0437be97ecf4c617eb",
    "qual_space": "0156eb0603451e674f6c49416aa9842f6851d253f55a6765fb932960ce885f8f",
    "qual_tab": "c2a85269fc0b2f6b0b8dc02d6026b583b82638fcc8e76f2888bbcef1da57f015",
    "qual_unit_sep": "a819e7f2a4d33695eb1916112d4ca95ab16bd58f7fcf1ef4798d854b59ceeae3",
    "qual_vtab": "24629e256f3ad949817c8e0c1f5e117c1d62fc64b96d74fa0b9ffb9a52b56274",
    "short_qual": "f92205c3a8e15c4cb233fd3de4876f2ef0d34ab5693db30a9da6149bcdebe0dd",
    "spaces": "478e3f6c09d4f4ac82b68b3607c7d5860fb0c3192b7f04772694067301e6e767",
    "tabs": "bcf82ae47fca310a4ab418438f6158d47e9e93d5a4b8d0258230c58f15674301",
    "trunc_at_plus": "785fe4189c44bb5503b51a9e26ac58127cfb8cdea2ebe244213d2bf5deae7b0d",
    "trunc_at_qual": "894945d96905c98e3e70d10b25e7ed702f151da44d4f4d56e7a479f30e844bd0",
    "trunc_at_seq": "445e7f307bb609c84a138a8b2e036aad4c9a8343029af9ac8ba3864aff7fe680",
    "trunc_in_plus": "c1993b571312617ae0acbc9226bcd616e3cee246c237e87be5c02148bf11ef29",
    "trunc_in_qual": "07e2bb6d586f5130181db31822e5c311413d99bdfca61aac376983b85144c953",
    "trunc_in_seq": "6e7bf90bde5e7b011d52b7b4c956734818b9a52fa04a34e978d3b405293b7fa0",
    "trunc_in_title": "15592000903ec62f12a22835bd0194e85b1c40ead8732c70e6f95e265c74db33",
}


@pytest.mark.network
def test_biopythons_22_damaged_files() -> None:
    """Each has five records. All bad ones are seen, and the good ones of each file come through."""
    members = {f"{FOLDER}/error_{name}.fastq": digest for name, digest in ERROR_FILES.items()}
    every_record = {"no_qual", "spaces", "tabs"}
    for member, path in fetch_members(BIOPYTHON, members).items():
        name = member.removeprefix(f"{FOLDER}/error_").removesuffix(".fastq")
        found = list(fastq_records(path))
        rejects = [item for item in found if isinstance(item, Reject)]
        assert rejects, f"{name}: nothing was rejected"
        # A quality line too many leaves its record whole; a second record in one costs neither neighbour.
        good = {"double_qual": 5, "double_seq": 5}.get(name, 0 if name in every_record else 4)
        assert len(found) - len(rejects) == good, f"{name}: {[r.message for r in rejects]}"
