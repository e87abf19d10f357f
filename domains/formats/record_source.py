"""What sources of Bio.SeqRecord share, over files or a published data set: a half of `core.ingest.RecordSource`.

A domain adds what its letters are and what it does with a record on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from Bio.SeqRecord import SeqRecord

from domains.formats.package_data import Package
from domains.formats.seq_record import Place, annotation, letters_of, make_record, name_of

_SIDES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_SIDE_OF = {said: side for side, names in _SIDES.items() for said in names}


@dataclass(frozen=True)
class PublishedData:
    """What the name of a data set stands for."""

    what: str
    """One line for reports."""
    package: Package
    members: Mapping[str, str]
    """Path inside the package to sha256 in hex."""
    licence: str
    citation: str
    split: Mapping[str, Any]
    """Values of `core.split.SplitConfig` that keep the test part honest."""


class Files(Protocol):
    """Readers of several files, which count what they read."""

    @property
    def paths(self) -> list[Path]: ...

    @property
    def records_in(self) -> int: ...

    @property
    def bytes_read(self) -> int: ...

    @property
    def total_bytes(self) -> int: ...


class SplitColumns(Protocol):
    """Settings that name table columns which say how to split."""

    @property
    def split_column(self) -> str | None: ...

    @property
    def group_column(self) -> str | None: ...

    @property
    def stamp_column(self) -> str | None: ...


def rule_of_columns(config: SplitColumns) -> str | None:
    """The split rule that a user's columns ask for; None where there are none."""
    for given, rule in (
        (config.split_column, "given"),
        (config.group_column, "group"),
        (config.stamp_column, "time"),
    ):
        if given:
            return rule
    return None


class SeqRecordSource:
    """Names, groups, sides, labels and places of records, and where they came from."""

    datasets: ClassVar[Mapping[str, PublishedData]]
    files: Any
    """A `Files` that gives SeqRecords and Rejects."""
    data: Any
    """The PublishedData, None for files of one's own."""

    @property
    def records_in(self) -> int:
        return int(self.files.records_in)

    @property
    def bytes_read(self) -> int:
        return int(self.files.bytes_read)

    @property
    def total_bytes(self) -> int:
        return int(self.files.total_bytes)

    @property
    def provenance(self) -> dict[str, Any]:
        paths: list[Path] = self.files.paths
        if self.data is None:
            sizes = {path.name: path.stat().st_size for path in paths}
            return {"what": "files of one's own", "where": list(sizes), "bytes": sum(sizes.values()), "licence": ""}
        used = [path.as_posix() for path in paths]
        return {
            "name": next(name for name, known in self.datasets.items() if known is self.data),
            "what": self.data.what,
            "where": str(self.data.package),
            "sha256": {m: d for m, d in self.data.members.items() if any(path.endswith(m) for path in used)},
            "licence": self.data.licence,
            "citation": self.data.citation,
        }

    def name(self, record: SeqRecord) -> str:
        return name_of(record)

    def piece(self, record: SeqRecord, start: int, stop: int) -> SeqRecord:
        """Letters [start, stop) under the same id, with their part of the letter annotations."""
        part = make_record(letters_of(record)[start:stop], name_of(record), record.description or "")
        part.annotations = record.annotations
        for name, values in record.letter_annotations.items():
            part.letter_annotations[name] = values[start:stop]
        return part

    def group(self, record: SeqRecord) -> str | None:
        group: str | None = annotation(record, "group")
        return group

    def split(self, record: SeqRecord) -> str | None:
        """train, validation or test, as a column or the data set says; as it stands where it is none of these."""
        said: str | None = annotation(record, "split")
        return None if said is None else _SIDE_OF.get(said.lower(), said)

    def stamp(self, record: SeqRecord) -> float | None:
        stamp: float | None = annotation(record, "stamp")
        return stamp

    def labels(self, record: SeqRecord) -> dict[str, Any]:
        return dict(annotation(record, "labels") or {})

    def place(self, record: SeqRecord) -> Place:
        """File, line and byte offset."""
        place: Place = annotation(record, "place") or ("", None, None)
        return place
