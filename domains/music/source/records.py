"""Music as counted ingestion wants it: a `RecordSource` of Scores over files or a published data set.

What duplicates and families are looked for in are intervals, one a note, so that a melody is the same in every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError
from core.rejects import Reject
from domains.formats.package_data import fetch_members
from domains.formats.record_source import files_given, refuse_file_keys
from domains.formats.score import ONSET, PITCH, TRACK, Place, Score
from domains.music.source.datasets import DATASETS, MELODIES, DataSet
from domains.music.source.files import MusicFiles, Reading, find_music_files

UNISON, WIDEST = 64, 24
"""The letter of a repeated pitch ('@'; 'A' is a semitone up, '?' one down), and the interval from which on all are
alike."""


@dataclass(frozen=True)
class SourceConfig:
    """How files are read."""

    format: str = "auto"
    """midi, musicxml, abc or kern for all files; "auto" tells by each file."""
    parts: tuple[str, ...] = ()
    """The parts of a score that are kept, in this order: data.parts=[soprano,alto,tenor,bass]. Empty for all."""
    repair: bool = False
    """Read MIDI files with notes that never end (they end with their track), ends of notes that never began (passed
    over) or no end of track; each is counted. false: such a file is a reject."""

    def __post_init__(self) -> None:
        Reading(self.format, self.parts, self.repair)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one."""
        values = dict(options)
        if "parts" in values:
            given = values["parts"]
            values["parts"] = (given,) if isinstance(given, str) else tuple(given or ())
        return from_keys(cls, values, "data")


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> MusicSource:
    """A source of Scores: the published data set `data`, or the files at `path`.

    Args:
        data: a name of DATASETS; fetched into the cache where it is not there yet.
        path: files, folders or patterns; one or several.
        options: the fields of SourceConfig.

    Raises:
        ConfigError: neither or both are given, or an unknown name or option (the nearest is shown).
        InputError: no such file, or its format cannot be told.
        ResourceError: the data set cannot be reached.
        IntegrityError: what was fetched is not what is pinned.
    """
    config = SourceConfig.from_options(options)
    given = files_given(data, path, DATASETS, "music")
    if given is not None or data is None:
        files = MusicFiles(find_music_files(given or []), Reading(config.format, config.parts, config.repair))
        return MusicSource(files)
    refuse_file_keys(config, data, (f.name for f in fields(config)))
    known = DATASETS[data]
    paths = list(fetch_members(known.package, known.members).values())
    return MusicSource(MusicFiles(paths, Reading(parts=known.parts, repair=known.repair)), known)


def intervals(score: Score) -> NDArray[np.uint8]:
    """(N,) of each note the interval from the note before it in its track, from 0 (24 semitones down or more) to 48; a
    unison, 24, for the first of a track. The same in every key.
    """
    notes = score.notes
    notes = notes[np.lexsort((-notes[:, PITCH], notes[:, ONSET], notes[:, TRACK]))]
    steps = np.diff(notes[:, PITCH], prepend=notes[:1, PITCH])
    steps[np.diff(notes[:, TRACK], prepend=-1) != 0] = 0
    return (WIDEST + np.clip(steps, -WIDEST, WIDEST)).astype(np.uint8)


class MusicSource:
    """Scores with their letters, groups, labels and places; a `core.ingest.RecordSource`."""

    canonical_letters = ""
    letters_are_keys = True
    own_labels = ("title", "rhythm")
    remedies: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("hanging_note", "note_off_without_on", "no_end_of_track"),
        "data.repair=true reads MIDI files whose notes never end, or end and never began, and counts these notes.",
    )

    def __init__(self, files: MusicFiles, data: DataSet | None = None) -> None:
        self.files, self.data = files, data

    def __iter__(self) -> Iterator[Score | Reject]:
        sides = self.data.sides if self.data is not None else {}
        for item in self.files:
            yield item if isinstance(item, Reject) or not sides else replace(item, side=sides.get(item.id))

    def files_apart(self) -> list[Path]:
        """The files, each of which can be read by itself."""
        if self.data is not None:
            raise ConfigError("a published data set is prepared by one process", hint="Use launcher=inprocess.")
        self._all_files, _ = list(self.files.paths), self.files.kinds  # labels go by the kinds of all of them
        return self._all_files

    def restrict(self, start: int, stop: int) -> None:
        """From now on the scores of these files alone; `files_apart` has been asked."""
        self.files.paths = self._all_files[start:stop]

    @property
    def records_in(self) -> int:
        return self.files.records_in

    @property
    def bytes_read(self) -> int:
        return self.files.bytes_read

    @property
    def total_bytes(self) -> int:
        return self.files.total_bytes

    @property
    def notes(self) -> dict[str, int]:
        """What was unusual but readable in the current pass, with how often."""
        return {what: n for what, n in self.files.notes.items() if n}

    @property
    def suggested_split(self) -> dict[str, Any]:
        """The data set's own; of files of one's own, families of melodies."""
        return dict(self.data.split if self.data is not None else MELODIES)

    @property
    def provenance(self) -> dict[str, Any]:
        paths = self.files.paths
        if self.data is None:
            sizes = {path.name: path.stat().st_size for path in paths}
            return {"what": "files of one's own", "where": list(sizes), "bytes": sum(sizes.values()), "licence": ""}
        return {
            "name": next(name for name, known in DATASETS.items() if known is self.data),
            "what": self.data.what,
            "where": str(self.data.package),
            "sha256": dict(self.data.members),
            "licence": self.data.licence,
            "citation": self.data.citation,
        }

    def name(self, record: Score) -> str:
        return record.id

    def letters(self, record: Score) -> NDArray[np.uint8]:
        """(N,) one a note: the interval from the note before it in its track, the first note's is a unison."""
        return (intervals(record) + (UNISON - WIDEST)).astype(np.uint8)

    def piece(self, record: Score, start: int, stop: int) -> Score:
        """Notes [start, stop) in the order of onset."""
        return replace(record, notes=record.notes[start:stop], text="", data=b"")

    def group(self, record: Score) -> str | None:
        return record.group

    def split(self, record: Score) -> str | None:
        return record.side

    def stamp(self, record: Score) -> None:
        return None

    def labels(self, record: Score) -> dict[str, Any]:
        """Title and rhythm of tunes; nothing where there are other files among them: a store has one set of labels."""
        return dict(record.labels) if self.files.kinds == {"abc"} else {}

    def place(self, record: Score) -> Place:
        return record.place
