"""`music_bytes`: the bytes of a file, as bGPT reads them (Wu et al. 2024, arXiv 2402.19155).

A score is the MIDI file that our writer makes of it, a tune its ABC text, a record with bytes of its own these. Any
bytes decode to a record; whether they are music is for the reader to say, so there is no grammar, and the share of
samples that can be read is measured. Natural unit: a byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from core.sequence import Array
from core.vocabulary import SPECIALS
from domains.formats.abc import score_of
from domains.formats.abc_text import read_text
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer
from domains.music.tokenizer.written import BYTES, heard


class BytesTokenizer(MusicTokenizer[MusicConfig]):
    """See the head of this file."""

    kind: ClassVar[str] = "music_bytes"
    natural_unit: ClassVar[str] = "byte"
    config_class = MusicConfig

    def symbols(self) -> tuple[str, ...]:
        return BYTES

    def counted_ids(self) -> NDArray[np.int64]:
        return np.arange(len(SPECIALS), self.size)

    def tokens(self, record: Score) -> Array:
        return np.frombuffer(_bytes_of(record), np.uint8).astype(np.int64) + len(SPECIALS)

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        return _read((tokens - len(SPECIALS)).astype(np.uint8).tobytes(), name)

    def canonical(self, record: Score) -> Score:
        """The bytes, and the notes that they say, where they say any. Raises RecordError for a record of nothing."""
        return _read(_bytes_of(record), record.id)

    def grammar(self, **limits: object) -> None:
        """None: any bytes are a file."""
        return


def _bytes_of(record: Score) -> bytes:
    if record.data or record.text:
        return record.data or record.text.encode()
    if not len(record.notes):
        raise RecordError("no_notes", f"'{record.id}' has no notes and no bytes", record=record.id)
    return midi_bytes([record])


def _read(data: bytes, name: str) -> Score:
    """A record of `data`, with notes where they are a MIDI file or a tune."""
    if data[:4] == b"MThd":
        return heard(data, name)
    try:
        return replace(score_of(read_text(data.decode("utf-8"), name), name), data=data)
    except (RecordError, ValueError):
        return Score(name, 1, data=data)
