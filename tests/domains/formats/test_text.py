"""Containers: gzip of any kind is read, damage is an error of the file with the number of records read before."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError, ResourceError
from domains.formats.fasta import read_fasta
from domains.formats.text import InputFile

FASTA = b">a\nACGT\n>b\nGGTT\n"
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a bgzf file (SAM specification, section 4.1.2)."""


def ids(path: Path, block: int = 2**20) -> list[str]:
    return [record.id for record in read_fasta(InputFile(path, "FASTA", block_bytes=block))]


@pytest.mark.parametrize(
    "data",
    [
        FASTA,
        gzip.compress(FASTA),
        gzip.compress(FASTA[:5]) + gzip.compress(FASTA[5:]),
        gzip.compress(FASTA) + BGZF_END,
        gzip.compress(FASTA) + b"\0" * 100,
        b"\xef\xbb\xbf" + FASTA,
        FASTA.replace(b"\n", b"\r\n"),
        FASTA.replace(b"\n", b"\r"),
        b"\n\n  \n" + FASTA,
    ],
    ids=["plain", "gzip", "members", "bgzf", "padded", "bom", "crlf", "cr", "blank"],
)
def test_every_usual_container_is_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(data)
    for block in (1, 3, 2**20):
        assert ids(path, block) == ["a", "b"]


def test_what_is_unusual_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b"\xef\xbb\xbf" + FASTA.replace(b"\n", b"\r\n"))
    file = InputFile(path, "FASTA")
    list(read_fasta(file))
    assert file.notes == {"files with a byte order mark": 1, "files with CRLF line ends": 1}
    assert file.bytes_read == path.stat().st_size


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 10_000), st.integers(1, 2000))
def test_a_gzip_cut_anywhere_is_an_error_that_counts_records(tmp_path: Path, cut: int, block: int) -> None:
    lines = [f">r{i}\n{'ACGT' * (i % 7 + 1)}\n" for i in range(400)]
    whole = gzip.compress("".join(lines).encode())
    path = tmp_path / "cut.fa.gz"
    path.write_bytes(whole[: max(18, len(whole) - cut)])
    file = InputFile(path, "FASTA", block_bytes=block)
    seen = []
    with pytest.raises(InputError, match=r"cut.fa.gz: cut short: its gzip stream ends early \(\d+ records were read"):
        seen.extend(record.id for record in read_fasta(file))
    assert file.records < 400


def test_a_flipped_bit_in_gzip_is_noticed(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(FASTA * 1000))
    packed[-6] ^= 1
    path = tmp_path / "flip.fa.gz"
    path.write_bytes(packed)
    with pytest.raises(InputError, match="its gzip stream is damaged"):
        ids(path)


def test_lines_are_those_of_splitlines_whatever_the_block(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"one\r\n\r\ntwo\nthree \r\nlast")
    for block in range(1, 12):
        assert list(InputFile(path, "text", block_bytes=block).lines()) == [b"one", b"", b"two", b"three ", b"last"]


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_bytes(FASTA)
    with pytest.raises(InputError, match=r"there is no file .*genom.fa; did you mean '.*genome.fa'"):
        InputFile(tmp_path / "genom.fa", "FASTA")
    with pytest.raises(InputError, match="is a folder"):
        InputFile(tmp_path, "FASTA")


def test_a_file_without_permission_is_a_matter_of_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(FASTA)

    def refused(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("domains.formats.text.open", refused, raising=False)
    with pytest.raises(ResourceError, match=r"x\.fa may not be read"):
        ids(path)
