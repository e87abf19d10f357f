"""Humdrum **kern as Scores, read by music21, which is an extra: `pip install foretell[music]`.

music21 is slow (.1 s a page) and keeps what it can; a file that it cannot read is one reject. Parts are tracks, ties
are joined, repeats not unfolded.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import RecordError, ResourceError
from domains.formats.score import VELOCITY_USUAL, Score, in_order, no_rows


def read_kern(path: Path | str, notes: Counter[str] | None = None) -> Score:
    """The score in a .krn file.

    Raises RecordError: damaged_kern, no_notes; ResourceError where music21 is not installed.
    """
    path = Path(path)
    try:
        from music21 import converter
    except ImportError as error:
        raise ResourceError(
            f"{path.name} is **kern, which is read by music21", hint="pip install 'foretell[music]'"
        ) from error
    parsed: Any
    try:
        parsed = converter.parse(path, format="humdrum", forceSource=True).stripTies()
    except Exception as error:  # music21 raises whatever its parser stumbles over
        raise RecordError("damaged_kern", f"{path.name}: music21 cannot read it ({error})", record=path.stem) from error
    found: list[tuple[Fraction, Fraction, int, int]] = []
    metres: dict[Fraction, tuple[int, int]] = {}
    for track, part in enumerate(parsed.parts):
        for element in part.flatten().notes:
            onset, length = Fraction(element.offset), Fraction(element.duration.quarterLength)
            if length == 0:
                if notes is not None:
                    notes["grace and cue notes left out"] += 1
                continue
            found += [(onset, length, int(pitch.midi), track) for pitch in element.pitches]
        if track == 0:
            for metre in part.flatten().getElementsByClass("TimeSignature"):
                metres[Fraction(metre.offset)] = (int(metre.numerator), int(metre.denominator))
    if not found:
        raise RecordError("no_notes", f"{path.name}: has no notes", record=path.stem)
    return _score(path, found, metres, [str(part.partName or "") for part in parsed.parts])


def _score(path: Path, found: list[Any], metres: dict[Fraction, tuple[int, int]], names: list[str]) -> Score:
    tpq = math.lcm(*(f.denominator for onset, length, *_ in found for f in (onset, length)))
    tpq = tpq if tpq <= 32_767 else 10_080
    rows = [(round(on * tpq), max(1, round(n * tpq)), p, VELOCITY_USUAL, 0, track, 0) for on, n, p, track in found]
    listed = [(round(t * tpq), *metre) for t, metre in sorted(metres.items())]
    table = np.array(listed, np.int64) if listed else no_rows(3)
    return Score(path.stem, tpq, in_order(rows), metres=table, tracks=tuple(names))
