"""Figures and sound of music: what is drawn is what was given."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.evaluation import Metric
from domains.formats.score import TRACK, Score, in_order
from domains.music import figures
from domains.music.evaluation.drawing import colours_say
from domains.music.sound import RATE, render, seconds_at, write_wav
from tests.domains.music.scores import chorale


def test_a_piano_roll_has_a_bar_for_each_note() -> None:
    score = chorale(0, 8)
    axes = figures.piano_roll(score, "t", quarters=100)
    assert len(axes.collections) == len(score.notes)


def test_the_caption_tells_of_colours_only_where_there_are_several() -> None:
    voices = chorale(0, 8)
    notes = voices.notes.copy()
    notes[:, TRACK] = 0
    one = Score("one", voices.tpq, notes)
    assert colours_say([one, voices]) == "A colour is a voice or track."
    assert "one track, hence one colour" in colours_say([one, one])


def test_rolls_stand_under_one_axis() -> None:
    figure = figures.piano_rolls([("a", chorale(0))], [("b", chorale(1)), ("c", chorale(2))])
    assert len(figure.axes) == 2
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_shares_sum_to_one() -> None:
    axes = figures.shares({"test": np.array([1.0, 3.0]), "foretell": np.array([2.0, 2.0])}, ["a", "b"], "t")
    assert sum(bar.get_height() for bar in axes.containers[0]) == pytest.approx(1)


def test_orders_are_lines_and_the_model_crosses_them() -> None:
    rows = [Metric("nats", 1.0, 0.9, 1.1, 5, "s", "foretell")]
    rows += [
        Metric("nats", 2.0 - k / 4, None, None, 5, "s", f"order_{k}{keys}")
        for k in range(3)
        for keys in ("", "_all_keys")
    ]
    axes = figures.by_order(rows, name="nats")
    assert [line.get_xdata()[-1] for line in axes.lines[:2]] == [2, 2]
    assert len(axes.lines) == 3


def test_a_note_sounds_at_its_pitch_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A4 for a second after a second of rest, at 120 a minute."""
    monkeypatch.setenv("FORETELL_SOUNDFONT", "/nowhere")
    sound = render(Score("a", 1, in_order([[2, 2, 69, 100, 0, 0, 0]])))
    assert np.abs(sound[: RATE - 1]).max() == 0
    spectrum = np.abs(np.fft.rfft(sound[RATE : 2 * RATE]))
    assert np.argmax(spectrum) == 440


def test_seconds_follow_the_tempi() -> None:
    score = Score("t", 4, tempos=np.array([[0, 500_000], [8, 1_000_000]]))
    assert seconds_at(score, np.array([0, 4, 8, 12])).tolist() == [0, 0.5, 1.0, 2.0]


def test_a_wav_file_is_16_bit_mono(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(100, np.float32))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, 100)


def test_silence_cannot_be_played() -> None:
    with pytest.raises(InputError):
        render(Score("silent", 4))
