"""Sequence files of any known format as one stream of records: FASTA, FASTQ, GenBank, CSV/TSV, and BED with FASTA.

Finds files behind folders and patterns, tells formats apart, and counts what is read. Knows no alphabet. Every record's
annotations have its `place` (file, line, byte offset); a table's may have `group`, `stamp`, `split` and `labels`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, InputError, nearest
from core.rejects import Reject
from domains.formats.bed import read_bed
from domains.formats.fasta import read_fasta
from domains.formats.fastq import read_fastq
from domains.formats.find_files import by_suffix, find_files
from domains.formats.genbank import read_genbank
from domains.formats.sequence_table import TableColumns, read_sequence_table
from domains.formats.table import check_columns
from domains.formats.text import InputFile

SUFFIXES = {
    "fasta": (".fa", ".fasta", ".fna", ".ffn", ".frn", ".fas", ".faa", ".mpfa"),
    "fastq": (".fq", ".fastq"),
    "genbank": (".gb", ".gbk", ".gbff", ".gbwithparts", ".genbank"),
    "table": (".csv", ".tsv"),
}
TITLES = {"fasta": "FASTA", "fastq": "FASTQ", "genbank": "GenBank", "table": "a CSV or TSV table"}
_READERS: dict[str, Callable[[InputFile], Iterator[SeqRecord | Reject]]] = {
    "fasta": read_fasta,
    "fastq": read_fastq,
    "genbank": read_genbank,
}
_STARTS = {b">": "fasta", b"@": "fastq", b"LOCUS": "genbank"}


def find_sequences(paths: Iterable[Path | str]) -> list[Path]:
    """The files behind files, folders and patterns. Raises InputError where nothing is found."""
    return find_files(paths, SUFFIXES, "sequence file")


def format_of(path: Path, asked: str = "auto") -> str:
    """The format of a file: what was asked for, else what its ending says, else what its first bytes say.

    Raises ConfigError for an unknown format, InputError where it cannot be told.
    """
    if asked != "auto":
        if asked not in SUFFIXES:
            raise ConfigError(
                f"format '{asked}' is unknown{nearest(asked, SUFFIXES)}", hint=f"Known: auto, {', '.join(SUFFIXES)}."
            )
        return asked
    return by_suffix(path, SUFFIXES) or _by_content(path)


def _by_content(path: Path) -> str:
    with open(path, "rb") as raw:
        head = raw.read(4096)
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, 4096)
        except zlib.error:
            head = b""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    raise InputError(
        f"{path}: cannot tell its format from its ending or its first bytes",
        hint=f"Give data.format=..., one of {', '.join(SUFFIXES)}.",
    )


class SequenceFiles:
    """The records of several files in the order given; can be gone through again and again.

    Args:
        paths: files, one after the other.
        format: one of SUFFIXES for all of them, or "auto" for each its own.
        columns: what to read out of tables.
        regions: a BED file; then `paths` is one FASTA file and the regions of it are the records.

    `notes` counts what was unusual but readable, `records_in` the records that the splitters found, `bytes_read` how
    far the current pass is, in bytes on disk.
    Raises ConfigError for settings that contradict each other, InputError for a file whose format cannot be told.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        format: str = "auto",
        columns: TableColumns | None = None,
        regions: Path | None = None,
    ) -> None:
        self.paths = list(paths)
        self.formats = [format_of(path, format) for path in self.paths]
        self.columns = columns or TableColumns()
        check_columns(self.columns.named, self.formats, ("table",))
        self.regions = regions
        self.notes: Counter[str] = Counter()
        self._done = 0
        self._counted = 0
        self._current: list[InputFile] = []
        if regions is not None and self.formats != ["fasta"]:
            raise ConfigError(f"bed={regions.name} needs one FASTA file to cut from, got {len(self.paths)} file(s)")

    @property
    def total_bytes(self) -> int:
        """Bytes on disk of all files."""
        return sum(path.stat().st_size for path in (*self.paths, *([self.regions] if self.regions else [])))

    @property
    def bytes_read(self) -> int:
        return self._done + sum(file.bytes_read for file in self._current)

    @property
    def records_in(self) -> int:
        """Of the current pass."""
        counting = self._current[-1:]
        return self._counted + sum(file.records for file in counting)

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        self.notes.clear()
        self._done = self._counted = 0
        for path, kind in zip(self.paths, self.formats, strict=True):
            file = InputFile(path, TITLES[kind])
            self._current = [file]
            if self.regions is not None:
                regions = InputFile(self.regions, "BED")
                self._current.append(regions)
                yield from read_bed(regions, file)
                self.notes.update(regions.notes)
            elif kind == "table":
                yield from read_sequence_table(file, self.columns)
            else:
                yield from _READERS[kind](file)
            self.notes.update(file.notes)
            self._counted = self.records_in
            self._done += sum(read.path.stat().st_size for read in self._current)
            self._current = []
