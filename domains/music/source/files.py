"""Files of music, one after the other, whatever their format: Scores, or the Reject that stands for one.

MIDI and MusicXML hold a piece a file, ABC many tunes. A file that cannot be read is one reject, and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from core.errors import ConfigError, InputError, RecordError, nearest
from core.rejects import Reject
from domains.formats.find_files import by_suffix, find_files
from domains.formats.score import TRACK, Score
from domains.music.source.parsed import parsed

SUFFIXES = {
    "midi": (".mid", ".midi", ".kar", ".smf"),
    "musicxml": (".musicxml", ".xml", ".mxl"),
    "abc": (".abc",),
    "kern": (".krn",),
}


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    format: str = "auto"
    """midi, musicxml, abc or kern for all files; "auto" tells by each file."""
    parts: tuple[str, ...] = ()
    """The parts of a score that are kept, in this order, by the beginning of their names in any case; empty for all."""
    repair: bool = False
    """Read MIDI files with notes that never end, ends of notes that never began or no end of track; all counted."""

    def __post_init__(self) -> None:
        allowed = ("auto", *SUFFIXES)
        if self.format not in allowed:
            raise ConfigError(
                f"data.format={self.format!r} is not allowed{nearest(self.format, allowed)}",
                hint=f"Allowed: {', '.join(allowed)}.",
            )


def find_music_files(paths: Iterable[Path | str]) -> list[Path]:
    """The files behind files, folders and patterns. Raises InputError where nothing is found."""
    return find_files(paths, SUFFIXES, "file of music")


class MusicFiles:
    """Scores and Rejects of several files, in order; what was read is counted."""

    def __init__(self, paths: Sequence[Path], reading: Reading) -> None:
        self.paths, self.reading = list(paths), reading
        self.notes: Counter[str] = Counter()
        self.records_in = 0
        self.bytes_read = 0

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @cached_property
    def kinds(self) -> set[str]:
        """Which formats there are among the files."""
        return {self._kind(path) for path in self.paths}

    def __iter__(self) -> Iterator[Score | Reject]:
        self.notes.clear()
        self.records_in = self.bytes_read = 0
        kinds = [self._kind(path) for path in self.paths]
        for path, (items, notes) in zip(self.paths, parsed(self.paths, kinds, repair=self.reading.repair), strict=True):
            before = self.bytes_read
            self.notes.update(notes)
            for item in items:
                index = self.records_in
                self.records_in += 1
                if isinstance(item, Reject):
                    yield replace(item, index=index)
                    continue
                try:
                    yield self._kept(item)
                except RecordError as error:
                    file, line, offset = item.place
                    yield Reject(file, index, item.id, line, offset, error.reason, error.message)
            self.bytes_read = before + path.stat().st_size

    def _kind(self, path: Path) -> str:
        kind = by_suffix(path, SUFFIXES) if self.reading.format == "auto" else self.reading.format
        if kind is None:
            known = " ".join(suffix for endings in SUFFIXES.values() for suffix in endings)
            raise InputError(
                f"{path}: its ending does not say which music it holds",
                hint=f"Known: {known}; or say data.format=midi, musicxml, abc or kern.",
            )
        return kind

    def _kept(self, score: Score) -> Score:
        """The score with the parts asked for. Raises RecordError where it has none, or several, of one."""
        wanted = self.reading.parts
        if not wanted:
            return score
        chosen = []
        for name in wanted:
            found = [i for i, track in enumerate(score.tracks) if track.strip().lower().startswith(name.lower())]
            if len(found) != 1:
                raise RecordError(
                    "parts_missing",
                    f"'{score.id}' has {len(found)} parts called '{name}', expected 1; its parts are "
                    f"{', '.join(track or '(no name)' for track in score.tracks)}",
                    record=score.id,
                )
            chosen.append(found[0])
        left = len(score.tracks) - len(chosen)
        if left:
            self.notes["parts left out"] += left
        number = np.full(len(score.tracks), -1)
        number[chosen] = np.arange(len(chosen))
        notes = score.notes[number[score.notes[:, TRACK]] >= 0].copy()
        notes[:, TRACK] = number[notes[:, TRACK]]
        return replace(score, notes=notes, tracks=tuple(wanted))
