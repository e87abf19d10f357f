"""What a piece is like in a few numbers: pitch classes, scale, rhythm from bar to bar, how many notes sound at once.

Each is of one Score and between pieces comparable in any key. Definitions as in MusPy (Dong et al. 2020, ISMIR,
arXiv 2008.01951) unless said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from domains.formats.score import DRUM, DURATION, ONSET, PITCH, Score, metre_ticks

_SCALES = np.array(
    [[(step - tonic) % 12 in scale for step in range(12)] for scale in ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11))
     for tonic in range(12)]
)  # fmt: skip
"""(24, 12): the major and the harmonic minor keys."""
FEATURES = ("pitch_class_entropy", "scale_consistency", "groove_consistency", "polyphony", "pitch_range")
DURATIONS = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Quarters: from a 32nd to a whole note; longer ones count with the last."""


def pitch_classes(score: Score) -> NDArray[np.float64]:
    """(12,) how many notes, drums left out, have each pitch class."""
    notes = score.notes[score.notes[:, DRUM] == 0]
    return np.bincount(notes[:, PITCH] % 12, minlength=12).astype(np.float64)


def durations(score: Score) -> NDArray[np.float64]:
    """(10,) how many notes have each of DURATIONS, to the nearest one by ratio."""
    quarters = np.log(score.notes[:, DURATION] / score.tpq)
    borders = np.log(np.array(DURATIONS))
    nearest = np.abs(quarters[:, None] - borders).argmin(axis=1) if len(quarters) else np.zeros(0, np.int64)
    return np.bincount(nearest, minlength=len(DURATIONS)).astype(np.float64)


def features(score: Score) -> dict[str, float]:
    """FEATURES of a piece; NaN where it has no pitched note.

    pitch_class_entropy: bits, of notes. scale_consistency: the share of notes in the best of 24 keys.
    groove_consistency: 1 less the mean share of 16ths on which two bars in a row differ in having an onset.
    polyphony: notes that sound, on average over the time in which one sounds. pitch_range: semitones.
    """
    notes = score.notes[score.notes[:, DRUM] == 0]
    if not len(notes):
        return dict.fromkeys(FEATURES, float("nan"))
    shares = pitch_classes(score) / len(notes)
    entropy = float(-(shares * np.log2(np.where(shares > 0, shares, 1))).sum())
    start, stop = notes[:, ONSET], notes[:, ONSET] + notes[:, DURATION]
    times = np.sort(np.concatenate([start, stop]))
    sounding = np.searchsorted(np.sort(start), times[:-1], "right") - np.searchsorted(
        np.sort(stop), times[:-1], "right"
    )
    widths = np.diff(times) * (sounding > 0)
    return {
        "pitch_class_entropy": entropy,
        "scale_consistency": float((_SCALES @ shares).max()),
        "groove_consistency": groove(score),
        "polyphony": float((sounding * widths).sum() / max(1, widths.sum())),
        "pitch_range": float(np.ptp(notes[:, PITCH])),
    }


def groove(score: Score) -> float:
    """Over bars in a row of one length; NaN for a piece of one bar. Bars of 4/4 where the score says no metre."""
    metres = metre_ticks(score)
    onsets = np.unique(score.notes[:, ONSET])
    segment = np.searchsorted(metres[:, 0], onsets, "right") - 1
    length = np.maximum(1, metres[segment, 1])
    bar = (onsets - metres[segment, 0]) // length
    slot = ((onsets - metres[segment, 0]) % length) * 4 // score.tpq
    values = []
    for number in np.unique(segment):
        mine = segment == number
        bars = int(bar[mine].max()) + 1
        slots = max(1, -(-int(metres[number, 1]) * 4 // score.tpq))
        if bars < 2 or bars * slots > 2**22:
            continue
        table = np.zeros((bars, slots), bool)
        table[bar[mine], np.minimum(slot[mine], slots - 1)] = True
        values += (table[1:] != table[:-1]).mean(axis=1).tolist()
    return 1 - float(np.mean(values)) if values else float("nan")


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Between two sets of values, in standard deviations of `b`: their Wasserstein-1 distance; NaN for an empty set,
    and for other values than those of a `b` that are all one."""
    from scipy.stats import wasserstein_distance

    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not len(a) or not len(b):
        return float("nan")
    away, spread = float(wasserstein_distance(a, b)), float(b.std())
    return away / spread if spread > 1e-9 else 0.0 if away < 1e-9 else float("nan")
