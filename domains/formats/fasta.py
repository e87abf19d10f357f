"""FASTA: `>id description`, then letters on any number of lines, until the next `>` at the start of a line.

Own splitter over blocks of bytes (a chromosome costs as little as its bytes, a read a few microseconds). Letters come
as they stand: case, gaps and alphabet are the tokenizer's business. A header without letters is a Reject. `fasta_rows`
gives plain records many at a time, for who can take them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np
from Bio.SeqRecord import SeqRecord

from core.rejects import Reject
from core.rows import Rows
from domains.formats.seq_record import letters_of, make_record, name_of
from domains.formats.text import InputFile

_SPACES = b"\r\t\v\f "
LINE_LETTERS = 80
_LAST = itemgetter(-1)
_NAMES = re.compile(r"^[^\S\n]*(\S+)", re.MULTILINE)
"""Of headers, one a line, those that have any: up to the first white space."""


def read_fasta(file: InputFile) -> Iterator[SeqRecord | Reject]:
    """Every record of `file`, in order: a SeqRecord, or a Reject where the header has no letters.

    Raises InputError where the first line is no header, and for damage to the container.
    """
    yield from _records(file, _split(file, file.blocks()))


def fasta_rows(file: InputFile) -> Iterator[Rows]:
    """The same records many at a time, some `BLOCK_BYTES` of the file.

    Names and letters are those of `read_fasta` where every header has a name in ASCII and letters behind it; else
    `names` is empty, and `records()` has to be asked. Raises as `read_fasta`.
    """
    offset, line, number = 0, 1, 0
    for chunk in _whole_records(file):
        index, begin, at = number, offset, line
        parts = _parted(chunk)
        number += len(parts) - (not parts[0].strip())  # blank lines before the first header
        names, heads, letters = _plain(chunk, parts)
        lengths = np.array(list(map(len, letters)), np.int64)
        ends = chunk.count(b"\n") if not names else len(chunk) - heads - int(lengths.sum())  # all else is line ends
        offset, line = offset + len(chunk), line + ends

        def records(
            chunk: bytes = chunk, index: int = index, begin: int = begin, at: int = at
        ) -> Iterator[SeqRecord | Reject]:
            return _records(file, _split(file, iter((chunk,)), begin, at), index)

        def counted(number: int = number) -> None:
            file.records = number

        yield Rows(names, np.frombuffer(b"".join(letters), np.uint8), lengths, records, counted)


def _parted(chunk: bytes) -> list[bytes]:
    """Cut before each `>` at the start of a line; the first keeps its own, a line end may be lost before a cut."""
    if chunk.startswith(b">"):
        parts = chunk[1:].split(b">")  # a search for one byte: several times as fast as for two
        if all(parts) and set(map(_LAST, parts[:-1])) <= {ord("\n")}:
            parts[0] = b">" + parts[0]
            return parts
    return chunk.split(b"\n>")


def _plain(chunk: bytes, parts: list[bytes]) -> tuple[list[str], int, list[bytes]]:
    """Names and letters of records that all have both, in ASCII, and how many bytes the headers have; else nothing."""
    if chunk.startswith(b">") and chunk.isascii():
        pairs = [part.partition(b"\n") for part in parts]
        heads = b"\n".join([head for head, _, _ in pairs])  # an end for each but the last: as many as lack their ">"
        names = _NAMES.findall(heads.decode("ascii")[1:])
        letters = [rest.replace(b"\n", b"") for _, _, rest in pairs]
        if len(names) == len(parts) and all(letters):
            return names, len(heads), letters
    return [], 0, []


def _whole_records(file: InputFile) -> Iterator[bytes]:
    """The file in pieces that each begin with a record's first byte and end with another's last line."""
    held: list[bytes] = []
    for block in file.blocks():
        at = block.rfind(b"\n>") + 1
        if not at and block.startswith(b">") and held and held[-1].endswith(b"\n"):
            yield b"".join(held)
            held = []
        if at:
            yield b"".join((*held, block[:at]))
            held = []
        held.append(block[at:])
    if held:
        yield b"".join(held)


def _records(file: InputFile, parts: Iterable[_Part], first: int = 0) -> Iterator[SeqRecord | Reject]:
    """Records of parts, the first of which is number `first` of its file."""
    for index, part in enumerate(parts, first):
        file.records = index + 1
        description = file.text(part.header).strip()
        if description:
            name = description.split(None, 1)[0]
        else:
            name = f"{file.path.name.partition('.')[0]}_{index + 1}"
            file.notes["headers without a name"] += 1
        letters = part.letters[0] if len(part.letters) == 1 else b"".join(part.letters)
        if letters:
            yield make_record(letters, name, description, place=(str(file.path), part.line, part.offset))
        else:
            message = f"'{name}' is a header without a sequence"
            yield Reject(str(file.path), index, name, part.line, part.offset, "empty_sequence", message)


class _Part:
    """One record while its bytes come in: the header line, the letters so far, how many bytes and lines it took."""

    __slots__ = ("header", "in_header", "letters", "line", "lines", "offset", "size")

    def __init__(self, offset: int, line: int) -> None:
        self.offset = offset
        self.line = line
        self.header = b""
        self.letters: list[bytes] = []
        self.in_header = True
        self.size = 0
        self.lines = 0

    def add(self, raw: bytes) -> None:
        self.size += len(raw)
        if self.in_header:
            head, end, raw = raw.partition(b"\n")
            self.header += head
            self.in_header = not end
            self.lines += len(end)
        if raw:
            letters = raw.replace(b"\n", b"")
            self.lines += len(raw) - len(letters)
            # Searches that find nothing cost less than a translate that deletes nothing (5 against 1.3 GB/s measured).
            if b"\r" in letters or b" " in letters or b"\t" in letters or b"\v" in letters or b"\f" in letters:
                letters = letters.translate(None, _SPACES)
            if letters:
                self.letters.append(letters)


def _split(file: InputFile, blocks: Iterable[bytes], offset: int = 0, line: int = 1) -> Iterator[_Part]:
    """The records as bytes. What counts as one is decided here alone: a `>` at the start of a line.

    Args:
        blocks: of `file`, from byte `offset` and line `line` on.
    """
    part: _Part | None = None
    held = b""
    for block in blocks:
        block = held + block
        # A line end stays behind until what follows is known, so that "\n>" never lies across two blocks.
        held = b"\n" if block.endswith(b"\n") else b""
        block = block[:-1] if held else block
        if part is None:
            found = block.lstrip()
            skipped = block[: len(block) - len(found)]
            offset, line = offset + len(skipped), line + skipped.count(b"\n")
            if not found:
                continue
            if not found.startswith(b">"):
                raise _no_header(file, found)
            part, block = _Part(offset, line), found[1:]
        # A search for one byte is 80 times as fast as one for two, and a chromosome's blocks have no ">" at all.
        first, *rest = block.split(b"\n>") if b">" in block else [block]
        part.add(first)
        for piece in rest:
            yield part
            part = _Part(part.offset + part.size + 2, part.line + part.lines + 1)
            part.add(piece)
    if part is not None:
        yield part


def _no_header(file: InputFile, start: bytes) -> Exception:
    seen = file.text(start[:40].split(b"\n")[0]).strip()
    looks = {b"@": "It looks like FASTQ.", b"L": "It looks like GenBank." if start.startswith(b"LOCUS") else ""}
    hint = looks.get(start[:1], "") or "Add a line '>name' before the letters."
    return file.damaged(f"expected a FASTA header ('>name') on the first line, found {seen!r}", hint)


def write_fasta(file: TextIO, records: Iterable[SeqRecord]) -> int:
    """Writes records with their descriptions, 80 letters a line, and says how many. Raises OSError."""
    count = 0
    for record in records:
        letters, name = letters_of(record).decode("ascii"), name_of(record)
        extra = (record.description or "").removeprefix(name).strip()
        file.write(f">{name} {extra}".rstrip() + "\n")
        file.writelines(letters[i : i + LINE_LETTERS] + "\n" for i in range(0, len(letters), LINE_LETTERS))
        count += 1
    return count


def fasta_records(path: Path | str) -> Iterator[SeqRecord | Reject]:
    """The records of the FASTA file at `path`."""
    return read_fasta(InputFile(path, "FASTA"))
