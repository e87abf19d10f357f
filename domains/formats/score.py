"""A piece of music as plain arrays: notes, tempi, metres and keys on one axis of ticks.

What readers of MIDI, MusicXML and ABC give and what tokenizers take. A tune in ABC keeps its text beside its notes, a
file that is read as bytes keeps them. Nothing here parses or plays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

ONSET, DURATION, PITCH, VELOCITY, PROGRAM, TRACK, DRUM = range(7)
"""The columns of `Score.notes`."""
VELOCITY_USUAL = 80
"""Of notes whose file says nothing of loudness: mezzo-forte in most notation programs."""
TEMPO_USUAL = 500_000
"""Microseconds a quarter where nothing is said: 120 a minute (Standard MIDI Files 1.0)."""
Place = tuple[str, int | None, int | None]
"""File, line and byte offset."""


def no_rows(width: int) -> Rows:
    return np.zeros((0, width), np.int64)


@dataclass(frozen=True, eq=False)
class Score:
    """One piece."""

    id: str
    tpq: int
    """Ticks a quarter note."""
    notes: Rows = field(default_factory=lambda: no_rows(7))
    """(N, 7) onset and duration in ticks, MIDI pitch, velocity, General MIDI program from 0, track, 1 for a drum; by
    onset, track, pitch."""
    tempos: Rows = field(default_factory=lambda: no_rows(2))
    """(K, 2) tick, microseconds a quarter note."""
    metres: Rows = field(default_factory=lambda: no_rows(3))
    """(K, 3) tick, numerator, denominator."""
    keys: Rows = field(default_factory=lambda: no_rows(3))
    """(K, 3) tick, sharps (flats below 0), 1 for minor."""
    tracks: tuple[str, ...] = ()
    """Names, by the number in column TRACK."""
    text: str = ""
    """Of a tune in ABC: the whole of it."""
    spelled: bool = False
    """Whether the text is known to be in its one spelling, so that nobody must read it again to bring it there."""
    data: bytes = b""
    """Of a file that is read as bytes."""
    place: Place = ("", None, None)
    group: str | None = None
    side: str | None = None
    """train, validation or test, where a data set says so."""
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The tick at which the last note ends."""
        return int((self.notes[:, ONSET] + self.notes[:, DURATION]).max(initial=0))

    def melody(self) -> Rows:
        """(n, 7) the notes of the first track, the highest of those that begin together."""
        notes = self.notes
        if not len(notes):
            return notes
        notes = notes[notes[:, TRACK] == notes[:, TRACK].min()]
        order = np.lexsort((-notes[:, PITCH], notes[:, ONSET]))
        notes = notes[order]
        highest: Rows = notes[np.append(True, np.diff(notes[:, ONSET]) > 0)]
        return highest


def in_order(notes: Rows | Sequence[Sequence[int]]) -> Rows:
    """Notes (N, 7) by onset, track, pitch, duration."""
    rows = np.asarray(notes, np.int64).reshape(-1, 7)
    ordered: Rows = rows[np.lexsort((rows[:, DURATION], rows[:, PITCH], rows[:, TRACK], rows[:, ONSET]))]
    return ordered


def metre_ticks(score: Score) -> Rows:
    """(K, 2) tick from which a metre holds and the ticks of its bars; 4/4 where the score says nothing at its start."""
    rows = [(int(t), int(4 * score.tpq * n // d)) for t, n, d in score.metres]
    if not rows or rows[0][0] > 0:
        rows = [(0, 4 * score.tpq), *rows]
    return np.array(rows, np.int64)
