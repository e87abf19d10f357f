"""`music_abc_to_midi`: the bytes of a tune in ABC, a mark, the bytes of the MIDI file that it says (bGPT's task: Wu et
al. 2024, arXiv 2402.19155). The tune is read, loss is on the file alone.

The file is what our writer makes of the tune's notes, without a name, which the tune does not say either: so there is
one right answer to the byte. Any bytes may follow the mark: there is no grammar, and how many files are exact is
measured. Training also reads lines of tunes, each with a file of its own: which note of the tune comes next is found in
a short text first. Natural unit: a byte of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer
from domains.music.tokenizer.track_lengths import bytes_left_out, check_lengths, with_lengths, without_lengths
from domains.music.tokenizer.written import BYTES, heard, tune_of

MARK = len(SPECIALS) + 256
"""The id between the tune and its file."""
_FIELD = re.compile(r"\[([KLM]):[^]\n]*\]")
"""A change of key, unit or metre inside a tune, in its one spelling."""
LINES_SHARE = 0.75
"""Of windows, those that are read as lines in training. [After 200 steps of 8,192 tokens, lines alone have .17 nats a
byte, whole tunes alone .31, which n-grams reach too.]"""


@dataclass(frozen=True)
class TranslationConfig(MusicConfig):
    """What the file behind the mark is written with."""

    lengths: str = "told"
    """told: all bytes of the file are tokens. derived: the four of each track that say its length are none, and are
    written by decode from the track that follows."""

    def __post_init__(self) -> None:
        check_lengths(self.lengths)


class TranslationTokenizer(MusicTokenizer[TranslationConfig]):
    """See the head of this file."""

    kind: ClassVar[str] = "music_abc_to_midi"
    natural_unit: ClassVar[str] = "byte"
    config_class = TranslationConfig

    def symbols(self) -> tuple[str, ...]:
        return (*BYTES, "to MIDI")

    def counted_ids(self) -> NDArray[np.int64]:
        return np.arange(len(SPECIALS), MARK)

    def tokens(self, record: Score) -> Array:
        """Raises RecordError for a record that is no tune in ABC."""
        tune = tune_of(record, self.kind)
        said = _file_of(tune)
        if self.config.lengths == "derived":
            said = without_lengths(said, record.id)
        text, file = (np.frombuffer(part, np.uint8).astype(np.int64) for part in (tune.text.encode(), said))
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
            raise RecordError(
                "mark",
                f"sequence '{name}' has {len(marks)} marks between a tune and its file, expected 1",
                record=name,
                hint="The tune is given, not drawn: foretell sample prompt=TUNE.abc fill.file=true.",
            )
        parts = tokens[: marks[0]], tokens[marks[0] + 1 :]
        text, file = ((part - len(SPECIALS)).astype(np.uint8).tobytes() for part in parts)
        try:
            written = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RecordError("not_text", f"sequence '{name}': its tune is no text", record=name) from error
        return heard(with_lengths(file) if self.config.lengths == "derived" else file, name, written)

    def canonical(self, record: Score) -> Score:
        """The tune in its one spelling, with its file's bytes and notes. Raises RecordError for no ABC."""
        tune = tune_of(record, self.kind)
        return heard(_file_of(tune), record.id, tune.text)

    def grammar(self, **limits: object) -> None:
        """None: any bytes may follow the mark."""
        return

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Three in four tunes as some of their lines, each a tune of its own before a file of its own.

        The lines are in any order; of the one at the window's beginning only the end is there, which does not count.
        A window without a whole tune, with symbols of `extend`, or without its mask stays as it is.
        """
        tokens, mask = arrays["tokens"], arrays.get("loss_mask/tokens")
        marks = np.flatnonzero(tokens == MARK)
        if mask is None or len(marks) != 1 or (tokens >= self.size).any() or rng.random() >= LINES_SHARE:
            return arrays
        text = (tokens[: marks[0]].astype(np.int64) - len(SPECIALS)).astype(np.uint8).tobytes()
        lines = lines_of(text.decode("utf-8", "replace"))
        if len(lines) < 2:
            return arrays
        read, counts = np.zeros(0, tokens.dtype), np.zeros(0, bool)
        for number in rng.permutation(len(lines)).tolist():
            try:
                one = self.encode(Score(f"line {number + 1}", 1, text=lines[number]))
            except RecordError:  # a line of rests, or the end of a tune that the window cuts
                continue
            before, fits = one.arrays["tokens"], one.loss_mask["tokens"] & (len(read) + len(one) <= len(tokens))
            read, counts = np.append(before, read), np.append(fits, counts)
            if len(read) >= len(tokens):
                break
        else:
            return arrays
        kept = slice(len(read) - len(tokens), None)
        return {**arrays, "tokens": read[kept].astype(tokens.dtype), "loss_mask/tokens": counts[kept]}

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) 1 for each byte behind the mark, and what is left out behind it; all of them in a window that begins
        behind the mark."""
        tokens = arrays["tokens"].astype(np.int64)
        behind = np.cumsum(tokens == MARK) > 0 if (tokens == MARK).any() else np.ones(len(tokens), bool)
        found: NDArray[np.float64] = (behind & (tokens != MARK)).astype(np.float64)
        if self.config.lengths == "derived":
            found += bytes_left_out(tokens - len(SPECIALS))
        return found


def _file_of(tune: Score) -> bytes:
    """The MIDI file of a tune's notes: nothing in it that the tune's text does not say."""
    return midi_bytes([replace(tune, tracks=())])


def lines_of(text: str) -> list[str]:
    """Each line of a tune in its one spelling as a tune: the header, what holds from lines before it, the line."""
    *head, body = text.split("\n", 3)
    held: dict[str, str] = {}
    lines = []
    for line in body.split("\n"):
        lines.append("\n".join([*head, "".join(held.values()) + line]))
        held.update((found[1], found[0]) for found in _FIELD.finditer(line))
    return lines
