"""BED with FASTA: regions of named sequences, cut out of the genome file, in the order of that file.

Coordinates are 0-based and half open; a region on strand `-` comes as its reverse complement; of BED12 the whole region
is taken, not its blocks. One sequence of the genome is in memory at a time. Every line that is a region is a record:
one that names an unknown sequence or lies outside of it is a Reject.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from core.errors import InputError, nearest
from core.rejects import Reject
from domains.formats.fasta import read_fasta
from domains.formats.seq_record import letters_of, make_record, name_of
from domains.formats.text import InputFile

_NO_REGION = (b"#", b"track", b"browser")


@dataclass(frozen=True)
class Region:
    """One line of a BED file."""

    index: int
    line: int
    sequence: str
    start: int
    stop: int
    name: str
    strand: str


def read_regions(file: InputFile) -> Iterator[Region | Reject]:
    """The regions of a BED file. Raises InputError for damage to the container, or where it holds no region at all."""
    index = 0
    for line, raw in enumerate(file.lines(), 1):
        if not raw.strip() or raw.startswith(_NO_REGION):
            continue
        yield _region(file, file.text(raw), index, line)
        index += 1
        file.records = index
    if index == 0:
        raise file.damaged("it holds no region", "A BED line is: sequence, start, stop, separated by tabs.")


def _region(file: InputFile, text: str, index: int, line: int) -> Region | Reject:
    cells = text.split("\t") if "\t" in text else text.split()
    whole = len(cells) >= 3 and cells[1].strip().isdecimal() and cells[2].strip().isdecimal()
    if not whole:
        message = f"line {line:,} is no BED line (sequence, start, stop, then name, score, strand): {text[:60]!r}"
        return Reject(str(file.path), index, "", line, None, "bad_region", message)
    sequence, start, stop = cells[0].strip(), int(cells[1]), int(cells[2])
    strand = cells[5].strip() if len(cells) > 5 else "+"
    place = f"{sequence}:{start}-{stop}" + ("(-)" if strand == "-" else "")
    name = cells[3].strip() if len(cells) > 3 and cells[3].strip() not in ("", ".") else place
    if start >= stop:
        message = f"'{name}' (line {line:,}): start {start:,} is not below stop {stop:,}"
        return Reject(str(file.path), index, name, line, None, "bad_region", message)
    if strand not in ("+", "-", "."):
        message = f"'{name}' (line {line:,}): the strand is '+', '-' or '.', got {strand!r}"
        return Reject(str(file.path), index, name, line, None, "bad_region", message)
    return Region(index, line, sequence, start, stop, name, strand)


def read_bed(regions: InputFile, genome: InputFile) -> Iterator[SeqRecord | Reject]:
    """Every region of `regions` with its letters from the FASTA file `genome`: one record or Reject a BED line.

    Raises InputError for damage to either file.
    """
    wanted: dict[str, list[Region]] = {}
    for region in read_regions(regions):
        if isinstance(region, Reject):
            yield region
        else:
            wanted.setdefault(region.sequence, []).append(region)
    known: dict[str, None] = {}
    for sequence in read_fasta(genome):
        if isinstance(sequence, Reject) or name_of(sequence) in known:
            continue
        known[name_of(sequence)] = None
        for region in wanted.pop(name_of(sequence), []):
            yield _cut(regions, region, letters_of(sequence))
    for name, left in wanted.items():
        for region in left:
            where = f"'{region.name}' (line {region.line:,})"
            message = f"{where}: {genome.path.name} has no sequence '{name}'{nearest(name, known)}"
            yield Reject(str(regions.path), region.index, region.name, region.line, None, "unknown_sequence", message)
    if not known:
        raise InputError(f"{genome.path}: it holds no sequence to cut regions from")


def _cut(file: InputFile, region: Region, letters: bytes) -> SeqRecord | Reject:
    if region.stop > len(letters):
        message = (
            f"'{region.name}' (line {region.line:,}): it stops at {region.stop:,}, "
            f"'{region.sequence}' has {len(letters):,} letters"
        )
        return Reject(str(file.path), region.index, region.name, region.line, None, "outside_sequence", message)
    piece = letters[region.start : region.stop]
    if region.strand == "-":
        piece = bytes(cast(Any, Seq(piece)).reverse_complement())
    description = f"{region.sequence}:{region.start}-{region.stop}({region.strand})"
    place = (str(file.path), region.line, None)
    return make_record(piece, region.name, f"{region.name} {description}", place=place)
