"""Sampled music as files: MIDI for scores, and beside it the text of tunes in ABC.

One MIDI file holds all samples one after the other, each begun by a marker with its name and likelihood, so that a
player plays them in turn; the folder beside it has a file for each. A name that ends in .wav makes sound of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.durable import resources_named, write_bytes_durably
from core.errors import ConfigError
from domains import samples_folder
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from domains.music.sound import RATE, Wave, render, write_wav

_MADE = re.compile(r"\d+\.(mid|wav|bin)")
_PAUSE = 0.5
"""Seconds between two samples."""
_LONGEST = 600.0
"""Seconds of one sample that are rendered."""


def write_samples(path: Path | str, records: Iterable[Score], nats: Iterable[float] | None = None) -> int:
    """Writes `records` and says how many there were.

    `path` is the file of all, .mid or .wav (half a second between two); `samples_folder(path)` has a file for each,
    which replace those of an earlier draw; tunes are also written as ABC, `path` with the ending .abc. Ids are kept,
    empty ones become sample_1, sample_2 ...

    Args:
        nats: each record's negative log-likelihood, EOS included where it was predicted.

    Raises ConfigError where the folder holds anything else than samples, ResourceError where the files cannot be
    written, ValueError where `nats` are fewer or more than the records.
    """
    path = Path(path)
    listed = [replace(r, id=r.id or f"sample_{i}") for i, r in enumerate(records, 1)]
    likelihoods = [None] * len(listed) if nats is None else list(nats)
    marks = [
        score.id.replace(" ", "_") + ("" if nll is None else f" nats={nll:.6g} notes={len(score.notes)}")
        for score, nll in zip(listed, likelihoods, strict=True)
    ]
    folder = _emptied(samples_folder(path))
    sounding = [(score, mark) for score, mark in zip(listed, marks, strict=True) if len(score.notes)]
    tunes = [(score, mark) for score, mark in zip(listed, marks, strict=True) if score.text]
    if path.suffix.lower() == ".wav":
        _write_sound(path, listed)
    elif sounding:
        write_bytes_durably(path, midi_bytes([s for s, _ in sounding], [m for _, m in sounding]))
    for number, score in enumerate(listed, 1):
        if score.data:
            write_bytes_durably(folder / f"{number}{'.mid' if score.data[:4] == b'MThd' else '.bin'}", score.data)
        elif len(score.notes) and path.suffix.lower() != ".wav":
            write_bytes_durably(folder / f"{number}.mid", midi_bytes([score]))
    if tunes:
        texts = [f"X:{n}\nT:{mark}\n{score.text}\n" for n, (score, mark) in enumerate(tunes, 1)]
        write_bytes_durably(path.with_suffix(".abc"), "\n".join(texts).encode())
    return len(listed)


def _emptied(folder: Path) -> Path:
    """The folder without the samples of an earlier draw. Raises ConfigError where it holds anything else."""
    with resources_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(folder.iterdir())
        if others := [path.name for path in found if not _MADE.fullmatch(path.name)]:
            raise ConfigError(
                f"{folder} is for samples, a file each, and holds {others[0]}", hint="Choose another name for out=."
            )
        for path in found:
            path.unlink()
    return folder


def _write_sound(path: Path, scores: list[Score]) -> None:
    """The scores that have notes as WAV, all in one and each in the folder."""
    pause = np.zeros(round(_PAUSE * RATE), np.float32)
    all_of_them: list[Wave] = []
    for number, score in enumerate(scores, 1):
        if len(score.notes):
            sound = render(score, max_seconds=_LONGEST)
            write_wav(samples_folder(path) / f"{number}.wav", sound)
            all_of_them += [pause, sound] if all_of_them else [sound]
    if all_of_them:
        write_wav(path, np.concatenate(all_of_them))
