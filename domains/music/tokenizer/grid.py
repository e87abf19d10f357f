"""`music_grid`: voices on an even grid, one token a voice a step, from the highest voice down (S A T B).

A token says that a pitch begins (`1:C4`), that what was goes on (`1:hold`), or that nothing sounds (`1:rest`). Each
voice has symbols of its own: with common ones a small model is slow to learn whose turn it is [after 400,000 tokens of
chorales the voices of its samples crossed in 36 % of the steps, in Bach in .4 %, with these in 6 %]. A token is read as
the voice that it names, so any tokens with a pitch among them are a piece, and a window may begin inside a step; the
grammar holds samples to whole steps in which each voice is named. Times are brought to the nearest step, so onsets and
ends move by at most half a step (a 32nd at four steps a quarter); a note shorter than a step becomes one step, and of
notes of a voice that begin on one step the last one is kept. Velocity, tempo, metre and instruments are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.formats.score import DURATION, ONSET, PITCH, TRACK, VELOCITY_USUAL, Rows, Score, in_order
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer, pitch_classes_of

if TYPE_CHECKING:
    from domains.music.tokenizer.grid_grammar import GridGrammar

HOLD, REST, FIRST_PITCH = range(3)
"""Places in a voice's block of symbols; pitches follow from the lowest up."""
CHOIR = 52
"""General MIDI "Choir Aahs", from 0: what voices are written with."""
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TRANSPOSE = (-5, 6)
"""Semitones: the twelve keys, each once."""


