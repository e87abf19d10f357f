"""A text file as blocks of bytes or as lines: plain or gzip (several members and bgzf too), with or without a BOM.

What is wrong with the *container* (empty, binary, another compression, UTF-16, a gzip stream that ends early) is an
InputError that names the file and how many records were read before. What is merely unusual (BOM, CR line ends, Latin-1
headers) is read and counted in `notes`. Knows nothing of records: the reader says how many there were.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core.errors import InputError, ResourceError, nearest_path

BLOCK_BYTES = 2**20
"""1 MiB: read, cleaned and freed inside the second-level cache; measured fastest from 64 KiB to 16 MiB."""

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
OTHER_CONTAINERS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf": "a 7z archive",
    b"BAM\x01": "a BAM file",
    b"CRAM": "a CRAM file",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\x1aE\xdf\xa3": "a video",
}
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r"))
_SNIFF_BYTES = 4096
_BINARY_SHARE = 0.1
"""A file whose first bytes are control characters to this share is no text; a single NUL only spoils its record."""


class InputFile:
    """One file that a reader goes through once, from its beginning.

    Args:
        path: where it is.
        kind: what it should hold, for messages ("FASTA").
        block_bytes: how much is read at a time.

    `records` is set by the reader while it goes on; `notes` counts what was unusual; `bytes_read` is how far it is, in
    bytes on disk. Raises InputError where there is no such file, ResourceError where it may not be read.
    """

    def __init__(self, path: Path | str, kind: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = Path(path)
        self.kind = kind
        self.records = 0
        self.notes: Counter[str] = Counter()
        self.bytes_read = 0
        self._block_bytes = block_bytes
        if not self.path.is_file():
            raise missing(self.path)

    def damaged(self, what: str, hint: str = "") -> InputError:
        """The error for damage to the file as a whole, to be raised by the caller."""
        return InputError(f"{self.path}: {what} ({self.records:,} records were read before)", hint=hint)

    def blocks(self) -> Iterator[bytes]:
        """The unpacked bytes in order, without BOM, lines ended by LF or CRLF. Raises InputError for damage."""
        try:
            with open(self.path, "rb") as raw:
                yield from self._checked(raw)
        except PermissionError as error:
            raise ResourceError(f"{self.path} may not be read", hint="Ask its owner for permission.") from error

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends. A last line that lacks its line end is a line too."""
        rest = b""
        for block in self.blocks():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield line.removesuffix(b"\r")
        if rest:
            yield rest.removesuffix(b"\r")

    def text(self, raw: bytes) -> str:
        """Bytes of a header as text: UTF-8, or Latin-1 where they are not (counted)."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.notes["headers in Latin-1"] += 1
            return raw.decode("latin-1")

    def _checked(self, raw: io.BufferedReader) -> Iterator[bytes]:
        start = raw.peek(_SNIFF_BYTES)
        if not start:
            raise self.damaged(f"the file is empty, expected {self.kind}", "Was the download or copy complete?")
        packed = start[:2] == b"\x1f\x8b"
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
        try:
            head = stream.read(max(self._block_bytes, _SNIFF_BYTES))
            if head.endswith(b"\r"):
                head += stream.read(1)
            head = self._without_mark(head)
            only_cr = b"\r" in head and b"\n" not in head
            if only_cr:
                self.notes["files with CR line ends"] += 1
            elif b"\r\n" in head[:_SNIFF_BYTES]:
                self.notes["files with CRLF line ends"] += 1
            for block in self._rest(head, stream):
                self.bytes_read = raw.tell()
                yield block.replace(b"\r", b"\n") if only_cr else block
        except EOFError as error:
            raise self.damaged("cut short: its gzip stream ends early", "Copy or download it again.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self.damaged(f"its gzip stream is damaged ({error})", "Copy or download it again.") from error

    def _rest(self, head: bytes, stream: io.BufferedIOBase) -> Iterator[bytes]:
        for start in range(0, len(head), self._block_bytes):
            yield head[start : start + self._block_bytes]
        while block := stream.read(self._block_bytes):
            yield block

    def _without_mark(self, block: bytes) -> bytes:
        """The file's first bytes without their byte order mark. Raises InputError where they are no text."""
        for mark, name in OTHER_CONTAINERS.items():
            if block.startswith(mark):
                raise self.damaged(f"this is {name}, expected {self.kind}", "Convert it to plain text or gzip.")
        if block.startswith(UTF16_BOMS):
            raise self.damaged(f"the text is UTF-16, expected {self.kind} in ASCII or UTF-8", "Save it as UTF-8.")
        if block.startswith(UTF8_BOM):
            self.notes["files with a byte order mark"] += 1
            block = block[len(UTF8_BOM) :]
        head = block[:_SNIFF_BYTES]
        control = len(head) - len(head.translate(None, _CONTROL))
        if control > _BINARY_SHARE * len(head):
            raise self.damaged(f"this is a binary file, expected {self.kind}", "Convert it to text first.")
        if not block.strip():
            raise self.damaged(f"the file holds only white space, expected {self.kind}")
        return block


def missing(path: Path) -> InputError:
    """The error for a file that is not there, with the nearest name in its folder."""
    if path.is_dir():
        return InputError(f"{path} is a folder, expected a file")
    return InputError(f"there is no file {path}{nearest_path(path)}")
