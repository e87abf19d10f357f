"""FASTA: the example first, then our splitter against the plain definition, whatever the block size."""

from __future__ import annotations

import gzip
from io import StringIO
from pathlib import Path

import pytest
from Bio.SeqRecord import SeqRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.rejects import Reject
from domains.formats.fasta import fasta_records, read_fasta, write_fasta
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile


def test_records_come_with_id_description_letters_and_place(tmp_path: Path) -> None:
    path = tmp_path / "two.fa"
    path.write_bytes(b">chr1 the first\nACGT\nACG\n\n>chr2\r\nTT TT\r\n\tNN\r\n")
    first, second = fasta_records(path)
    assert (first.id, first.description, str(first.seq)) == ("chr1", "chr1 the first", "ACGTACG")
    assert (second.id, str(second.seq)) == ("chr2", "TTTTNN")
    assert first.annotations["place"] == (str(path), 1, 0)
    assert second.annotations["place"] == (str(path), 5, path.read_bytes().index(b">chr2"))


def plain(data: bytes) -> list[tuple[str, str]]:
    """The definition, line by line: (header, letters) of every record."""
    found: list[tuple[str, str]] = []
    for line in data.decode("latin-1").split("\n"):
        if line.startswith(">"):
            found.append((line[1:].strip(), ""))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + "".join(line.split()))
    return found


PIECES = st.sampled_from([">", "\n", "\r\n", "A", "ACGT", "nn", " ", "\t", "a>b", ">x y", "\n>", "\n\n", "GATTACA" * 5])


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, max_size=25).map("".join), st.integers(1, 40), st.booleans())
def test_any_block_size_reads_the_same(tmp_path: Path, text: str, block: int, packed: bool) -> None:
    data = b">first\n" + text.encode()
    path = tmp_path / "any.fa"
    path.write_bytes(gzip.compress(data) if packed else data)
    file = InputFile(path, "FASTA", block_bytes=block)
    found = list(read_fasta(file))
    expected = plain(data)
    assert file.records == len(found) == len(expected)
    for index, (item, (header, letters)) in enumerate(zip(found, expected, strict=True)):
        if isinstance(item, Reject):
            assert (item.index, item.reason, letters) == (index, "empty_sequence", "")
            offset, line = item.offset, item.line
        else:
            assert isinstance(item, SeqRecord)
            assert str(item.seq) == letters
            assert item.id == (header.split()[0] if header else f"any_{index + 1}")
            _, line, offset = item.annotations["place"]
        assert data[offset : offset + 1] == b">"
        assert data[:offset].count(b"\n") + 1 == line


def test_a_header_without_sequence_is_rejected_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "gap.fa"
    path.write_text(">a\nAC\n>empty\n>b\nGT\n")
    a, empty, b = fasta_records(path)
    assert (a.id, b.id) == ("a", "b")
    assert empty == Reject(str(path), 1, "empty", 3, 6, "empty_sequence", "'empty' is a header without a sequence")


def test_a_header_without_a_name_gets_one_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "reads.x.fa"
    path.write_text(">\nAC\n>b\nGT\n>  \nTT")
    file = InputFile(path, "FASTA")
    assert [record.id for record in read_fasta(file)] == ["reads_1", "b", "reads_3"]
    assert file.notes == {"headers without a name": 2}


def test_latin_1_headers_are_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "old.fa"
    path.write_bytes(">Bjørn naïve\nACGT\n".encode("latin-1") + ">ünï\nACGT\n".encode())
    file = InputFile(path, "FASTA")
    assert [record.description for record in read_fasta(file)] == ["Bjørn naïve", "ünï"]
    assert file.notes == {"headers in Latin-1": 1}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    records = [make_record(b"ACGT" * 50, "a", "a some words"), make_record(b"N", "b")]
    text = StringIO()
    assert write_fasta(text, records) == 2
    assert max(map(len, text.getvalue().splitlines())) == 80
    (tmp_path / "out.fa").write_text(text.getvalue())
    back = list(fasta_records(tmp_path / "out.fa"))
    assert [(r.id, r.description, r.seq) for r in back] == [(r.id, r.description, r.seq) for r in records]


def test_a_long_record_is_not_held_many_times(tmp_path: Path) -> None:
    """8 MB of letters: the bytes, their cleaned copy and one more block, not a copy a block."""
    import tracemalloc

    path = tmp_path / "long.fa"
    path.write_bytes(b">long\n" + b"ACGTACGTAC" * 7 * 1000 + (b"\n" + b"ACGTACGTAC" * 7) * 115_000)
    tracemalloc.start()
    (record,) = fasta_records(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(record) == 70_000 + 70 * 115_000
    assert peak < 3.2 * len(record)


@pytest.mark.parametrize("text", ["ACGT\n", "\n\n  ACGT", "; a comment\nACGT\n"])
def test_letters_before_the_first_header_are_an_error_of_the_file(tmp_path: Path, text: str) -> None:
    from core.errors import InputError

    path = tmp_path / "bare.fa"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"bare.fa: expected a FASTA header .*0 records were read before\)\n  Add a line"
    ):
        list(fasta_records(path))
