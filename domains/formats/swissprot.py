"""Swiss-Prot flat files (UniProtKB/TrEMBL too): `ID` to `//`, letters behind the `SQ` line.

Own splitter and reader of the lines that matter. The SQ line gives the length and a CRC64 of the letters; both are
checked, so that a record that was cut or edited is a Reject, never a shorter protein. The id is the first accession.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from Bio.SeqRecord import SeqRecord
from Bio.SeqUtils import CheckSum

from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile

_SEQUENCE = re.compile(rb"SQ\s+SEQUENCE\s+(\d+)\s+AA;.*?([0-9A-F]{16})\s+CRC64")
_TAXON = re.compile(rb"NCBI_TaxID=(\d+)")
LABELS = ("entry", "organism", "taxonomy_id", "reviewed")
"""What a record can be labelled with."""


def read_swissprot(file: InputFile, labels: tuple[str, ...] = ()) -> Iterator[SeqRecord | Reject]:
    """Every entry of `file`, in order.

    Args:
        labels: which of LABELS become labels of the record.

    Raises InputError where the first line is no ID line, and for damage to the container.
    """
    lines: list[bytes] = []
    start, index = 1, 0
    for number, line in enumerate(file.lines(), 1):
        if not lines and not line.strip():
            continue
        if index == 0 and not lines and not line.startswith(b"ID  "):
            seen = file.text(line[:40]).strip()
            raise file.damaged(f"expected a Swiss-Prot ID line, found {seen!r}", "Is it a UniProt flat file (.dat)?")
        if lines and line.startswith(b"ID  "):
            yield _entry(file, index, start, lines, False, labels)
            lines, index = [], index + 1
        if not lines:
            start, file.records = number, index + 1
        if line.rstrip() == b"//":
            yield _entry(file, index, start, lines, True, labels)
            lines, index = [], index + 1
        else:
            lines.append(line)
    if lines:
        yield _entry(file, index, start, lines, False, labels)


def _crc64(letters: bytes) -> str:
    """16 hex digits (ISO 3309), as UniProt gives them."""
    checked: Any = CheckSum
    return str(checked.crc64(letters.decode("ascii", "replace"))).removeprefix("CRC-")


def _entry(
    file: InputFile, index: int, start: int, lines: list[bytes], ended: bool, labels: tuple[str, ...]
) -> SeqRecord | Reject:
    def text(code: bytes) -> str:
        return file.text(b" ".join(line[5:].strip() for line in lines if line[:2] == code))

    words = text(b"ID").split()
    accessions = text(b"AC").replace(";", " ").split()
    name = accessions[0] if accessions else words[0] if words else f"entry_{index + 1}"

    def refuse(reason: str, message: str) -> Reject:
        return Reject(str(file.path), index, name, start, None, reason, f"'{name}' (line {start:,}): {message}")

    if not ended:
        return refuse("cut_short", "the entry is cut short: no '//' ends it")
    declared = next((match for line in lines if (match := _SEQUENCE.match(line))), None)
    if declared is None:
        return refuse("empty_sequence", "it has no SQ line with a length and a CRC64")
    letters = b"".join(line.translate(None, b" \t") for line in lines if line.startswith(b"     "))
    if len(letters) != int(declared[1]):
        return refuse("cut_short", f"its SQ line says {int(declared[1]):,} residues, it has {len(letters):,}")
    if not letters:
        return refuse("empty_sequence", "it has no residues")
    if _crc64(letters) != declared[2].decode():
        return refuse("checksum", "the CRC64 of its residues is not the one on its SQ line")
    known = {
        "entry": words[0] if words else "",
        "organism": text(b"OS").rstrip("."),
        "taxonomy_id": float(taxon[1]) if (taxon := _TAXON.search(text(b"OX").encode())) else float("nan"),
        "reviewed": float("Reviewed" in text(b"ID")),
    }
    chosen = {label: known[label] for label in labels}
    description = text(b"DE").partition("Full=")[2].partition(";")[0].partition(" {")[0]
    annotations = {"labels": chosen} if chosen else {}
    place = (str(file.path), start, None)
    return make_record(letters, name, f"{name} {description}".strip(), place=place, **annotations)
