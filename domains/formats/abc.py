"""Files of tunes in ABC as Scores that keep their text: cut at `X:` by our own count, each tune read or rejected.

A file that is not UTF-8 is read as Latin-1 and counted. Text between tunes is left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.abc_text import Tune, read_tune
from domains.formats.score import Score, no_rows

_FIELD = re.compile(r"^([A-Za-z]):(.*)$")


def read_abc(path: Path | str, notes: Counter[str] | None = None) -> Iterator[Score | Reject]:
    """Each tune of a file, or the Reject that stands for it.

    Args:
        notes: where what was left out or unusual is counted.
    """
    path = Path(path)
    counted = Counter[str]() if notes is None else notes
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        counted["files read as Latin-1"] += 1
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("X:")]
    if not starts:
        whole = [i for i, line in enumerate(lines) if line.startswith("K:")]
        if not whole:
            yield Reject(str(path), 0, path.stem, 1, 0, "no_tune", f"{path.name}: has neither X: nor K:, so no tune")
            return
        starts = [0]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True), 1):
        said = lines[start][2:].split("%")[0].strip() if lines[start].startswith("X:") else ""
        name = f"{path.stem}.{said or number}" if len(starts) > 1 else path.stem
        try:
            yield _tune(lines[start:stop], name, path, start + 1, counted)
        except RecordError as error:
            line = start + 1 + (error.position or 0)
            yield Reject(str(path), 0, name, line, None, error.reason, error.message)


def score_of(tune: Tune, name: str) -> Score:
    """A tune as a Score, which keeps its text."""
    metres = no_rows(3) if tune.metre is None else np.array([[0, *tune.metre]], np.int64)
    keys = np.array([[0, tune.sharps, int(tune.minor)]], np.int64)
    return Score(name, tune.tpq, tune.notes, metres=metres, keys=keys, tracks=(name,), text=tune.text, spelled=True)


def _tune(lines: list[str], name: str, path: Path, line: int, counted: Counter[str]) -> Score:
    header: dict[str, str] = {}
    body = len(lines)
    for number, text in enumerate(lines):
        match = _FIELD.match(text)
        if match and (match[1] not in header or match[1] == "K"):
            header[match[1]] = match[2].partition("%")[0].strip()
        if match and match[1] == "K":
            body = number + 1
            break
    rest = lines[body:]
    end = next((i for i, text in enumerate(rest) if not text.strip()), len(rest))
    if any(text.strip() and not text.startswith("%") for text in rest[end:]):
        counted["texts after the end of a tune left out"] += 1
    try:
        tune = read_tune(header, "\n".join(rest[:end]), name, counted)
    except RecordError as error:
        raise RecordError(
            error.reason, error.message, record=name, position=body - 1 + (error.position or 0)
        ) from error
    score = score_of(tune, name)
    labels = {"title": header.get("T", ""), "rhythm": header.get("R", "").lower()}
    return Score(**{**vars(score), "labels": labels, "place": (str(path), line, None)})
