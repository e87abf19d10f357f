"""What a text or the bytes of a file say: the half of `music_abc`, `music_bytes` and `music_abc_to_midi` that is one.

Knows records and their canonical forms, and nothing of tokens.
"""

from __future__ import annotations

from dataclasses import replace

from core.errors import RecordError
from domains.formats.abc import score_of
from domains.formats.abc_text import read_text
from domains.formats.midi import parse_midi
from domains.formats.score import Score

BYTES = tuple(f"{value:02x}" for value in range(256))
"""The symbols of bytes, in the order of their values."""


def tune_of(record: Score, kind: str) -> Score:
    """A record's tune in its one spelling, with the notes that it says; `kind` is the tokenizer that asks.

    Raises RecordError for a record without text, and as `read_text`.
    """
    if not record.text:
        raise RecordError(
            "no_text",
            f"'{record.id}' has no ABC text",
            record=record.id,
            hint=f"{kind} reads files of ABC; scores are for music_grid, music_remi or music_bytes.",
        )
    return score_of(read_text(record.text, record.id), record.id)


def heard(data: bytes, name: str, text: str = "") -> Score:
    """A record of the bytes of a MIDI file, with the notes that they say; without notes where they say none."""
    try:
        (piece,) = parse_midi(data, f"{name}.mid", repair=True)
    except (RecordError, ValueError):
        piece = Score(name, 1)
    return replace(piece, id=name, text=text, data=data)
