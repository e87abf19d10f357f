"""Protein files of any known format as one stream of records: FASTA, a3m, Swiss-Prot, GenBank, PDB, mmCIF, tables.

Finds files behind folders and patterns, tells formats apart by their endings, then by their first bytes, and counts
what is read. What becomes of gaps and stops is decided by the source that reads the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, InputError, nearest
from core.rejects import Reject
from core.rows import Rows
from domains.formats.a3m import read_a3m
from domains.formats.columns import column_names
from domains.formats.fasta import fasta_records, fasta_rows, read_fasta
from domains.formats.find_files import by_suffix, find_files
from domains.formats.protein_table import ProteinColumns, has_mutants, read_protein_table
from domains.formats.seq_record import letters_of, name_of
from domains.formats.sequence_table import TableColumns, read_sequence_table
from domains.formats.structures import MISSING, read_structure
from domains.formats.swissprot import LABELS, read_swissprot
from domains.formats.table import check_columns
from domains.formats.text import InputFile
from domains.formats.translations import read_translations

SUFFIXES = {
    "fasta": (".fa", ".fasta", ".faa", ".fas", ".mpfa", ".afa"),
    "a3m": (".a3m",),
    "swissprot": (".dat", ".swiss", ".sprot"),
    "genbank": (".gb", ".gbk", ".gbff", ".gp", ".gpff", ".genbank"),
    "pdb": (".pdb", ".ent"),
    "mmcif": (".cif", ".mmcif"),
    "table": (".csv", ".tsv"),
}
TITLES = {
    "fasta": "FASTA", "a3m": "a3m", "swissprot": "a Swiss-Prot flat file", "genbank": "GenBank", "pdb": "PDB",
    "mmcif": "mmCIF", "table": "a CSV or TSV table",
}  # fmt: skip
_STARTS = (
    (b">", "fasta"),
    (b"ID   ", "swissprot"),
    (b"LOCUS", "genbank"),
    (b"HEADER", "pdb"),
    (b"ATOM  ", "pdb"),
    (b"data_", "mmcif"),
)


@dataclass(frozen=True)
class Reading:
    """How files are read, beyond their letters."""

    format: str = "auto"
    table: TableColumns = field(default_factory=TableColumns)
    variants: ProteinColumns = field(default_factory=ProteinColumns)
    reference: Path | None = None
    missing: str = "skip"
    insertions: str = "keep"

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("format", self.format, ("auto", *SUFFIXES)),
            ("missing", self.missing, MISSING),
            ("insertions", self.insertions, ("keep", "drop")),
        ):
            if value not in allowed:
                raise ConfigError(
                    f"data.{key}={value!r} is not allowed{nearest(value, allowed)}",
                    hint=f"Allowed: {', '.join(allowed)}.",
                )


def find_protein_files(paths: Iterable[Path | str]) -> list[Path]:
    """The files behind files, folders and patterns. Raises InputError where nothing is found."""
    return find_files(paths, SUFFIXES, "protein file")


def format_of(path: Path) -> str:
    """What the ending says, else what the first bytes say. Raises InputError where neither does."""
    if kind := by_suffix(path, SUFFIXES):
        return kind
    head = next(InputFile(path, "a protein file").blocks()).lstrip()
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    raise InputError(
        f"{path}: cannot tell its format from its ending or its first bytes",
        hint=f"Give data.format=..., one of {', '.join(SUFFIXES)}.",
    )


class ProteinFiles:
    """The records of several files in the order given; can be gone through again and again.

    `notes` counts what was unusual but readable, `records_in` the records that the splitters found, `bytes_read` how
    far the current pass is, in bytes on disk.
    """

    def __init__(self, paths: Sequence[Path], reading: Reading | None = None) -> None:
        self.paths, self.reading = list(paths), reading or Reading()
        asked = self.reading.format
        self.formats = [format_of(path) if asked == "auto" else asked for path in self.paths]
        named = self.reading.table.named
        check_columns({key: named[key] for key in named if key != "labels"}, self.formats, ("table",))
        check_columns({"labels": named["labels"]}, self.formats, ("table", "swissprot"))
        self.references = _references(self.reading.reference)
        self.notes: Counter[str] = Counter()
        self._done = self._counted = 0
        self._current: InputFile | None = None

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @property
    def bytes_read(self) -> int:
        return self._done + (self._current.bytes_read if self._current else 0)

    @property
    def records_in(self) -> int:
        """Of the current pass."""
        return self._counted + (self._current.records if self._current else 0)

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        for item in self._items(lambda file, kind: self._read(file, kind)):
            assert not isinstance(item, Rows)
            yield item

    def rows(self) -> Iterator[SeqRecord | Reject | Rows]:
        """The same, FASTA files many records at a time."""
        return self._items(lambda file, kind: fasta_rows(file) if kind == "fasta" else self._read(file, kind))

    def _items(
        self, read: Callable[[InputFile, str], Iterable[SeqRecord | Reject | Rows]]
    ) -> Iterator[SeqRecord | Reject | Rows]:
        self.notes.clear()
        self._done = self._counted = 0
        for path, kind in zip(self.paths, self.formats, strict=True):
            self._current = file = InputFile(path, TITLES[kind])
            yield from read(file, kind)
            self.notes.update(file.notes)
            self._counted += file.records
            self._done += path.stat().st_size
            self._current = None

    def has_variants(self) -> bool:
        """Whether a table of mutations is among the files."""
        if self.reading.variants.mutant:
            return True
        tables = (p for p, kind in zip(self.paths, self.formats, strict=True) if kind == "table")
        return any(has_mutants(column_names(InputFile(path, TITLES["table"]))) for path in tables)

    def _read(self, file: InputFile, kind: str) -> Iterator[SeqRecord | Reject]:
        reading = self.reading
        if kind == "table":
            columns = column_names(InputFile(file.path, file.kind))
            variants = reading.variants.mutant is not None or has_mutants(columns)
            if variants or reading.variants.token_labels:
                return read_protein_table(file, reading.variants, self.references)
            return read_sequence_table(file, reading.table)
        if kind == "swissprot":
            labels = reading.table.labels
            if unknown := set(labels) - set(LABELS):
                raise ConfigError(f"data.labels={sorted(unknown)}: of Swiss-Prot there are {', '.join(LABELS)}")
            return read_swissprot(file, labels)
        if kind in ("pdb", "mmcif"):
            return read_structure(file, kind, reading.missing)
        if kind == "a3m":
            return read_a3m(file, reading.insertions)
        return read_translations(file) if kind == "genbank" else read_fasta(file)


def _references(path: Path | None) -> Mapping[str, bytes]:
    if path is None:
        return {}
    found = {name_of(r): letters_of(r).upper() for r in fasta_records(path) if isinstance(r, SeqRecord)}
    if not found:
        raise InputError(f"{path} holds no reference sequence")
    return found
