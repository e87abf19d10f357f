"""Scores as a Standard MIDI File of format 1: one track of tempi, metres and marks, then one for each track of notes.

Several scores follow each other in one file, each begun by a marker that `domains.formats.midi` knows, so that reading
gives them back one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.errors import InputError
from domains.formats.midi import PIECE_MARK
from domains.formats.score import DRUM, DURATION, ONSET, PITCH, PROGRAM, TEMPO_USUAL, TRACK, VELOCITY, Score

TPQ = 480
"""Ticks a quarter of a file of several pieces whose own do not go together."""
_PAUSE = 2
"""Quarters of silence between two pieces."""
_MAX_TPQ = 32_767
_DRUM_CHANNEL = 9
_CHANNELS = [c for c in range(16) if c != _DRUM_CHANNEL]
_OFF, _SET, _ON = range(3)
"""What stands first at a tick: ends of notes, then programs, then beginnings."""


def midi_bytes(scores: Sequence[Score], marks: Sequence[str] | None = None) -> bytes:
    """The file.

    Args:
        marks: a text for each score, which its marker begins with; given, or with more than one score, markers are set.

    Raises InputError for no score.
    """
    if not scores:
        raise InputError("there is no score to write")
    tpq = math.lcm(*(score.tpq for score in scores))
    if tpq > _MAX_TPQ:
        tpq = scores[0].tpq if len(scores) == 1 else TPQ
    while tpq < 96:  # sequencers draw and swing badly on a grid as coarse as the notes
        tpq *= 2
    marked = marks is not None or len(scores) > 1
    head: list[tuple[int, int, bytes]] = []
    tracks: dict[int, list[tuple[int, int, bytes]]] = {}
    start = 0
    for number, score in enumerate(scores):
        scale = tpq / score.tpq
        if marked:
            text = marks[number] if marks is not None else score.id.replace(" ", "_") or f"piece_{number + 1}"
            head.append((start, _OFF, _meta(0x06, (PIECE_MARK + text).encode())))
        tempos = score.tempos.tolist() or [[0, TEMPO_USUAL]]
        metres = [row for row in score.metres.tolist() if row[2] & (row[2] - 1) == 0 and row[1] < 256]
        head += [(start + round(t * scale), _SET, _meta(0x51, min(v, 2**24 - 1).to_bytes(3, "big"))) for t, v in tempos]
        head += [
            (start + round(t * scale), _SET, _meta(0x58, bytes([n, d.bit_length() - 1, 24, 8]))) for t, n, d in metres
        ]
        head += [
            (start + round(t * scale), _SET, _meta(0x59, f.to_bytes(1, "big", signed=True) + bytes([m])))
            for t, f, m in score.keys.tolist()
            if -7 <= f <= 7
        ]
        _add_notes(tracks, score, start, scale)
        beats = 4 * tpq if not len(metres) else 4 * tpq * metres[-1][1] // metres[-1][2]
        end = start + round(score.end * scale) + _PAUSE * tpq
        start += -(-(end - start) // max(1, beats)) * max(1, beats)
    names = {t: name for score in scores for t, name in enumerate(score.tracks)}
    chunks = [_chunk(head, "")] + [_chunk(events, names.get(t, "")) for t, events in sorted(tracks.items())]
    header = b"MThd" + (6).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(2, "big") for n in (1, len(chunks), tpq)) + b"".join(chunks)


def _add_notes(tracks: dict[int, list[tuple[int, int, bytes]]], score: Score, start: int, scale: float) -> None:
    """Events of a score's notes, each track on a channel of its own as far as there are channels."""
    notes = score.notes[np.lexsort((score.notes[:, PITCH], score.notes[:, ONSET]))]
    programs: dict[int, int] = {}
    for row in notes.tolist():
        track, drum = row[TRACK], row[DRUM]
        channel = _DRUM_CHANNEL if drum else _CHANNELS[track % len(_CHANNELS)]
        events = tracks.setdefault(track, [])
        onset = start + round(row[ONSET] * scale)
        stop = max(onset + 1, start + round((row[ONSET] + row[DURATION]) * scale))
        if programs.get(track) != row[PROGRAM]:
            programs[track] = row[PROGRAM]
            events.append((onset, _SET, bytes([0xC0 | channel, row[PROGRAM]])))
        events.append((onset, _ON, bytes([0x90 | channel, row[PITCH], min(127, max(1, row[VELOCITY]))])))
        events.append((stop, _OFF, bytes([0x80 | channel, row[PITCH], 0])))


def _chunk(events: list[tuple[int, int, bytes]], name: str) -> bytes:
    body = bytearray()
    if name:
        body += b"\0" + _meta(0x03, name.encode())
    last = 0
    for tick, _, event in sorted(events, key=lambda e: e[:2]):
        body += _varied(tick - last) + event
        last = tick
    body += b"\0" + _meta(0x2F, b"")
    return b"MTrk" + len(body).to_bytes(4, "big") + bytes(body)


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + _varied(len(data)) + data


def _varied(number: int) -> bytes:
    """A number of variable length, seven bits a byte."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))
