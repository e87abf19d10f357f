"""Scores that are read once and kept: the same again, in the same order, and anew where a file has changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.rejects import Reject
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from domains.music.source import parsed as module
from domains.music.source.files import MusicFiles, Reading, find_music_files
from domains.music.tokenizer import GridTokenizer
from tests.domains.music.scores import TUNE, chorale


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "GROUP_BYTES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    music = tmp_path / "music"
    music.mkdir()
    for number in range(3):
        (music / f"{number}.mid").write_bytes(midi_bytes([chorale(number, 2)]))
    (music / "3.abc").write_text(TUNE)
    (music / "4.mid").write_bytes(b"MThd")
    return music


def everything(folder: Path) -> tuple[list[Score | Reject], Counter[str]]:
    files = MusicFiles(find_music_files([folder]), Reading())
    return list(files), files.notes


def test_what_the_cache_gives_is_what_was_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, notes = everything(folder)
    kept = list((folder.parent / "cache" / "music").iterdir())
    assert len(kept) == 5
    monkeypatch.setattr(module, "parse", None)  # nothing is parsed again
    second, notes_again = everything(folder)
    assert notes == notes_again
    assert [type(item) for item in first] == [type(item) for item in second] == [Score] * 4 + [Reject]
    for a, b in zip(first, second, strict=True):
        if isinstance(a, Score) and isinstance(b, Score):
            assert GridTokenizer().same(a, b)
            assert (a.place, a.tracks, dict(a.labels), a.group) == (b.place, b.tracks, dict(b.labels), b.group)
            assert a.notes.dtype == b.notes.dtype == np.int64
        else:
            assert a == b


def test_a_changed_file_and_a_damaged_entry_are_read_anew(folder: Path) -> None:
    everything(folder)
    kept = folder.parent / "cache" / "music"
    (folder / "0.mid").write_bytes(midi_bytes([chorale(7, 3)]))
    for path in kept.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    found, _ = everything(folder)
    assert isinstance(found[0], Score)
    assert np.array_equal(found[0].notes[:, 2], chorale(7, 3).notes[:, 2])
    assert len(list(kept.iterdir())) == 6


@pytest.mark.slow
def test_processes_read_what_this_one_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found, _ = everything(folder)
    assert len(list((folder.parent / "cache" / "music").iterdir())) == 5
    assert [type(item) for item in found] == [Score] * 4 + [Reject]
