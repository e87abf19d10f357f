"""Many files as one stream: files, folders and patterns; formats told apart; everything counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from domains.formats.sequences import SequenceFiles, find_sequences, format_of

FASTA, FASTQ = ">a\nACGT\n", "@r\nAC\n+\nII\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.fq").write_text(FASTQ)
    (tmp_path / "a.fa").write_text(FASTA)
    (tmp_path / "c.fa.gz").write_bytes(gzip.compress(FASTA.replace("a", "c").encode()))
    (tmp_path / "notes.txt").write_text("not a sequence")
    (tmp_path / "reads[1].fa").write_text(FASTA.replace("a", "bracket"))
    return tmp_path


def test_a_folder_stands_for_its_sequence_files(folder: Path) -> None:
    files = SequenceFiles(find_sequences([folder]))
    assert [path.name for path in files.paths] == ["a.fa", "c.fa.gz", "b.fq", "reads[1].fa"]
    assert files.formats == ["fasta", "fasta", "fastq", "fasta"]
    for _ in range(2):
        assert [record.id for record in files] == ["a", "c", "r", "bracket"]
        assert (files.records_in, files.bytes_read) == (4, files.total_bytes)


def test_patterns_and_literal_names(folder: Path) -> None:
    assert [p.name for p in find_sequences([folder / "*.fa*"])] == ["a.fa", "c.fa.gz", "reads[1].fa"]
    assert [p.name for p in find_sequences([str(folder / "reads[1].fa")])] == ["reads[1].fa"]
    assert len(find_sequences([folder / "a.fa", folder / "a.fa"])) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("aa.fa", r"there is no file .*aa.fa; did you mean '.*a.fa'"),
        ("*.bam", "no file matches"),
        ("empty", "holds no sequence"),
    ],
)
def test_nothing_found_is_explained(folder: Path, given: str, message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        find_sequences([folder / given])
    with pytest.raises(InputError, match=r"no file was given\n.*data\.path=FILE"):
        find_sequences([])


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("x.FNA", "", "fasta"),
        ("x.gbff.gz", "", "genbank"),
        ("x.tsv", "", "table"),
        ("x", "\n>a\nAC\n", "fasta"),
        ("x.txt", "@r\nAC\n+\nII\n", "fastq"),
        ("x.seq", "LOCUS       A", "genbank"),
    ],
)
def test_formats_are_told_by_ending_then_content(tmp_path: Path, name: str, text: str, format: str) -> None:
    (tmp_path / name).write_text(text)
    assert format_of(tmp_path / name) == format
    (tmp_path / "packed").write_bytes(gzip.compress(text.encode()))
    if text:
        assert format_of(tmp_path / "packed") == format


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format 'fastaa' is unknown; did you mean 'fasta'"):
        format_of(tmp_path / "x.fa", "fastaa")


def test_regions_need_one_fasta_file(folder: Path) -> None:
    (folder / "r.bed").write_text("a\t0\t2\n")
    files = SequenceFiles([folder / "a.fa"], regions=folder / "r.bed")
    assert [str(record.seq) for record in files] == ["AC"]
    assert (files.records_in, files.bytes_read) == (1, files.total_bytes)
    with pytest.raises(ConfigError, match=r"bed=r.bed needs one FASTA file"):
        SequenceFiles([folder / "deep" / "b.fq"], regions=folder / "r.bed")
