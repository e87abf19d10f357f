"""Humdrum **kern as Scores, read by music21, which is an extra: `pip install foretell[music]`.

music21 is slow (.1 s a page) and keeps what it can: a file that it cannot read is one reject, and of one that it reads
the notes are counted here as well, so that none goes missing unsaid. Parts are tracks, ties are joined, repeats not
unfolded.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from contextlib import redirect_stderr
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
        with redirect_stderr(io.StringIO()):  # where it warns of what it leaves out
            whole: Any = converter.parse(path, format="humdrum", forceSource=True)
            read = sum(len(element.pitches) for part in whole.parts for element in part.flatten().notes)
            parsed = whole.stripTies()
    except Exception as error:  # music21 raises whatever its parser stumbles over
        raise RecordError("damaged_kern", f"{path.name}: music21 cannot read it ({error})", record=path.stem) from error
    written = count_notes(path.read_text(encoding="utf-8", errors="replace"))
    if notes is not None and written > read:
        notes["notes that music21 cannot read left out"] += written - read
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


def count_notes(text: str) -> int:
    """How many notes stand in the **kern spines of a file, tied ones each, and tokens that nobody can read.

    Null tokens, rests, barlines, comments and other spines are none (the Humdrum syntax, humdrum.org/guide/ch05).
    """
    spines: list[str] = []
    found = 0
    for line in text.splitlines():
        tokens = line.split("\t")
        if line.startswith("**"):
            spines = tokens
        elif line.startswith("*"):
            spines = _followed(spines, tokens)
        elif line and line[0] not in "!=":
            for spine, token in zip(spines, tokens, strict=False):
                if spine == "**kern":
                    found += sum(1 for sub in token.split(" ") if sub not in ("", ".") and "r" not in sub)
    return found


def _followed(spines: list[str], tokens: list[str]) -> list[str]:
    """The spines below a line of interpretations: *^ splits one, neighbours with *v join, *- ends, *+ adds."""
    below: list[str] = []
    joined = False
    for spine, token in zip(spines, tokens, strict=False):
        if token == "*v" and joined:
            continue
        joined = token == "*v"
        if token.startswith("**"):
            below.append(token)
        elif token != "*-":
            below += [spine, spine] if token == "*^" else [spine, "*"] if token == "*+" else [spine]
    return below


def _score(path: Path, found: list[Any], metres: dict[Fraction, tuple[int, int]], names: list[str]) -> Score:
    tpq = math.lcm(*(f.denominator for onset, length, *_ in found for f in (onset, length)))
    tpq = tpq if tpq <= 32_767 else 10_080
    rows = [(round(on * tpq), max(1, round(n * tpq)), p, VELOCITY_USUAL, 0, track, 0) for on, n, p, track in found]
    listed = [(round(t * tpq), *metre) for t, metre in sorted(metres.items())]
    table = np.array(listed, np.int64) if listed else no_rows(3)
    return Score(path.stem, tpq, in_order(rows), metres=table, tracks=tuple(names))
