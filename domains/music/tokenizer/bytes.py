"""`music_bytes`: the bytes of a file, as bGPT reads them (Wu et al. 2024, arXiv 2402.19155).

A score is the MIDI file that our writer makes of it, a tune its ABC text, a record with bytes of its own these. Any
bytes decode to a record; whether they are music is for the reader to say, so there is no grammar, and the share of
samples that can be read is measured. Natural unit: a byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from domains.music.tokenizer.track_lengths import bytes_left_out, check_lengths, with_lengths, without_lengths
from domains.music.tokenizer.written import BYTES, heard


@dataclass(frozen=True)
class BytesConfig(MusicConfig):
    """What of a MIDI file is a token."""

    lengths: str = "told"
    """told: all of its bytes. derived: not the four of each track that say its length; decode writes them from the
    track that follows, and a file whose lengths are not true is refused."""

    def __post_init__(self) -> None:
        check_lengths(self.lengths)


class BytesTokenizer(MusicTokenizer[BytesConfig]):
    """See the head of this file."""

    kind: ClassVar[str] = "music_bytes"
    natural_unit: ClassVar[str] = "byte"
    config_class = BytesConfig

    def symbols(self) -> tuple[str, ...]:
        return BYTES

    def counted_ids(self) -> NDArray[np.int64]:
        return np.arange(len(SPECIALS), self.size)

    def tokens(self, record: Score) -> Array:
        return np.frombuffer(self._said(record), np.uint8).astype(np.int64) + len(SPECIALS)

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        return self._read((tokens - len(SPECIALS)).astype(np.uint8).tobytes(), name)

    def canonical(self, record: Score) -> Score:
        """The bytes, and the notes that they say, where they say any. Raises RecordError for a record of nothing, and
        as `without_lengths`."""
        return self._read(self._said(record), record.id)

    def _said(self, record: Score) -> bytes:
        """The bytes that are tokens."""
        data = _bytes_of(record)
        return without_lengths(data, record.id) if self.config.lengths == "derived" else data

    def _read(self, said: bytes, name: str) -> Score:
        """A record of the bytes that are tokens, with notes where they are a MIDI file or a tune."""
        data = with_lengths(said) if self.config.lengths == "derived" else said
        if data[:4] == b"MThd":
            return heard(data, name)
        try:
            return replace(score_of(read_text(data.decode("utf-8"), name), name), data=data)
        except (RecordError, ValueError):
            return Score(name, 1, data=data)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) 1 for each byte, and what is left out behind it in a window that begins as MIDI files do."""
        found = super().units(arrays)
        values = arrays["tokens"].astype(np.int64) - len(SPECIALS)
        if self.config.lengths == "derived" and bytes(values[:4].clip(0, 255).astype(np.uint8)) == b"MThd":
            found = found + bytes_left_out(values)
        return found

    def grammar(self, **limits: object) -> None:
        """None: any bytes are a file."""
        return


def _bytes_of(record: Score) -> bytes:
    if record.data or record.text:
        return record.data or record.text.encode()
    if not len(record.notes):
        raise RecordError("no_notes", f"'{record.id}' has no notes and no bytes", record=record.id)
    return midi_bytes([record])
