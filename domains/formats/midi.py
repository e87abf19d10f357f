"""Standard MIDI Files as Scores, read event by event, so that what is wrong is named with its track and byte.

Formats 0, 1 and 2 (each track of a format 2 file is a piece of its own). A track of the score is one channel of one
track of the file; a note has the program that its channel had when it began; channel 10 are drums. Pedals, bends and
other controllers are not notes: they are left out and counted. Standard MIDI Files 1.0 (MMA RP-001).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from core.errors import RecordError
from domains.formats.score import Score, in_order, no_rows

PIECE_MARK = "piece: "
"""A marker that begins so stands where the next of several pieces of one file starts; our writer sets them."""
_DRUM_CHANNEL = 9
_MAX_TICK = 2**31
"""Ticks in a row: at 480 a quarter and 120 a minute, 600 hours."""
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_LEFT_OUT = {0xA: "aftertouch", 0xB: "controller changes", 0xD: "aftertouch", 0xE: "pitch bends"}
_PEDAL = 64
_TEXT, _MARKER, _END, _TEMPO, _METRE, _KEY = 0x03, 0x06, 0x2F, 0x51, 0x58, 0x59


def read_midi(path: Path | str, notes: Counter[str] | None = None, *, repair: bool = False) -> list[Score]:
    """The pieces in a MIDI file: one, or one for each marker `piece: ` or each track of format 2.

    Args:
        notes: where what was left out or unusual is counted.
        repair: notes that never end are ended with their track, ends of notes that never began are passed over, a
            missing end of track is taken for one. All of it is counted. False refuses such files.

    Raises RecordError, its position a byte offset: empty_file, not_midi, bad_header, bad_division, smpte_division,
    truncated, bad_event, bad_tempo, bad_metre, hanging_note, note_off_without_on, no_end_of_track, no_notes.
    """
    path = Path(path)
    return parse_midi(path.read_bytes(), path.name, notes, repair=repair)


def parse_midi(data: bytes, name: str, notes: Counter[str] | None = None, *, repair: bool = False) -> list[Score]:
    """The same of bytes; `name` stands in errors and becomes the id, without its ending."""
    return _File(data, name, Counter() if notes is None else notes, repair).scores()


@dataclass
class _Track:
    """What one chunk holds, or what several of them hold together."""

    notes: list[tuple[int, int, int, int, int, int, int]] = field(default_factory=list)
    """(onset, duration, pitch, velocity, program or -1, channel, chunk)"""
    tempos: dict[int, int] = field(default_factory=dict)
    metres: dict[int, tuple[int, int]] = field(default_factory=dict)
    keys: dict[int, tuple[int, int]] = field(default_factory=dict)
    marks: list[tuple[int, str]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    programs: dict[int, int] = field(default_factory=dict)
    """The first program of each channel."""


class _File:
    def __init__(self, data: bytes, name: str, counted: Counter[str], repair: bool) -> None:
        self.data, self.name, self.counted, self.repair = data, name, counted, repair
        self.left: Counter[str] = Counter()

    def scores(self) -> list[Score]:
        data = self.data
        if not data:
            self._refuse("empty_file", "is empty", 0)
        if data[:4] != b"MThd":
            self._refuse("not_midi", f"begins with {data[:4]!r}, a MIDI file with b'MThd'", 0)
        size = int.from_bytes(data[4:8], "big")
        if len(data) < 14 or size < 6:
            self._refuse("bad_header", f"its header has {max(0, len(data) - 8)} of at least 6 bytes", 4)
        kind, count, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
        if kind > 2:
            self._refuse("bad_header", f"is of format {kind}, expected 0, 1 or 2", 8)
        if division & 0x8000:
            self._refuse("smpte_division", "counts time in film frames (SMPTE); expected ticks a quarter note", 12)
        if division == 0:
            self._refuse("bad_division", "has 0 ticks a quarter note", 12)
        chunks = list(self._chunks(8 + size))
        if not chunks:
            self._refuse("no_notes", "has a header and no track", 8 + size)
        if len(chunks) != count:
            self.left["headers that count other tracks than there are"] += 1
        found = _Track()
        pieces: list[Score] = []
        for number, (start, stop) in enumerate(chunks):
            if kind == 2:
                found = _Track()
            self._events(start, stop, number, found)
            if kind == 2 and found.notes:
                pieces.append(self._score(found, division, f"{Path(self.name).stem}.{number + 1}"))
        if kind != 2 and found.notes:
            pieces = self._pieces(found, division)
        if not pieces:
            self._refuse("no_notes", "has no notes", 14)
        self.counted.update(self.left)
        return pieces

    def _chunks(self, at: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of the events of each track."""
        data = self.data
        while at < len(data):
            if len(data) - at < 8:
                self._refuse(
                    "truncated", f"ends inside a chunk's header, {len(data) - at} bytes after the last chunk", at
                )
            kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
            stop = at + 8 + size
            if kind == b"MTrk":
                if stop > len(data):
                    self._refuse(
                        "truncated", f"a track says it has {size:,} bytes, {len(data) - at - 8:,} are left", at + 4
                    )
                yield at + 8, stop
            elif not kind.isalnum():
                self._refuse(
                    "bad_event", f"expected a chunk, found {kind!r}: the track before it has a wrong length", at
                )
            else:
                self.left["chunks of unknown kind left out"] += 1
            at = stop

    def _events(self, at: int, stop: int, chunk: int, found: _Track) -> None:
        data = self.data
        tick, status = 0, 0
        sounding: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        programs: dict[int, int] = {}
        ended = False
        while at < stop and not ended:
            begin = at
            wait, at = self._number(at, stop, chunk)
            tick += wait
            if tick > _MAX_TICK:
                self._refuse("bad_event", f"track {chunk + 1}: its time runs to {tick:,} ticks", begin)
            if at >= stop:
                self._refuse("truncated", f"track {chunk + 1} ends inside an event", begin)
            byte = data[at]
            if byte >= 0xF0:
                at += 1
                status = 0
                if byte == 0xFF:
                    if at >= stop:
                        self._refuse("truncated", f"track {chunk + 1} ends inside an event", begin)
                    kind = data[at]
                    size, at = self._number(at + 1, stop, chunk)
                    if at + size > stop:
                        self._refuse(
                            "truncated", f"track {chunk + 1} ends inside a meta event of {size:,} bytes", begin
                        )
                    self._meta(kind, data[at : at + size], tick, chunk, found, begin)
                    ended = kind == _END
                elif byte in (0xF0, 0xF7):
                    size, at = self._number(at, stop, chunk)
                    if at + size > stop:
                        self._refuse("truncated", f"track {chunk + 1} ends inside a system message", begin)
                    self.left["system messages left out"] += 1
                else:
                    self._refuse("bad_event", f"track {chunk + 1}: byte {byte:#x} begins no event", begin)
                at += size
                continue
            if byte >= 0x80:
                status = byte
                at += 1
            elif not status:
                self._refuse("bad_event", f"track {chunk + 1}: a data byte where an event should begin", begin)
            kind, channel = status >> 4, status & 15
            size = _DATA_BYTES[kind]
            if at + size > stop:
                self._refuse("truncated", f"track {chunk + 1} ends inside an event", begin)
            first, second = data[at], data[at + size - 1]
            if (first | second) & 0x80:
                self._refuse("bad_event", f"track {chunk + 1}: event {status:#x} has the data {first} {second}", begin)
            at += size
            if kind == 0x9 and second:
                sounding[channel, first].append((tick, second, programs.get(channel, -1)))
            elif kind in (0x8, 0x9):
                waiting = sounding.get((channel, first))
                if waiting:
                    onset, velocity, program = waiting.pop(0)
                    if tick == onset:
                        self.left["notes without length given one tick"] += 1
                    found.notes.append((onset, max(1, tick - onset), first, velocity, program, channel, chunk))
                elif self.repair:
                    self.left["ends of notes that never began"] += 1
                else:
                    self._refuse(
                        "note_off_without_on",
                        f"track {chunk + 1}, tick {tick:,}: pitch {first} of channel {channel + 1} ends, never began",
                        begin,
                    )
            elif kind == 0xC:
                programs[channel] = first
                found.programs.setdefault(channel, first)
            else:
                pedal = kind == 0xB and first == _PEDAL
                self.left[f"{'pedal changes' if pedal else _LEFT_OUT[kind]} left out"] += 1
        for (channel, pitch), waiting in sounding.items():
            for onset, velocity, program in waiting:
                if not self.repair:
                    self._refuse(
                        "hanging_note",
                        f"track {chunk + 1}: pitch {pitch} of channel {channel + 1} begins at tick {onset:,} and never "
                        "ends",
                        stop,
                    )
                self.left["notes that never end, ended with their track"] += 1
                found.notes.append((onset, max(1, tick - onset), pitch, velocity, program, channel, chunk))
        if not ended:
            if not self.repair:
                self._refuse("no_end_of_track", f"track {chunk + 1} has no end-of-track event", stop)
            self.left["tracks without an end-of-track event"] += 1

    def _meta(self, kind: int, data: bytes, tick: int, chunk: int, found: _Track, at: int) -> None:
        if kind == _TEMPO:
            tempo = int.from_bytes(data[:3], "big")
            if len(data) < 3 or tempo == 0:
                self._refuse("bad_tempo", f"track {chunk + 1}, tick {tick:,}: a quarter note of 0 microseconds", at)
            found.tempos[tick] = tempo
        elif kind == _METRE:
            if len(data) < 2 or data[0] == 0 or data[1] > 7:
                self._refuse("bad_metre", f"track {chunk + 1}, tick {tick:,}: the metre {data[:2].hex(' ')}", at)
            found.metres[tick] = (data[0], 2 ** data[1])
        elif kind == _KEY and len(data) >= 2:
            found.keys[tick] = (int.from_bytes(data[:1], "big", signed=True), data[1] & 1)
        elif kind == _TEXT and data:
            found.names.setdefault(chunk, _spelled(data))
        elif kind == _MARKER:
            found.marks.append((tick, _spelled(data)))

    def _number(self, at: int, stop: int, chunk: int) -> tuple[int, int]:
        """A number of variable length at `at`, and where it ends."""
        value = 0
        for place in range(at, min(at + 4, stop)):
            value = value << 7 | self.data[place] & 0x7F
            if self.data[place] < 0x80:
                return value, place + 1
        return self._refuse(
            "truncated" if at + 4 >= stop else "bad_event",
            f"track {chunk + 1}: a number of variable length does not end",
            at,
        )

    def _pieces(self, found: _Track, tpq: int) -> list[Score]:
        """The pieces between our writer's marks; the whole where there are none."""
        marks = [
            (tick, text.removeprefix(PIECE_MARK).split(" ")[0]) for tick, text in found.marks if PIECE_MARK in text
        ]
        if not marks:
            return [self._score(found, tpq, Path(self.name).stem)]
        pieces = []
        for (start, name), (stop, _) in zip(marks, [*marks[1:], (2 * _MAX_TICK, "")], strict=True):
            part = _Track(names=found.names, programs=found.programs)
            part.notes = [(n[0] - start, *n[1:]) for n in found.notes if start <= n[0] < stop]
            for what in ("tempos", "metres", "keys"):
                inside = {t - start: v for t, v in getattr(found, what).items() if start <= t < stop}
                setattr(part, what, inside)
            if part.notes:
                pieces.append(self._score(part, tpq, name))
        return pieces

    def _score(self, found: _Track, tpq: int, name: str) -> Score:
        places = sorted({(chunk, channel) for *_, channel, chunk in found.notes})
        track_of = {place: number for number, place in enumerate(places)}
        rows = [
            (
                onset, length, pitch, velocity,
                program if program >= 0 else found.programs.get(channel, 0),
                track_of[chunk, channel],
                int(channel == _DRUM_CHANNEL),
            )
            for onset, length, pitch, velocity, program, channel, chunk in found.notes
        ]  # fmt: skip

        def table(values: dict[int, tuple[int, ...]], width: int) -> np.ndarray:
            listed = [(tick, *value) for tick, value in sorted(values.items())]
            return np.array(listed, np.int64) if listed else no_rows(width)

        return Score(
            name,
            tpq,
            in_order(rows),
            table({t: (v,) for t, v in found.tempos.items()}, 2),
            table(dict(found.metres), 3),
            table(dict(found.keys), 3),
            tuple(found.names.get(chunk, "") for chunk, _ in places),
        )

    def _refuse(self, reason: str, message: str, at: int) -> NoReturn:
        raise RecordError(reason, f"{self.name}, byte {at:,}: {message}", record=Path(self.name).stem, position=at)


def _spelled(data: bytes) -> str:
    """Text of a file that does not say how it is encoded: UTF-8 where it is that, else Latin-1, which never fails."""
    try:
        return data.decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return data.decode("latin-1").strip("\0 ")
