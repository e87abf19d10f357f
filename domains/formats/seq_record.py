"""Bio.SeqRecord as readers make it and others read it: letters as bytes, and the place in a file where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from Bio.Seq import Seq, UndefinedSequenceError
from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from core.prediction.input import ArrayRow

Place = tuple[str, int | None, int | None]
"""File, line from 1, byte offset in the unpacked file."""


def make_record(
    letters: bytes, name: str, description: str = "", *, place: Place | None = None, **annotations: Any
) -> SeqRecord:
    """A record of ASCII letters; `place` and what else is known go into its annotations."""
    known = annotations if place is None else {"place": place, **annotations}
    return SeqRecord(Seq(letters), id=name, name=name, description=description or name, annotations=known)


def letters_row(row: ArrayRow, tokenizer: object, **options: Any) -> SeqRecord:
    """A text of an array as a record. Raises RecordError for characters outside ASCII, ConfigError for any option."""
    if options:
        raise ConfigError(f"input.{next(iter(options))}: rows of an array need no such key")
    text = str(row.value)
    if not text.isascii():
        raise RecordError("bad_letter", f"'{row.id}' holds characters outside ASCII", record=row.id)
    return make_record(text.encode("ascii"), row.id)


def name_of(record: SeqRecord) -> str:
    """Its id, "" where it has none."""
    return record.id if record.id and record.id != "<unknown id>" else ""


def letters_of(record: SeqRecord) -> bytes:
    """Its letters as they stand. Raises RecordError where it has a length but no letters."""
    try:
        return bytes(cast(Seq, record.seq))
    except (UndefinedSequenceError, TypeError):
        name = name_of(record)
        raise RecordError("empty_sequence", f"record '{name}' has no letters, at most a length", record=name) from None


def annotation(record: SeqRecord, name: str) -> Any:
    """What a reader noted under `name`, None where it noted nothing."""
    return record.annotations.get(name)
