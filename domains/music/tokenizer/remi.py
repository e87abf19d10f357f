"""`music_remi` and `music_tracks`: notes as events between bars, in the manner of REMI (Huang and Yang 2020,
arXiv 2002.00212) for many instruments.

    Bar TimeSignature Position Tempo Program Pitch Velocity Duration Pitch Velocity Duration Position ... Bar ...

A symbol is written where its value changes: the time signature at the bars where the metre changes, a position once for
all that begins there, a program where it differs from that of the note before. `music_remi` goes through a bar by time,
all programs together; `music_tracks` by program, each from the start of the bar: tracks decoupled, interleaved by bar,
as YuE does with sound (Yuan et al. 2025, arXiv 2503.08638). Tracks of one program are one; keys, names and controllers
are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.formats.score import Score
from domains.music.tokenizer.events import (
    DRUMS,
    MAX_QUARTERS,
    METRES,
    TEMPOS,
    VELOCITIES,
    Events,
    bar_steps,
    bars_of,
    events_of,
    lengths_for,
    score_of_events,
    settled,
    starts_of,
)
from domains.music.tokenizer.grid import TRANSPOSE, pitch_name
from domains.music.tokenizer.shared import MusicConfig, MusicTokenizer

if TYPE_CHECKING:
    from domains.music.tokenizer.remi_grammar import RemiGrammar

Whole = NDArray[np.int64]
BAR, METRE, POSITION, TEMPO, PROGRAM, PITCH, DRUM, VELOCITY, LENGTH = range(9)
"""The kinds of symbols, in the order of their ids."""
KIND_NAMES = ("Bar", "TimeSignature", "Position", "Tempo", "Program", "Pitch", "Drum", "Velocity", "Duration")
START = 9
FOLLOWS = {
    START: (BAR,),
    BAR: (BAR, METRE, POSITION, PROGRAM),
    METRE: (BAR, POSITION, PROGRAM),
    POSITION: (TEMPO, PROGRAM, PITCH, DRUM),
    TEMPO: (BAR, POSITION, PROGRAM, PITCH, DRUM),
    PROGRAM: (POSITION, PITCH, DRUM),
    PITCH: (VELOCITY,),
    DRUM: (VELOCITY,),
    VELOCITY: (LENGTH,),
    LENGTH: (BAR, POSITION, PROGRAM, PITCH, DRUM),
}
"""Kind to the kinds that may stand after it in anything that decodes."""
_JITTER = 1
"""Bins of velocity and of tempo that a view moves a window by, at most."""


@dataclass(frozen=True)
class RemiConfig(MusicConfig):
    """How fine time is."""

    steps: int = 12
    """A quarter note: 16ths and triplets of eighths fall on steps."""

    def __post_init__(self) -> None:
        if self.steps not in (4, 8, 12, 16, 24, 48):
            raise ConfigError(f"tokenizer.steps: got {self.steps!r}, allowed: 4, 8, 12, 16, 24, 48")


class RemiTokenizer(MusicTokenizer[RemiConfig]):
    """See the head of this file. Natural unit: a note, on its pitch."""

    kind: ClassVar[str] = "music_remi"
    config_class = RemiConfig
    by_track: ClassVar[bool] = False

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Symbols of each kind."""
        steps = self.config.steps
        lengths = len(lengths_for(steps))
        return (1, len(METRES), MAX_QUARTERS * steps, len(TEMPOS), DRUMS + 1, 128, 128, VELOCITIES, lengths)

    @cached_property
    def first(self) -> Whole:
        """(9,) the id of the first symbol of each kind."""
        return len(SPECIALS) + np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    @cached_property
    def kinds(self) -> Whole:
        """(V,) the kind of each id, -1 for specials and the extension."""
        found = np.full(len(self.vocabulary), -1)
        found[len(SPECIALS) : self.size] = np.repeat(np.arange(len(self.counts)), self.counts)
        return found

    def symbols(self) -> tuple[str, ...]:
        lengths = lengths_for(self.config.steps)
        values: tuple[list[str], ...] = (
            [""],
            [f"{n}/{d}" for n, d in METRES],
            [str(p) for p in range(self.counts[POSITION])],
            [f"{60e6 / t:.0f}" for t in TEMPOS.tolist()],
            [*map(str, range(DRUMS)), "drums"],
            [pitch_name(p) for p in range(128)],
            [str(p) for p in range(128)],
            [str(v) for v in range(VELOCITIES)],
            [str(v) for v in lengths.tolist()],
        )
        pairs = zip(KIND_NAMES, values, strict=True)
        return tuple(f"{kind}_{v}" if v else kind for kind, listed in pairs for v in listed)

    def counted_ids(self) -> Whole:
        return np.arange(self.first[PITCH], self.first[VELOCITY])

    def canonical(self, record: Score) -> Score:
        """The notes on the grid, a track for each program, with tempi and metres; nothing else but the id."""
        return score_of_events(events_of(record, self.config.steps), record.id, self.config.steps)

    def tokens(self, record: Score) -> Array:
        """(T,) by way of a table with a row an event and a column a kind of symbol."""
        steps = self.config.steps
        e = events_of(record, steps)
        bar, place = bars_of(e, e.onset, steps)
        tempo_bar, tempo_place = bars_of(e, e.tempo_at, steps)
        n_bars, n_tempi, n = int(bar.max()) + 1, len(e.tempo_at), len(e.onset)
        order = self._order(bar, place, e)
        bar, place = bar[order], place[order]
        program, drum = e.program[order], e.program[order] == DRUMS
        # Rows: bars, then tempi, then notes; a stable sort by bar, and by place where time leads, brings them together.
        rows = np.full((n_bars + n_tempi + n, 9), -1)
        rows[:n_bars, 0] = self.first[BAR]
        rows[e.metre_bar, 1] = self.first[METRE] + e.metre
        rows[n_bars : n_bars + n_tempi, 3] = self.first[TEMPO] + e.tempo
        notes = rows[n_bars + n_tempi :]
        notes[:, 5] = np.where(drum, self.first[DRUM], self.first[PITCH]) + e.pitch[order]
        notes[:, 6] = self.first[VELOCITY] + e.velocity[order]
        notes[:, 7] = self.first[LENGTH] + e.length[order]
        program_before = np.append(-1, program[:-1])
        bar_before = np.append(-1, bar[:-1])
        fresh = (program != program_before) | (self.by_track & (bar != bar_before))
        program_column, place_column = (2, 4) if self.by_track else (4, 2)
        notes[fresh, program_column] = self.first[PROGRAM] + program[fresh]
        all_bars = np.concatenate([np.arange(n_bars), tempo_bar, bar])
        all_places = np.concatenate([np.full(n_bars, -1), tempo_place, place])
        stage = np.repeat([0, 1, 2], [n_bars, n_tempi, n])
        keys = (stage, all_bars) if self.by_track else (stage, all_places, all_bars)
        together = np.lexsort(keys)
        all_bars, all_places, stage = all_bars[together], all_places[together], stage[together]
        rows = rows[together]
        # A position is written where it is another one than that of the row before, or where a bar or track begins.
        moved = np.append(True, (np.diff(all_places) != 0) | (np.diff(all_bars) != 0)) & (stage > 0)
        if self.by_track:
            moved |= rows[:, program_column] >= 0
        in_note = np.where(stage == 2, place_column, 2)
        at = np.flatnonzero(moved)
        rows[at, in_note[at]] = self.first[POSITION] + all_places[at]
        flat = rows.ravel()
        return flat[flat >= 0]

    def _order(self, bar: Whole, place: Whole, e: Events) -> Whole:
        """Notes by time and program, or by bar, program and time."""
        if self.by_track:
            return np.lexsort((e.pitch, place, e.program, bar))
        return np.arange(len(bar))

    def score(self, tokens: Whole, name: str) -> Score:
        return score_of_events(self._events(tokens, name), name, self.config.steps)

    def _events(self, tokens: Whole, name: str) -> Events:
        """Raises RecordError where the tokens are no piece."""
        kinds = self.kinds[tokens]
        self._check(kinds, name)
        values = tokens - self.first[kinds]
        steps = self.config.steps
        bar = np.cumsum(kinds == BAR) - 1
        metre_at = np.flatnonzero(kinds == METRE)
        metre_bar, metre = bar[metre_at], values[metre_at]
        changed = np.append(True, np.diff(metre) != 0)
        place = values[self._latest(kinds == POSITION)]
        program = values[self._latest(kinds == PROGRAM)]
        begins = np.flatnonzero((kinds == PITCH) | (kinds == DRUM))
        if not len(begins):
            raise RecordError("no_notes", f"sequence '{name}' has no notes", record=name)
        if begins[-1] + 2 >= len(tokens):
            self._refuse(name, len(tokens) - 1, "ends inside a note")
        last = int(bar[begins].max())
        keep = changed & (metre_bar <= last)
        blank = np.zeros(0, np.int64)
        plain = Events(blank, blank, blank, blank, blank, blank, blank, metre_bar[keep], metre[keep])
        starts = starts_of(plain, np.arange(last + 1), steps)
        size = bar_steps(plain.metre, steps)[np.searchsorted(plain.metre_bar, np.arange(last + 1), "right") - 1]
        first_bar = self._latest(kinds == BAR)
        placed = self._latest(kinds == POSITION)
        for at in (begins, np.flatnonzero((kinds == TEMPO) & (bar <= last))):
            unplaced = placed[at] < first_bar[at]
            if unplaced.any():
                self._refuse(name, int(at[np.argmax(unplaced)]), "has no position in its bar")
            beyond = place[at] >= size[bar[at]]
            if beyond.any():
                self._refuse(name, int(at[np.argmax(beyond)]), "is beyond the end of its bar")
        drum = kinds[begins] == DRUM
        unnamed = self._latest(kinds == PROGRAM)[begins] < 0
        wrong = unnamed | (drum != (program[begins] == DRUMS))
        if wrong.any():
            self._refuse(name, int(begins[np.argmax(wrong)]), "is of another program than the one before it")
        tempo = np.flatnonzero((kinds == TEMPO) & (bar <= last))
        onset = starts[bar[begins]] + place[begins]
        tempo_at, tempo_value = starts[bar[tempo]] + place[tempo], values[tempo]
        early = tempo_at <= onset.max()
        tempo_at, tempo_value = tempo_at[early], tempo_value[early]
        if not len(tempo_at) or tempo_at[0] != 0:
            usual = int(np.abs(TEMPOS - 500_000).argmin())
            tempo_at, tempo_value = np.append(0, tempo_at), np.append(usual, tempo_value)
        other = np.append(True, np.diff(tempo_value) != 0)
        return settled(
            Events(
                onset,
                program[begins],
                values[begins],
                values[begins + 1],
                values[begins + 2],
                tempo_at[other],
                tempo_value[other],
                plain.metre_bar,
                plain.metre,
            )
        )

    def whole(self, sequence: Sequence, length: int) -> int:
        """How many of the first `length` tokens end with a whole note; at least those of the first one."""
        ends = np.flatnonzero(self.kinds[sequence.arrays["tokens"].astype(np.int64)] == LENGTH) + 1
        fitting = ends[ends <= length]
        return int(fitting[-1]) if len(fitting) else int(ends[0]) if len(ends) else length

    def _latest(self, there: NDArray[np.bool_]) -> Whole:
        """(T,) the index of the latest token for which `there` holds, -1 before the first."""
        return np.maximum.accumulate(np.where(there, np.arange(len(there)), -1)) if len(there) else np.zeros(0, int)

    def _check(self, kinds: Whole, name: str) -> None:
        """That each kind stands after one it may stand after, from a bar with a metre on."""
        if not len(kinds):
            raise RecordError("no_notes", f"sequence '{name}' is empty", record=name)
        table = np.zeros((10, 9), bool)
        for kind, after in FOLLOWS.items():
            table[kind, list(after)] = True
        wrong = ~table[np.append(START, kinds[:-1]), kinds]
        wrong[1:2] |= kinds[1:2] != METRE
        if wrong.any():
            at = int(np.argmax(wrong))
            before = "nothing" if at == 0 else KIND_NAMES[kinds[at - 1]]
            self._refuse(name, at, f"is {KIND_NAMES[kinds[at]]} after {before}")
        if len(kinds) < 2:
            self._refuse(name, 0, "is all there is")

    def _refuse(self, name: str, at: int, why: str) -> None:
        raise RecordError("grammar", f"sequence '{name}': token {at} {why}", record=name, position=at)

    def grammar(  # type: ignore[override]
        self,
        *,
        max_length: int | None = None,
        programs: tuple[int, ...] | None = None,
        key: str | None = None,
        low: int = 0,
        high: int = 127,
        metres: tuple[str, ...] | None = None,
    ) -> RemiGrammar:
        """The automaton of pieces in canonical order.

        Args:
            max_length: tokens at most; a piece ends with a whole note of music.
            programs: General MIDI programs from 0 that may play, 128 for drums; None for all.
            key: pitched notes of this key only.
            low, high: bounds of pitched notes.
            metres: such as "4/4"; None for all.

        Raises ConfigError for limits that leave nothing.
        """
        from domains.music.tokenizer.remi_grammar import RemiGrammar

        return RemiGrammar(self, max_length, programs, key, low, high, metres)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Transposed by -5 to 6 semitones as far as pitches go, drums as they are; velocities and tempi of the whole
        window moved by up to a bin.
        """
        tokens = arrays["tokens"].astype(np.int64)
        kinds = self.kinds[tokens]
        moved = tokens.copy()
        for kind, low, high in ((PITCH, *TRANSPOSE), (VELOCITY, -_JITTER, _JITTER), (TEMPO, -_JITTER, _JITTER)):
            mine = kinds == kind
            shift = int(rng.integers(low, high + 1))
            if mine.any():
                values = tokens[mine] - self.first[kind]
                down, up = -int(values.min()), self.counts[kind] - 1 - int(values.max())
                moved[mine] += min(max(shift, down), up)
        return {**arrays, "tokens": moved.astype(arrays["tokens"].dtype)}


class TracksTokenizer(RemiTokenizer):
    """The same symbols, bar by bar one program after the other."""

    kind: ClassVar[str] = "music_tracks"
    by_track: ClassVar[bool] = True
