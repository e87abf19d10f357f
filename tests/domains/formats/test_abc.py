"""Tunes in ABC: how they are cut out of files, what their notes are, what is left out and counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from core.errors import RecordError
from core.rejects import Reject
from domains.formats.abc import read_abc
from domains.formats.abc_spelling import signature, spelled_key, spelled_length
from domains.formats.abc_text import read_text
from domains.formats.score import DURATION, ONSET, PITCH, Score
from tests.domains.music.scores import TUNE


def notes(text: str) -> list[tuple[float, float, int]]:
    """(onset, length in eighths, pitch)."""
    tune = read_text(f"L:1/8\nM:4/4\n{text}", "t")
    return [(2 * on / tune.tpq, 2 * n / tune.tpq, p) for on, n, p in tune.notes[:, [ONSET, DURATION, PITCH]].tolist()]


def test_a_scale_in_d() -> None:
    assert [p for *_, p in notes("K:D\nDEFG ABcd")] == [62, 64, 66, 67, 69, 71, 73, 74]


def test_lengths_rests_and_ties() -> None:
    assert notes("K:C\nC2z/D3/2E-|E") == [(0, 2, 60), (2.5, 1.5, 62), (4, 2, 64)]


def test_broken_rhythm_and_tuplets() -> None:
    assert [n for _, n, _ in notes("K:C\nA>B A<B A>>B")] == [1.5, 0.5, 0.5, 1.5, 1.75, 0.25]
    assert notes("K:C\n(3ABc d")[-1][0] == pytest.approx(2)


def test_accidentals_hold_to_the_end_of_the_bar_in_every_octave() -> None:
    assert [p for *_, p in notes("K:C\n^F f =F F|F")] == [66, 78, 65, 65, 65]


def test_a_change_of_key_inside() -> None:
    assert [p for *_, p in notes("K:C\nF|[K:D]F|\nK:C\nF")] == [65, 66, 65]


def test_a_note_before_a_repeat_is_no_field() -> None:
    assert len(notes("K:C\nA B\nA:|\nc::d")) == 5


@pytest.mark.parametrize(
    ("key", "spelled", "sharps"),
    [("D", "D", 2), ("Bb", "Bb", -2), ("A minor", "Am", 0), ("Edor", "Edor", 2), ("G Mixolydian", "Gmix", 0),
     ("F#m", "F#m", 3), ("C#", "C#", 7), ("Aaeo", "Am", 0), ("none", "C", 0)],
)  # fmt: skip
def test_keys(key: str, spelled: str, sharps: int) -> None:
    assert spelled_key(key, "t") == spelled
    assert sum(signature(spelled).values()) == sharps


@pytest.mark.parametrize("key", ["H", "HP", "D^c", "D =c", "Xmaj", "G#lyd"])
def test_keys_that_cannot_be_read(key: str) -> None:
    with pytest.raises(RecordError) as caught:
        spelled_key(key, "t")
    assert caught.value.reason == "unsupported_key"


@pytest.mark.parametrize(
    ("said", "spelled"), [("", ""), ("1", ""), ("2/2", ""), ("//", "/4"), ("/", "/"), ("6/4", "3/")]
)
def test_lengths_have_one_spelling(said: str, spelled: str) -> None:
    found = spelled_length(said)
    assert found is not None
    assert found[1] == spelled


@pytest.mark.parametrize("said", ["0", "/0", "65", "1/65", "99999999999"])
def test_lengths_that_mean_nothing(said: str) -> None:
    assert spelled_length(said) is None


def test_bars_are_compared_with_the_metre() -> None:
    tune = read_text("M:3/4\nL:1/4\nK:C\nA|ABc|AB|ABc|", "t")
    assert (tune.inner_bars, tune.full_bars) == (3, 2)


def test_what_is_not_played_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.abc"
    path.write_text(TUNE)
    counted: Counter[str] = Counter()
    (tune,) = read_abc(path, counted)
    assert isinstance(tune, Score)
    assert tune.text == "M:4/4\nL:1/8\nK:D\n|:DFA>d f2e2|d4 z4:|\n[1A,2 [DFA]2 (3Bcd e2|]"
    assert tune.labels == {"title": "The Made-up Reel", "rhythm": "reel"}
    assert counted["slurs left out"] == 2
    assert counted["chord symbols and annotations left out"] == 1
    assert counted["grace notes left out"] == 1


def test_a_file_of_tunes_with_bad_ones_among_them(tmp_path: Path) -> None:
    path = tmp_path / "book.abc"
    bad = "X:2\nT:no key\nABc\n"
    odd = "X:3\nK:C\nAB&c\n"
    path.write_text(f"% a book\n\n{TUNE}\nsome words\n\n{bad}\n{odd}\n{TUNE.replace('X:1', 'X:4')}")
    counted: Counter[str] = Counter()
    found = list(read_abc(path, counted))
    assert [r.id for r in found] == ["book.1", "book.2", "book.3", "book.4"]
    assert [r.reason for r in found if isinstance(r, Reject)] == ["no_key", "unknown_symbol"]
    assert path.read_text().split("\n")[found[2].line - 1] == "AB&c"  # type: ignore[union-attr]
    assert counted["texts after the end of a tune left out"] == 1


def test_latin_1_is_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.abc"
    path.write_bytes("X:1\nT:Ça\nK:C\nABc\n".encode("latin-1"))
    counted: Counter[str] = Counter()
    (tune,) = read_abc(path, counted)
    assert isinstance(tune, Score)
    assert tune.labels["title"] == "Ça"
    assert counted["files read as Latin-1"] == 1


def test_a_file_without_a_tune_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "t.abc"
    path.write_text("nothing here\n")
    (found,) = read_abc(path)
    assert isinstance(found, Reject)
    assert found.reason == "no_tune"
