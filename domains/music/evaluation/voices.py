"""The rules of four-part writing that can be counted: voices that cross, fifths and octaves in parallel, ranges.

Of scores whose tracks are voices from the highest down. A rule is broken in Bach as well, so samples are read beside
real pieces, never beside zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domains.formats.score import DURATION, ONSET, PITCH, TRACK, Score

RANGES = ((60, 81), (53, 74), (48, 69), (40, 64))
"""Soprano C4-A5, alto F3-D5, tenor C3-A4, bass E2-E4: what textbooks of harmony allow."""


@dataclass(frozen=True)
class VoiceCounts:
    """Of one piece: how often, and out of how many."""

    crossings: int
    """Steps on which a voice is above the next higher one."""
    steps: int
    """Steps and pairs of neighbouring voices that both sound."""
    parallels: int
    """Moves of two voices in the same direction from a fifth or octave into another one."""
    moves: int
    """Moves of two voices that both change pitch."""
    outside: int
    """Notes outside of their voice's range."""
    notes: int


def sounding_pitches(score: Score, voices: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(steps, voices) the pitch of each voice, -1 for none, on every time at which a note begins or ends; and whether
    one begins there.
    """
    notes = score.notes
    times = np.unique(np.concatenate([notes[:, ONSET], notes[:, ONSET] + notes[:, DURATION]]))
    pitches = np.full((len(times), voices), -1)
    begins = np.zeros((len(times), voices), bool)
    first = np.searchsorted(times, notes[:, ONSET])
    last = np.searchsorted(times, notes[:, ONSET] + notes[:, DURATION])
    for start, stop, pitch, voice in zip(first, last, notes[:, PITCH], notes[:, TRACK], strict=True):
        pitches[start:stop, voice] = pitch
        begins[start, voice] = True
    return pitches, begins


def count_voices(score: Score, voices: int = 4) -> VoiceCounts:
    pitches, _ = sounding_pitches(score, voices)
    both = (pitches[:, :-1] >= 0) & (pitches[:, 1:] >= 0)
    crossings = int((both & (pitches[:, 1:] > pitches[:, :-1])).sum())
    parallels = moves = 0
    change = np.diff(pitches, axis=0)
    there = (pitches[1:] >= 0) & (pitches[:-1] >= 0)
    for upper in range(voices):
        for lower in range(upper + 1, voices):
            moved = there[:, upper] & there[:, lower] & (change[:, upper] != 0) & (change[:, lower] != 0)
            interval = (pitches[:, upper] - pitches[:, lower]) % 12
            same = np.sign(change[:, upper]) == np.sign(change[:, lower])
            perfect = np.isin(interval[1:], (0, 7)) & (interval[1:] == interval[:-1])
            parallels += int((moved & same & perfect).sum())
            moves += int(moved.sum())
    outside = sum(
        int(((found := score.notes[score.notes[:, TRACK] == v, PITCH]) < low).sum() + (found > high).sum())
        for v, (low, high) in enumerate(RANGES[:voices])
    )
    return VoiceCounts(crossings, int(both.sum()), parallels, moves, outside, len(score.notes))
