"""FASTQ: four lines a record (`@id`, letters, `+`, qualities). Records wrapped over more lines are rejected.

Own splitter: after a record that does not fit, it goes on at the next line that can start one (`@`, and `+` two lines
below), so that a bad record costs no good one. Qualities are checked and then left out: no tokenizer reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from Bio.SeqRecord import SeqRecord

from core.rejects import Reject
from domains.formats.seq_record import make_record
from domains.formats.text import InputFile

_QUALITIES = bytes(range(33, 127))
"""Phred scores as printable ASCII, "!" to "~", in every variant of the format (Cock et al. 2010, Table 1)."""


def read_fastq(file: InputFile) -> Iterator[SeqRecord | Reject]:
    """Every record of `file`, in order: a SeqRecord, or a Reject with the reason.

    Raises InputError where the first line is no `@` line, and for damage to the container.
    """
    lines = _Lines(file)
    index = 0
    while four := lines.skip_blank():
        left = len(four)
        header, letters, plus, qualities = four if left == 4 else four + [b""] * (4 - left)
        if index == 0 and header[:1] != b"@":
            raise _no_header(file, header)
        line, name = lines.number, file.text(header[1:]).strip()
        identity = name.split(None, 1)[0] if name else f"{file.path.name.partition('.')[0]}_{index + 1}"
        trouble = _trouble(header, letters, plus, qualities, left)
        file.records = index + 1
        if trouble is None:
            lines.drop(4)
            yield make_record(letters, identity, name, place=(str(file.path), line, None))
        else:
            lines.drop_bad()
            reason, message = trouble
            yield Reject(str(file.path), index, identity, line, None, reason, f"'{identity}': {message}")
        index += 1


def _trouble(header: bytes, letters: bytes, plus: bytes, qualities: bytes, left: int) -> tuple[str, str] | None:
    """Reason code and message of what keeps four lines from being a record, None where nothing does."""
    if header[:1] != b"@":
        return "no_header", f"expected a line that starts with '@', found {_shown(header)}"
    if left < 4 and (not plus.strip() or plus[:1] == b"+"):
        return "cut_short", f"the file ends after {left} of the record's four lines"
    if plus[:1] != b"+":
        return (
            "not_four_lines",
            f"expected '+' on the third line of the record, found {_shown(plus)}",
        )
    if len(letters) != len(qualities):
        return "unequal_lengths", f"{len(letters)} letters but {len(qualities)} qualities"
    if plus != b"+" and plus[1:].rstrip() != header[1:].rstrip():
        return "different_ids", f"the '+' line repeats another name, {_shown(plus[1:])}"
    if not letters:
        return "empty_sequence", "a header without a sequence"
    odd = qualities.translate(None, _QUALITIES)
    if odd:
        position = qualities.index(odd[:1])
        return "bad_quality", f"quality {_shown(odd[:1])} at position {position + 1} is none of '!' to '~'"
    return None


def _shown(raw: bytes) -> str:
    return repr(raw[:30].decode("latin-1"))


class _Lines:
    """A window over the file's lines: `look` tells them, `drop` goes on; `number` is the next line's, from 1."""

    def __init__(self, file: InputFile) -> None:
        self._source = file.lines()
        self._ahead: list[bytes] = []
        self._at = 0
        self.number = 1

    def look(self, count: int) -> list[bytes]:
        """The next `count` lines; fewer at the end of the file."""
        lines = self._ahead[self._at : self._at + count]
        if len(lines) == count:
            return lines
        self._ahead = [*lines, *islice(self._source, 4096)]
        self._at = 0
        return self._ahead[:count]

    def drop(self, count: int) -> None:
        self._at += count
        self.number += count

    def skip_blank(self) -> list[bytes]:
        """Goes over empty lines between records; the next four lines, none at the end."""
        four = self.look(4)
        while four and not four[0].strip():
            self.drop(1)
            four = self.look(4)
        return four

    def drop_bad(self) -> None:
        """Goes behind a bad record: its four lines where they have the form of one and another follows, else to the
        next line that can start a record, or to the end.
        """
        seven = self.look(7)
        form = seven[0][:1] == b"@" and seven[2:3] != [] and seven[2][:1] == b"+"
        no_quality = len(seven) > 5 and _starts(seven[3], seven[5])
        if form and not no_quality and (len(seven) == 4 or (seven[4:5] != [] and seven[4][:1] == b"@")):
            return self.drop(4)
        self.drop(1)
        while (ahead := self.look(3)) and not (len(ahead) == 3 and _starts(ahead[0], ahead[2])):
            self.drop(1)
        return None


def _starts(line: bytes, two_below: bytes) -> bool:
    return line[:1] == b"@" and two_below[:1] == b"+"


def _no_header(file: InputFile, line: bytes) -> Exception:
    hint = "It looks like FASTA." if line[:1] == b">" else "A record is four lines: '@name', letters, '+', qualities."
    return file.damaged(f"expected a FASTQ header ('@name') on the first line, found {file.text(line[:40])!r}", hint)


def fastq_records(path: Path | str) -> Iterator[SeqRecord | Reject]:
    """The records of the FASTQ file at `path`."""
    return read_fastq(InputFile(path, "FASTQ"))
