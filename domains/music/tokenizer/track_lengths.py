"""MIDI files without the four bytes before each track that say how long it is.

A writer knows a length when the track is done; who writes a file from left to right must guess it before the first
note, and one wrong length makes a file unreadable. The track's own end-of-track event says the same thing, so the
length is left out here and written again from it (Standard MIDI Files 1.0, MIDI Manufacturers Association 1996).

Knows chunks, and events only as far as it takes to step over them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError

LENGTHS = ("told", "derived")
"""Whether the lengths of tracks are among the bytes, or are written from what follows them."""
_HEADER, _TRACK = b"MThd", b"MTrk"
_END_OF_TRACK = 0x2F
_META, _SYSEX, _SYSEX_ON = 0xFF, 0xF0, 0xF7
_ONE_DATA_BYTE = (0xC, 0xD)
"""Programs and channel pressure; other events of channels have two."""


def check_lengths(value: str) -> None:
    """Raises ConfigError for none of LENGTHS."""
    if value not in LENGTHS:
        raise ConfigError(f"lengths={value!r} is not allowed", hint=f"Allowed: {', '.join(LENGTHS)}.")


def without_lengths(data: bytes, name: str) -> bytes:
    """The bytes of a MIDI file without the lengths of its tracks; bytes that are none as they are.

    Raises RecordError for a file of which `with_lengths` would make another: a length that is not true, or a track
    that does not end as tracks do.
    """
    at = _first_chunk(data)
    parts = [data[:at]]
    while data[at : at + 4] == _TRACK and len(data) >= at + 8:
        stop = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        parts += [_TRACK, data[at + 8 : stop]]
        at = stop
    short = b"".join([*parts, data[at:]])
    again = with_lengths(short)
    if again != data:
        differs = (i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b)
        same = next(differs, min(len(again), len(data)))
        raise RecordError(
            "track_length",
            f"'{name}', byte {same:,}: a track is not as long as its chunk says, or does not end with its "
            "end-of-track event",
            record=name,
            position=same,
            hint="tokenizer.lengths=told keeps the lengths of files as they are.",
        )
    return short


def with_lengths(data: bytes) -> bytes:
    """The file of bytes without lengths: each track has the length up to its end-of-track event, or up to the end of
    `data` where it has none, so that any bytes make a file."""
    at = _first_chunk(data)
    parts = [data[:at]]
    while data[at : at + 4] == _TRACK:
        stop = _track_end(data, at + 4)
        parts += [_TRACK, (stop - at - 4).to_bytes(4, "big"), data[at + 4 : stop]]
        at = stop
    return b"".join([*parts, data[at:]])


def bytes_left_out(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T,) how many bytes of the file `without_lengths` left out behind each of the bytes `values` (T,): 4 behind the
    name of a track's chunk."""
    found = np.zeros(len(values))
    size = len(_TRACK)
    if len(values) >= size:
        rows = np.lib.stride_tricks.sliding_window_view(values, size)
        found[size - 1 :] = 4.0 * (rows == np.frombuffer(_TRACK, np.uint8)).all(axis=1)
    return found


def _first_chunk(data: bytes) -> int:
    """Where the header ends; the end of `data` where it is no MIDI file."""
    return min(len(data), 8 + int.from_bytes(data[4:8], "big")) if data[:4] == _HEADER else len(data)


def _track_end(data: bytes, at: int) -> int:
    """The byte behind the end-of-track event of the track whose events begin at `at`; the end of `data` for none."""
    status, stop = 0, len(data)
    while True:
        _, at = _number(data, at)
        if at >= stop:
            return stop
        byte = data[at]
        if byte == _META or byte in (_SYSEX, _SYSEX_ON):
            kind = data[at + 1] if byte == _META and at + 1 < stop else -1
            size, at = _number(data, at + (2 if byte == _META else 1))
            at += size
            if kind == _END_OF_TRACK:
                return min(at, stop)
            status = 0
        elif byte >= 0x80 or status:
            if byte >= 0x80:
                status, at = byte, at + 1
            at += 1 if status >> 4 in _ONE_DATA_BYTE else 2
        else:
            return stop
        if at >= stop:
            return stop


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length at `at`, and where it ends."""
    value = 0
    for place in range(at, min(at + 4, len(data))):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value, min(at + 4, len(data))
