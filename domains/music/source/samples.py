"""Sampled music as files: MIDI for scores, and beside it the text of tunes in ABC.

One MIDI file holds all samples one after the other, each begun by a marker with its name and likelihood, so that a
player plays them in turn; the folder beside it has a file for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from core.durable import resources_named, write_bytes_durably
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score


def write_samples(path: Path | str, records: Iterable[Score], nats: Iterable[float] | None = None) -> int:
    """Writes `records` and says how many there were.

    `path` is the MIDI file of all; `path` without its ending is the folder with a file for each; tunes are also written
    as ABC, `path` with the ending .abc. Ids are kept, empty ones become sample_1, sample_2 ...

    Args:
        nats: each record's negative log-likelihood, EOS included where it was predicted.

    Raises ResourceError where the files cannot be written, ValueError where `nats` are fewer or more than the records.
    """
    path = Path(path)
    listed = [replace(r, id=r.id or f"sample_{i}") for i, r in enumerate(records, 1)]
    likelihoods = [None] * len(listed) if nats is None else list(nats)
    marks = [
        score.id.replace(" ", "_") + ("" if nll is None else f" nats={nll:.6g} notes={len(score.notes)}")
        for score, nll in zip(listed, likelihoods, strict=True)
    ]
    folder = path.with_suffix("")
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    sounding = [(score, mark) for score, mark in zip(listed, marks, strict=True) if len(score.notes)]
    tunes = [(score, mark) for score, mark in zip(listed, marks, strict=True) if score.text]
    if sounding:
        write_bytes_durably(path, midi_bytes([s for s, _ in sounding], [m for _, m in sounding]))
    for number, score in enumerate(listed, 1):
        if score.data:
            write_bytes_durably(folder / f"{number}{'.mid' if score.data[:4] == b'MThd' else '.bin'}", score.data)
        elif len(score.notes):
            write_bytes_durably(folder / f"{number}.mid", midi_bytes([score]))
    if tunes:
        texts = [f"X:{n}\nT:{mark}\n{score.text}\n" for n, (score, mark) in enumerate(tunes, 1)]
        write_bytes_durably(path.with_suffix(".abc"), "\n".join(texts).encode())
    return len(listed)
