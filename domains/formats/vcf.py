"""VCF with FASTA: for each alternative allele the reference's window around it, and the same window with the change.

VCF 4.3 (samtools.github.io/hts-specs): positions count from 1, REF and ALT are letters. A line with several ALT gives
one row for each. What has no letters to put in (`<DEL>`, breakends, `*`) and what disagrees with the genome is a
Reject: rows = pairs + rejects. One sequence of the genome is in memory at a time; rows come in the genome's order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, InputError, nearest
from core.rejects import Reject
from domains.formats.fasta import read_fasta
from domains.formats.seq_record import letters_of, make_record, name_of
from domains.formats.text import InputFile

FLANK = 512
"""Letters of a window on each side of REF, where the sequence has so many."""
_LETTERS = re.compile(r"[ACGTUNRYKMSWBDHV]+", re.IGNORECASE)


@dataclass(frozen=True)
class Variant:
    """One alternative allele of a VCF line; `start` counts from 0."""

    index: int
    line: int
    sequence: str
    start: int
    name: str
    ref: str
    alt: str

    @property
    def place(self) -> str:
        return f"'{self.name}' (line {self.line:,}, {self.sequence}:{self.start + 1:,})"


@dataclass(frozen=True)
class VariantPair:
    """The two readings of one window: letters before and after REF are the same in both."""

    variant: Variant
    reference: SeqRecord
    alternative: SeqRecord


def read_variants(file: InputFile) -> Iterator[Variant | Reject]:
    """The alternative alleles of a VCF file, in order.

    Raises InputError for damage to the container, a missing header, or where it holds no variant at all.
    """
    index, headed = 0, False
    for line, raw in enumerate(file.lines(), 1):
        text = file.text(raw).rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            headed = headed or text.startswith("#CHROM")
            continue
        if not headed:
            raise file.damaged(
                f"line {line:,} comes before the header '#CHROM POS ID REF ALT ...'", "Is this a VCF file?"
            )
        for item in _alleles(file, text, index, line):
            yield item
            index += 1
            file.records = index
    if index == 0:
        raise file.damaged("it holds no variant", "A VCF line is: CHROM, POS, ID, REF, ALT, separated by tabs.")


def _alleles(file: InputFile, text: str, index: int, line: int) -> Iterator[Variant | Reject]:
    cells = text.split("\t")
    if len(cells) < 5 or not cells[1].strip().isdecimal():
        message = f"line {line:,} is no VCF line (CHROM, POS, ID, REF, ALT, separated by tabs): {text[:60]!r}"
        yield Reject(str(file.path), index, "", line, None, "bad_variant", message)
        return
    sequence, position, name, ref, alts = (cell.strip() for cell in cells[:5])
    for number, alt in enumerate(alts.split(",")):
        named = name if name not in ("", ".") else f"{sequence}:{position}:{ref}>{alt}"
        found = Variant(index + number, line, sequence, int(position) - 1, named, ref, alt)
        bad = _unreadable(found)
        yield _rejected(file, found, *bad) if bad else found


def _unreadable(variant: Variant) -> tuple[str, str] | None:
    """Reason and message for what cannot be put into a sequence whatever the genome."""
    ref, alt = variant.ref, variant.alt
    if variant.start < 0:
        return "outside_sequence", "position 0 stands for a telomere; positions of letters count from 1"
    if not _LETTERS.fullmatch(ref):
        return "bad_variant", f"REF is one or more nucleotides, got {ref!r}"
    if alt in (".", ref):
        return "no_change", f"ALT {alt!r} is no change of REF {ref!r}"
    if alt.startswith("<") or "[" in alt or "]" in alt or alt == "*":
        return "symbolic_allele", f"ALT {alt!r} has no letters to put in; write the allele out to have it scored"
    if not _LETTERS.fullmatch(alt):
        return "bad_variant", f"ALT is one or more nucleotides, got {alt!r}"
    return None


def read_vcf(variants: InputFile, genome: InputFile, *, flank: int = FLANK) -> Iterator[VariantPair | Reject]:
    """Every allele of `variants` with its windows of the FASTA file `genome`: one VariantPair or Reject for each.

    Args:
        flank: letters on each side of REF, fewer at the ends of a sequence.

    Raises:
        ConfigError: `flank` is below 1.
        InputError: damage to either file, or a genome without sequences.
    """
    if flank < 1:
        raise ConfigError(f"flank: got {flank}, allowed: a positive whole number of letters")
    wanted: dict[str, list[Variant]] = {}
    for item in read_variants(variants):
        if isinstance(item, Reject):
            yield item
        else:
            wanted.setdefault(item.sequence, []).append(item)
    known: dict[str, None] = {}
    for sequence in read_fasta(genome):
        if isinstance(sequence, Reject) or name_of(sequence) in known:
            continue
        known[name_of(sequence)] = None
        for variant in wanted.pop(name_of(sequence), []):
            yield _windows(variants, variant, letters_of(sequence), flank)
    if not known:
        raise InputError(f"{genome.path}: it holds no sequence to look variants up in")
    for name, left in wanted.items():
        for variant in left:
            message = f"{genome.path.name} has no sequence '{name}'{nearest(name, known)}"
            yield _rejected(variants, variant, "unknown_sequence", message)


def _windows(file: InputFile, variant: Variant, letters: bytes, flank: int) -> VariantPair | Reject:
    start, stop = variant.start, variant.start + len(variant.ref)
    if stop > len(letters):
        message = f"it stops at {stop:,}, '{variant.sequence}' has {len(letters):,} letters"
        return _rejected(file, variant, "outside_sequence", message)
    found = letters[start:stop].decode("ascii")
    if found.upper() != variant.ref.upper():
        message = f"REF is {variant.ref!r}, the genome has {found!r} there; are both of the same assembly?"
        return _rejected(file, variant, "reference_mismatch", message)
    before, after = letters[max(0, start - flank) : start], letters[stop : stop + flank]
    place = (str(file.path), variant.line, None)
    readings = [
        make_record(before + middle + after, name, variant.name, place=place)
        for name, middle in (
            (f"{variant.name}:ref", letters[start:stop]),
            (variant.name, variant.alt.encode("ascii")),
        )
    ]
    return VariantPair(variant, *readings)


def _rejected(file: InputFile, variant: Variant, reason: str, message: str) -> Reject:
    whole = f"{variant.place}: {message}"
    return Reject(str(file.path), variant.index, variant.name, variant.line, None, reason, whole)
