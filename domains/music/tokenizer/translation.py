"""`music_abc_to_midi`: the bytes of a tune in ABC, a mark, the bytes of the MIDI file that it says (bGPT's task: Wu et
al. 2024, arXiv 2402.19155). The tune is read, loss is on the file alone.

The file is what our writer makes of the tune, so there is one right answer to the byte. Any bytes may follow the mark:
there is no grammar, and how many files are exact is measured. Natural unit: a byte of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer
from domains.music.tokenizer.written import BYTES, heard, tune_of

MARK = len(SPECIALS) + 256
"""The id between the tune and its file."""


class TranslationTokenizer(MusicTokenizer[MusicConfig]):
    """See the head of this file."""

    kind: ClassVar[str] = "music_abc_to_midi"
    natural_unit: ClassVar[str] = "byte"
    config_class = MusicConfig

    def symbols(self) -> tuple[str, ...]:
        return (*BYTES, "to MIDI")

    def counted_ids(self) -> NDArray[np.int64]:
        return np.arange(len(SPECIALS), MARK)

    def tokens(self, record: Score) -> Array:
        """Raises RecordError for a record that is no tune in ABC."""
        one = self.canonical(record)
        text, file = (np.frombuffer(part, np.uint8).astype(np.int64) for part in (one.text.encode(), one.data))
        return np.concatenate([text + len(SPECIALS), [MARK], file + len(SPECIALS)])

    def encode(self, record: Score) -> Sequence:
        sequence = super().encode(record)
        tokens = sequence.arrays["tokens"]
        counts = np.arange(len(tokens)) > int(np.argmax(tokens == MARK))
        return replace(sequence, loss_mask={"tokens": counts})

    def question(self, sequence: Sequence) -> Sequence:
        """The tune and the mark: what a translation goes on from."""
        return sequence.slice(0, int(np.argmax(sequence.arrays["tokens"] == MARK)) + 1)

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        """The tune with the bytes behind the mark, and the notes that these say, where they are a MIDI file."""
        marks = np.flatnonzero(tokens == MARK)
        if len(marks) != 1:
            raise RecordError("mark", f"sequence '{name}' has {len(marks)} marks, expected 1", record=name)
        parts = tokens[: marks[0]], tokens[marks[0] + 1 :]
        text, file = ((part - len(SPECIALS)).astype(np.uint8).tobytes() for part in parts)
        try:
            written = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RecordError("not_text", f"sequence '{name}': its tune is no text", record=name) from error
        return heard(file, name, written)

    def canonical(self, record: Score) -> Score:
        """The tune in its one spelling, with its file's bytes and notes. Raises RecordError for no ABC."""
        tune = tune_of(record, self.kind)
        return heard(midi_bytes([tune]), record.id, tune.text)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) 1 for each byte behind the mark; all of them in a window that begins behind it."""
        tokens = arrays["tokens"].astype(np.int64)
        behind = np.cumsum(tokens == MARK) > 0 if (tokens == MARK).any() else np.ones(len(tokens), bool)
        found: NDArray[np.float64] = (behind & (tokens != MARK)).astype(np.float64)
        return found
