"""Whether a piece keeps its metre: notes on beats, bars that begin with one, notes held over bar lines.

Real music syncopates, so none of these has a right value: they are read beside those of test and training pieces.
Only a change of metre inside a bar is wrong as such. All is of one Score; a score without a metre (voices on a grid)
is heard in bars of its own, found by where long notes begin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from domains.formats.score import DURATION, ONSET, Score, metre_ticks

METRE_FEATURES = ("onsets_on_beat", "bars_begun_on_beat_one", "notes_over_bar_line")
_BARS = (3, 4)
"""Quarters of a bar that is heard: simple triple, and simple duple or quadruple, which beat alike."""
_LONGEST = 4
"""Quarters of a note beyond which it says no more of where a bar begins."""


def metre_features(score: Score) -> dict[str, float]:
    """METRE_FEATURES of a piece, each a share; NaN where there is nothing to count.

    onsets_on_beat: of the times at which notes begin, those on a beat: the metre's denominator, three of them where the
    numerator is 6, 9 or 12 of eighths or shorter. bars_begun_on_beat_one: of the bars between the first and the last
    onset, those with an onset on their first beat. notes_over_bar_line: of notes, those that sound on into another bar.
    """
    notes = score.notes
    if not len(notes):
        return dict.fromkeys(METRE_FEATURES, float("nan"))
    start, length, beat = _bars(score)
    last = np.searchsorted(start, notes[:, ONSET], "right") - 1
    since = notes[:, ONSET] - start[last]
    place = since % length[last]
    held = place + notes[:, DURATION] > length[last]
    times, first = np.unique(notes[:, ONSET], return_index=True)
    # Bars are numbered across metres: each segment begins with a bar, a cut one before it counts as one.
    segments = np.append(0, np.cumsum(-(-np.diff(start) // length[:-1])))
    bar = segments[last] + since // length[last]
    inner = int(bar.max() - bar.min()) - (1 if place[first[0]] else 0)
    begun = np.unique(bar[(place == 0) & (bar < bar.max())])
    return {
        "onsets_on_beat": float((place[first] % beat[last][first] == 0).sum() / len(times)),
        "bars_begun_on_beat_one": len(begun) / inner if inner > 0 else float("nan"),
        "notes_over_bar_line": float(held.mean()),
    }


def changes_at_bar_lines(score: Score) -> tuple[int, int]:
    """Of the changes of metre inside a piece, how many stand at a bar line of the one before; and all of them."""
    metres = metre_ticks(score)
    metres = metres[metres[:, 0] <= score.end]
    since, length = np.diff(metres[:, 0]), metres[:-1, 1]
    return int((since % np.maximum(1, length) == 0).sum()), len(since)


def bar_heard(score: Score) -> tuple[int, int]:
    """(quarters of a bar, quarter at which the first one begins), for a score that says no metre.

    Of bars of 3 and 4 quarters from each of their quarters on the one whose first beats have the most of the sound that
    begins on a quarter, for its number of beats: long notes begin on strong beats (Lerdahl and Jackendoff 1983, A
    Generative Theory of Tonal Music, metrical preference rule 5).
    """
    notes = score.notes[score.notes[:, ONSET] % score.tpq == 0]
    turn = notes[:, ONSET] // score.tpq % np.lcm.reduce(_BARS)  # all that tells bars of these lengths apart
    sound = np.minimum(notes[:, DURATION], _LONGEST * score.tpq)
    weight = np.bincount(turn, sound, minlength=np.lcm.reduce(_BARS))
    ways = [
        (weight[phase::quarters].sum() - weight.sum() / quarters, quarters, phase)
        for quarters in _BARS
        for phase in range(quarters)
    ]
    _, quarters, phase = max(ways, key=lambda way: way[0])
    return quarters, phase


def _bars(score: Score) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(K,) ticks from which bars of one length follow each other, (K,) their lengths, (K,) ticks of a beat."""
    if not len(score.metres):
        quarters, phase = bar_heard(score)
        start = phase - quarters if phase else 0
        return tuple(np.array([value * score.tpq]) for value in (start, quarters, 1))  # type: ignore[return-value]
    metres = metre_ticks(score)
    told = score.metres if len(score.metres) == len(metres) else np.insert(score.metres, 0, (0, 4, 4), axis=0)
    compound = np.isin(told[:, 1], (6, 9, 12)) & (told[:, 2] >= 8)
    beat = 4 * score.tpq * np.where(compound, 3, 1) // told[:, 2]
    return metres[:, 0], np.maximum(1, metres[:, 1]), np.maximum(1, beat)