def pitch_name(pitch: int) -> str:
    """MIDI pitch as a name, middle C (60) as C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True)
class GridConfig(MusicConfig):
    """How fine the grid is and what fits on it."""

    voices: int = 4
    """Tracks of a piece, each a voice that sings one note at a time."""
    steps: int = 4
    """A quarter note; 4 is a 16th grid."""
    low: int = 33
    """The lowest pitch: A1, a minor third below the bass of the chorales."""
    high: int = 88
    """The highest pitch: E6. With four voices all ids fit into a byte."""

    def __post_init__(self) -> None:
        bounds = (("voices", 1, 16), ("steps", 1, 48), ("low", 0, 127), ("high", self.low, 127))
        for key, low, high in bounds:
            value = getattr(self, key)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"tokenizer.{key}: got {value!r}, allowed: {low} to {high}")


class GridTokenizer(MusicTokenizer[GridConfig]):
    """See the head of this file. Natural unit: a note, on the token that begins it."""

    kind: ClassVar[str] = "music_grid"
    config_class = GridConfig

    def symbols(self) -> tuple[str, ...]:
        block = ("hold", "rest", *(pitch_name(p) for p in range(self.config.low, self.config.high + 1)))
        return tuple(f"{voice + 1}:{name}" for voice in range(self.config.voices) for name in block)

    @property
    def block(self) -> int:
        """Symbols of a voice."""
        return FIRST_PITCH + self.config.high - self.config.low + 1

    @property
    def remedies(self) -> dict[str, str]:
        """What helps where a piece has no place on the grid; see `core.ingest.source.RecordSource`."""
        config = self.config
        text = (
            f"tokenizer={self.kind} takes {config.voices} voices of one note at a time, from {pitch_name(config.low)} "
            f"to {pitch_name(config.high)}; tokenizer=music_remi takes any MIDI file."
        )
        return dict.fromkeys(("too_many_voices", "pitch_range", "chord_in_voice"), text)

    def counted_ids(self) -> NDArray[np.int64]:
        ids = np.arange(len(SPECIALS), self.size)
        return ids[self.places(ids) >= FIRST_PITCH]

    def places(self, tokens: Array) -> NDArray[np.int64]:
        """(T,) place of each id in its voice's block."""
        return (tokens.astype(np.int64) - len(SPECIALS)) % self.block

    def at_places(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of places (..., T), voice after voice."""
        return places + len(SPECIALS) + self.block * (np.arange(places.shape[-1]) % self.config.voices)

    def tokens(self, record: Score) -> Array:
        """(frames * voices,) the voices of each step side by side. Raises RecordError."""
        notes = self._on_grid(record)
        frames = np.full((int((notes[:, ONSET] + notes[:, DURATION]).max()), self.config.voices), REST, np.int64)
        # Each note's steps are written in one go: the first is its pitch, the others are holds.
        lengths = notes[:, DURATION]
        starts = np.cumsum(lengths) - lengths
        offsets = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        rows = np.repeat(notes[:, ONSET], lengths) + offsets
        begun = np.repeat(notes[:, PITCH] - self.config.low + FIRST_PITCH, lengths)
        frames[rows, np.repeat(notes[:, TRACK], lengths)] = np.where(offsets == 0, begun, HOLD)
        return self.at_places(frames.ravel())

    def score(self, tokens: NDArray[np.int64], name: str) -> Score:
        """Each token is read as the voice that it names: a step ends where the next token names no lower voice, a voice
        that is not named in a step goes on, and so does one that is held. Where nothing sounds, silence goes on.
        """
        voices = self.config.voices
        said = (tokens - len(SPECIALS)) // self.block
        step = np.cumsum(np.diff(said, prepend=voices) <= 0) - 1
        frames = np.full((voices, int(step[-1]) + 1 if len(step) else 0), HOLD)
        frames[said, step] = self.places(tokens)
        held, begins = frames == HOLD, frames >= FIRST_PITCH
        if not begins.any():
            raise RecordError("no_notes", f"sequence '{name}' has no notes", record=name)
        singer, onset = np.nonzero(begins)
        flat = np.flatnonzero(~held.ravel())  # where something other than a hold stands; the next one ends a note
        place = singer * frames.shape[1] + onset
        following = np.append(flat, held.size)[np.searchsorted(flat, place) + 1]
        length = np.minimum(following, (singer + 1) * frames.shape[1]) - place
        pitch = frames[singer, onset] - FIRST_PITCH + self.config.low
        return self._made(np.stack([onset, length, pitch, singer], axis=1), name)

    def canonical(self, record: Score) -> Score:
        """The notes on the grid, in ticks of a step, each voice a choir's; nothing else but the id."""
        notes = self._on_grid(record)
        return self._made(notes[:, [ONSET, DURATION, PITCH, TRACK]], record.id)

    def grammar(  # type: ignore[override]
        self,
        *,
        max_length: int | None = None,
        key: str | None = None,
        ranges: tuple[tuple[int, int], ...] | None = None,
        crossing: bool = True,
        rests: bool = True,
        template: Array | None = None,
    ) -> GridGrammar:
        """The automaton of whole steps without hanging holds.

        Args:
            max_length: tokens at most; the last whole step before it ends the piece.
            key: only pitches of this key ("G", "F#m").
            ranges: lowest and highest pitch of each voice.
            crossing: False forbids a voice that begins above the voice over it.
            rests: False forbids a voice to fall silent once it sings [what `key` takes from pitches goes to holds and
                rests as well: of 12 samples in G, three fell silent before two thirds of their length].
            template: (T,) ids that must stand at their places; 0 where the model is free.
        """
        from domains.music.tokenizer.grid_grammar import GridGrammar

        classes = None if key is None else pitch_classes_of(key)
        config = self.config
        given = ranges or ((config.low, config.high),) * config.voices
        if len(given) != config.voices:
            raise ConfigError(f"ranges: got {len(given)} of them, expected one for each of {config.voices} voices")
        for pair in given:
            if len(pair) != 2 or not all(isinstance(pitch, int) for pitch in pair):
                raise ConfigError(f"ranges: got {pair!r}, expected the lowest and the highest MIDI pitch of a voice")
        pitches = np.arange(config.low, config.high + 1)
        fits = np.array([[low <= p <= high for p in pitches] for low, high in given])
        if classes is not None:
            fits &= np.isin(pitches % 12, sorted(classes))
        if not fits.any(axis=1).all():
            raise ConfigError("ranges and key leave a voice without a pitch")
        return GridGrammar(fits, len(self.vocabulary), max_length, crossing=crossing, rests=rests, template=template)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Transposed by -5 to 6 semitones, as far as the pitches stay on the grid; each shift is as likely."""
        tokens = arrays["tokens"]
        pitches = self.places(tokens)[self._pitched(tokens)]
        if not len(pitches):
            return arrays
        low = max(TRANSPOSE[0], FIRST_PITCH - int(pitches.min()))
        high = min(TRANSPOSE[1], self.block - 1 - int(pitches.max()))
        moved = self.transposed(tokens, int(rng.integers(low, high + 1)))
        return arrays if moved is None else {**arrays, "tokens": moved}

    def transposed(self, tokens: Array, shift: int) -> Array | None:
        """Tokens (T,) with every pitch moved by `shift` semitones; None where one would leave the grid."""
        pitched = self._pitched(tokens)
        pitches = self.places(tokens)[pitched] + shift
        if len(pitches) and not FIRST_PITCH <= pitches.min() <= pitches.max() < self.block:
            return None
        moved = tokens.copy()
        moved[pitched] = (tokens[pitched].astype(np.int64) + shift).astype(tokens.dtype)
        return moved

    def _pitched(self, tokens: Array) -> NDArray[np.bool_]:
        data = (tokens >= len(SPECIALS)) & (tokens < self.size)
        return data & (self.places(tokens) >= FIRST_PITCH)

    def whole(self, sequence: Sequence, length: int) -> int:
        """How many of the first `length` tokens are whole steps."""
        return length // self.config.voices * self.config.voices

    def _on_grid(self, record: Score) -> Rows:
        """Notes (N, 7) in steps, one at a time in each voice. Raises RecordError for what has no place on the grid."""
        notes, config = record.notes, self.config
        if not len(notes):
            raise RecordError("no_notes", f"'{record.id}' has no notes", record=record.id)
        if notes[:, TRACK].max() >= config.voices:
            raise RecordError(
                "too_many_voices",
                f"'{record.id}' has {int(notes[:, TRACK].max()) + 1} tracks, expected {config.voices} voices",
                record=record.id,
            )
        outside = (notes[:, PITCH] < config.low) | (notes[:, PITCH] > config.high)
        if outside.any():
            at = int(np.argmax(outside))
            raise RecordError(
                "pitch_range",
                f"'{record.id}', note {at + 1}: {pitch_name(int(notes[at, PITCH]))} is outside of "
                f"{pitch_name(config.low)} to {pitch_name(config.high)}",
                record=record.id,
                position=at,
            )
        notes = notes[np.lexsort((notes[:, PITCH], notes[:, ONSET], notes[:, TRACK]))]
        together = (np.diff(notes[:, ONSET]) == 0) & (np.diff(notes[:, TRACK]) == 0)
        if together.any():
            at = notes[int(np.argmax(together))]
            raise RecordError(
                "chord_in_voice",
                f"'{record.id}', track {int(at[TRACK]) + 1}, quarter {at[ONSET] / record.tpq:g}: two notes begin "
                "together; on this grid a voice has one",
                record=record.id,
            )
        notes = notes.copy()
        stop = _nearest(notes[:, ONSET] + notes[:, DURATION], config.steps, record.tpq)
        notes[:, ONSET] = _nearest(notes[:, ONSET], config.steps, record.tpq)
        same_voice = np.diff(notes[:, TRACK]) == 0
        last = np.append(~(same_voice & (np.diff(notes[:, ONSET]) == 0)), True)
        notes, stop = notes[last], stop[last]
        following = np.append(np.where(np.diff(notes[:, TRACK]) == 0, notes[1:, ONSET], np.iinfo(np.int64).max), 0)
        following[-1] = np.iinfo(np.int64).max
        placed: Rows = notes
        placed[:, DURATION] = np.minimum(np.maximum(stop, notes[:, ONSET] + 1), following) - notes[:, ONSET]
        return placed

    def _made(self, rows: Rows, name: str) -> Score:
        """rows (N, 4): onset, duration, pitch, voice."""
        onset, length, pitch, voice = rows.T
        usual = np.ones_like(onset)
        notes = np.stack([onset, length, pitch, VELOCITY_USUAL * usual, CHOIR * usual, voice, 0 * usual], axis=1)
        names = tuple(f"voice {v + 1}" for v in range(self.config.voices))
        return Score(name, self.config.steps, in_order(notes), tracks=names)


def _nearest(ticks: NDArray[np.int64], steps: int, tpq: int) -> NDArray[np.int64]:
    """The nearest step, the later one of two that are as near: exact whole-number arithmetic."""
    nearest: NDArray[np.int64] = (2 * ticks * steps + tpq) // (2 * tpq)
    return nearest
