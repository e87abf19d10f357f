"""Scores as sound: who sings and who drums is heard when he should be, with a soundfont or without."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from domains.formats.score import Score, in_order, no_rows
from domains.music import sound
from domains.music.sound import RATE, render

QUARTER = 480
HALF_A_SECOND = RATE // 2


def score(*rows: tuple[int, int, int, int, int, int, int]) -> Score:
    """Rows of onset, duration, pitch, velocity, program, track and drum, at 120 quarters a minute."""
    return Score("made", QUARTER, in_order(list(rows)))


@pytest.fixture(autouse=True)
def no_soundfont(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORETELL_SOUNDFONT", str(tmp_path / "none.sf2"))


def loud(wave: Any, quarter: int) -> float:
    """The mean loudness of half a second."""
    return float(np.abs(wave[quarter * HALF_A_SECOND : (quarter + 1) * HALF_A_SECOND]).mean())


def test_a_tone_has_its_pitch_and_ends() -> None:
    wave = render(score((0, QUARTER, 69, 100, 0, 0, 0), (2 * QUARTER, QUARTER, 69, 100, 0, 0, 0)))
    spectrum = np.abs(np.fft.rfft(wave[:HALF_A_SECOND]))
    assert abs(int(spectrum.argmax()) * RATE / HALF_A_SECOND - 440) < 3
    assert loud(wave, 0) > 10 * loud(wave, 1)
    assert loud(wave, 2) > 10 * loud(wave, 1)


@pytest.mark.parametrize("key", [36, 38, 42])
def test_drums_are_heard_and_the_same_every_time(key: int) -> None:
    made = score((0, QUARTER, key, 100, 0, 0, 1), (3 * QUARTER, QUARTER, key, 100, 0, 0, 1))
    wave = render(made)
    assert loud(wave, 0) > 0.01
    assert loud(wave, 3) > 0.01
    assert loud(wave, 2) < loud(wave, 3) / 2
    assert np.array_equal(wave, render(made))


def test_only_the_first_seconds_are_played() -> None:
    rows = [(i * QUARTER, QUARTER, 60, 100, 0, 0, i % 2) for i in range(40)]
    assert len(render(score(*rows), max_seconds=3.0)) <= 3.2 * RATE


def test_a_soundfont_plays_each_instrument_on_a_channel_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard: list[tuple[str, tuple[Any, ...]]] = []

    class Synth:
        """As tinysoundfont's: two floats a frame, and what it was told."""

        def __init__(self, samplerate: int) -> None:
            self.on = 0

        def sfload(self, font: str) -> int:
            return 7

        def program_select(self, *given: Any) -> None:
            heard.append(("program", given))

        def noteon(self, channel: int, key: int, velocity: int) -> None:
            self.on += 1
            heard.append(("on", (channel, key, velocity)))

        def noteoff(self, channel: int, key: int) -> None:
            self.on -= 1

        def generate(self, count: int) -> bytes:
            return np.full((count, 2), self.on, np.float32).tobytes()

    font = tmp_path / "piano.sf2"
    font.write_bytes(b"a soundfont")
    monkeypatch.setenv("FORETELL_SOUNDFONT", str(font))
    monkeypatch.setitem(sys.modules, "tinysoundfont", SimpleNamespace(Synth=Synth))
    made = score(
        (0, QUARTER, 60, 90, 0, 0, 0), (QUARTER, QUARTER, 72, 80, 40, 1, 0), (2 * QUARTER, QUARTER, 38, 70, 0, 2, 1)
    )
    wave = render(made)
    assert {given for kind, given in heard if kind == "program"} == {
        (0, 7, 0, 0, False), (1, 7, 0, 40, False), (9, 7, 128, 0, True)
    }  # fmt: skip
    assert [given for kind, given in heard if kind == "on"] == [(0, 60, 90), (1, 72, 80), (9, 38, 70)]
    assert np.allclose(wave[100 : 3 * HALF_A_SECOND - 100], 0.9)
    assert loud(wave, 3) < 0.01


def test_a_score_without_notes_cannot_be_played() -> None:
    with pytest.raises(InputError, match="no notes to play"):
        render(Score("empty", QUARTER, no_rows(7)))


def test_seconds_follow_the_tempi() -> None:
    made = Score(
        "made", QUARTER, in_order([(0, 1, 60, 90, 0, 0, 0)]), tempos=np.array([[0, 500_000], [960, 1_000_000]])
    )
    assert sound.seconds_at(made, np.array([480, 960, 1440])).tolist() == [0.5, 1.0, 2.0]
