"""Notes of **kern files are counted by us as well, so that what music21 leaves out is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from domains.formats.kern import count_notes, read_kern

TUNE = """!!!OTL: made by code
**kern\t**dynam
*clefG2\t*
*M4/4\t*
=1\t=1
4c\tp
[4d 4f\t.
8d]\t.
8r\tmf
*^\t*
4e\t4g\tf
*v\t*v\t*
qa\t.
==\t==
*-\t*-
"""
"""Six notes in one spine that splits and joins, one of them tied (two tokens), a grace note, a rest, dynamics."""


def test_notes_are_counted_in_kern_spines_alone() -> None:
    assert count_notes(TUNE) == 7
    assert count_notes(TUNE.replace("**kern", "**text")) == 0


@pytest.mark.parametrize(("token", "left_out"), [("4zz$$", 1), ("4b-", 0)])
def test_what_music21_leaves_out_is_counted(
    token: str, left_out: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("music21")
    path = tmp_path / "a.krn"
    path.write_text(f"**kern\n*M4/4\n=1\n4c\n{token}\n4d\n==\n*-\n")
    notes = Counter[str]()
    assert len(read_kern(path, notes).notes) == 3 - left_out
    assert notes["notes that music21 cannot read left out"] == left_out
    assert capsys.readouterr().err == ""
