"""What sources over files or a published data set share, those of Bio.SeqRecord above all: a half of
`core.ingest.RecordSource`.

A domain adds what its letters are and what it does with a record on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, nearest
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


def files_given(
    data: str | None, path: Iterable[Path | str] | Path | str | None, datasets: Mapping[str, Any], what: str
) -> list[Path | str] | None:
    """The files, folders and patterns of one's own; None where the data set `data` is asked for, which there is then.

    Args:
        what: whose data sets they are, in the plural.

    Raises ConfigError where neither or both are given, and for an unknown name, with the nearest.
    """
    if (data is None) == (path is None):
        raise ConfigError("give either data=NAME or data.path=FILES", hint=f"Names: {', '.join(datasets)}.")
    if data is None:
        return [path] if isinstance(path, Path | str) else list(path or ())
    if data not in datasets:
        raise ConfigError(
            f"there is no data set of {what} '{data}'{nearest(data, datasets)}",
            hint=f"Known: {', '.join(datasets)}; files of your own are given with data.path=FILES.",
        )
    return None


def refuse_file_keys(config: Any, data: str, keys: Iterable[str]) -> None:
    """Raises ConfigError where one of `keys`, which say how files are read, is not as `config` has it by default: a
    data set is read as it was published."""
    usual = type(config)()
    for key in keys:
        if getattr(config, key) != getattr(usual, key):
            raise ConfigError(f"data.{key} is for files of your own; '{data}' is read as it was published")


def side_of(said: str | None) -> str | None:
    """train, validation or test, as a column or the data set says; as it stands where it is none of these."""
    return None if said is None else _SIDE_OF.get(said.lower(), said)


class FileSource:
    """How much was read, and where it came from."""

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

    def files_apart(self) -> list[Path]:
        """The files, each of which can be read by itself."""
        if self.data is not None:
            raise ConfigError("a published data set is prepared by one process", hint="Use launcher=inprocess.")
        self._all_files = (list(self.files.paths), list(self.files.formats))
        return self._all_files[0]

    def restrict(self, start: int, stop: int) -> None:
        """From now on the records of these files alone; `files_apart` has been asked."""
        self.files.paths, self.files.formats = (of_all[start:stop] for of_all in self._all_files)

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


class SeqRecordSource(FileSource):
    """Names, groups, sides, labels and places of records as well."""

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
        """See `side_of`."""
        return side_of(annotation(record, "split"))

    def stamp(self, record: SeqRecord) -> float | None:
        stamp: float | None = annotation(record, "stamp")
        return stamp

    def labels(self, record: SeqRecord) -> dict[str, Any]:
        return dict(annotation(record, "labels") or {})

    def place(self, record: SeqRecord) -> Place:
        """File, line and byte offset."""
        place: Place = annotation(record, "place") or ("", None, None)
        return place
