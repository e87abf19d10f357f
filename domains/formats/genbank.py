"""GenBank flat files: `LOCUS ...` to `//`, sequence under `ORIGIN`, features with their places.

Own splitter; Biopython parses one record at a time. It yields truncated records with a mere warning: here a record
without its `//`, or with another number of letters than its LOCUS line says, is a Reject, never a shorter record.
`codon_positions` and `gene_structure` read the coding regions.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from Bio import BiopythonParserWarning, SeqIO
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.seq_record import letters_of
from domains.formats.text import InputFile

_LOCUS_LENGTH = re.compile(r"^LOCUS\s.*?\s(\d+)\s+(?:bp|aa|rc)\b")


def read_genbank(file: InputFile) -> Iterator[SeqRecord | Reject]:
    """Every record of `file`, in order, with features and annotations; a Reject where it is cut short or unreadable.

    Raises InputError where the file holds no LOCUS line, and for damage to the container.
    """
    for index, (line, lines, ended) in enumerate(_split(file)):
        text = "\n".join(map(file.text, lines)) + "\n"
        words = text.split("\n", 1)[0].split()
        name = words[1] if len(words) > 1 and words[0] == "LOCUS" else ""
        file.records = index + 1
        found = _parse(text, ended)
        if isinstance(found, SeqRecord):
            found.annotations.update(cast(Any, {"place": (str(file.path), line, None)}))
            yield found
        else:
            reason, message = found
            yield Reject(str(file.path), index, name, line, None, reason, f"'{name}' (line {line:,}): {message}")


def _split(file: InputFile) -> Iterator[tuple[int, list[bytes], bool]]:
    """(line from 1, the record's lines, whether `//` ended it). A LOCUS line starts a record wherever it stands."""
    lines: list[bytes] = []
    start, any_locus = 1, False
    for number, line in enumerate(file.lines(), 1):
        if line.startswith(b"LOCUS"):
            if any(map(bytes.strip, lines)) and any_locus:
                yield start, lines, False
            lines, start, any_locus = [], number, True
        elif not lines:
            if not line.strip():
                continue
            start = number
        lines.append(line)
        if line.rstrip() == b"//":
            if not any_locus:
                break
            yield start, lines, True
            lines = []
    if not any_locus:
        seen = file.text(lines[0][:40]).strip() if lines else ""
        hint = {">": "It looks like FASTA.", "@": "It looks like FASTQ."}.get(seen[:1], "Is it a GenBank flat file?")
        raise file.damaged(f"expected a GenBank LOCUS line, found {seen!r}", hint)
    if any(map(bytes.strip, lines)):
        yield start, lines, False


def _parse(text: str, ended: bool) -> SeqRecord | tuple[str, str]:
    """The record, or reason code and message of why it is refused."""
    if not text.startswith("LOCUS"):
        return "no_header", "text between records that does not start with LOCUS"
    if not ended:
        return "cut_short", "the record is cut short: no '//' ends it"
    declared = _LOCUS_LENGTH.match(text)
    with warnings.catch_warnings():
        # What Biopython warns of is checked here by counting; its other warnings are of feature layout only.
        warnings.simplefilter("ignore", BiopythonParserWarning)
        try:
            record = cast(SeqRecord, cast(Any, SeqIO.read)(io.StringIO(text), "genbank"))
        except Exception as error:  # Biopython raises ValueError, AssertionError, IndexError ... for damaged records
            return "unreadable", f"Biopython cannot read it: {' '.join(str(error).split())}"
    try:
        found = len(letters_of(record))
    except RecordError:
        return "empty_sequence", "it has no letters under ORIGIN (a CONTIG record?); get the record with its sequence"
    if found == 0:
        return "empty_sequence", "it has no letters under ORIGIN"
    if declared is None:
        return "unreadable", "its LOCUS line gives no length"
    if found != int(declared[1]):
        return "cut_short", f"its LOCUS line says {int(declared[1]):,} letters, it has {found:,}"
    return record


def codon_positions(record: SeqRecord) -> NDArray[np.int8]:
    """(n,) the place in its codon of each base, 0, 1 or 2 along the coding strand; -1 outside of coding regions.

    Pieces of a join go on where the last one stopped; `codon_start` is honoured; pseudogenes are left out; where coding
    regions overlap the first one listed keeps the base.
    """
    places = np.full(len(record), -1, np.int8)
    for feature in coding_regions(record):
        # codon_start says which base of the feature, from 1, is the first of a whole codon
        count = 1 - int(feature.qualifiers.get("codon_start", ["1"])[0])
        for part in feature.location.parts if feature.location is not None else ():
            start, stop = int(part.start), int(part.end)
            place = ((np.arange(stop - start) + count) % 3).astype(np.int8)
            piece = places[start:stop] if part.strand != -1 else places[start:stop][::-1]
            np.copyto(piece, place[: len(piece)], where=piece < 0)
            count += stop - start
    return places


INTERGENIC, EXON, INTRON = range(3)


def gene_structure(record: SeqRecord) -> NDArray[np.int8]:
    """(n,) of each base: 1 in a coding exon, 2 in an intron between two of them, 0 outside of coding regions.

    Untranslated exons are not told apart: they count as outside. Pseudogenes are left out; an exon of one coding region
    goes before an intron of another.
    """
    found = np.full(len(record), INTERGENIC, np.int8)
    coding = [feature for feature in coding_regions(record) if feature.location is not None]
    for feature in coding:
        found[int(feature.location.start) : int(feature.location.end)] = INTRON
    for feature in coding:
        for part in feature.location.parts:
            found[int(part.start) : int(part.end)] = EXON
    return found


def coding_regions(record: SeqRecord) -> list[Any]:
    """The CDS features that are no pseudogene's."""
    return [
        feature
        for feature in record.features
        if feature.type == "CDS" and not {"pseudo", "pseudogene"} & set(feature.qualifiers)
    ]


def genbank_records(path: Path | str) -> Iterator[SeqRecord | Reject]:
    """The records of the GenBank file at `path`."""
    return read_genbank(InputFile(path, "GenBank"))
