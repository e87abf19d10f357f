"""Files and objects that hold time series, as one stream of Series: which reader each needs, counts, and what is kept.

Preparing goes through a source up to three times; what was parsed is kept between passes where it is small.
"""

from __future__ import annotations

import glob
import lzma
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import write_bytes_durably
from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.columns import ColumnTable
from domains.formats.frame_columns import FrameConfig
from domains.formats.frames import PARQUET, FrameSeries, memory_table, read_frame
from domains.formats.pickled_frame import read_pickled_frame
from domains.formats.series import Series
from domains.formats.text import InputFile, missing
from domains.formats.tsf import read_tsf
from domains.formats.value_arrays import ArrayConfig, ArraySeries
from domains.time_series.source.config import SourceConfig

SUFFIXES = {
    "table": (".csv", ".tsv", ".txt", *PARQUET),
    "tsf": (".tsf",),
    "numpy": (".npy", ".npz"),
    "zarr": (".zarr",),
}
_KEEP = 50_000_000
"""Values of parsed series that are kept between passes: 400 MB; more are read again."""


@dataclass(frozen=True)
class SeriesInput:
    """One file, folder or object, and how it is read."""

    what: Any
    """A path, a pandas DataFrame, an array, or a list of Series."""
    frame: FrameConfig
    format: str = "auto"
    """Besides those of `SourceConfig`, "series" and, in published packages, "pickled"."""
    name: Callable[[str], str] = str
    """From the id in the file to the record's."""


def find_series_files(given: Any, config: SourceConfig) -> list[SeriesInput]:
    """The inputs behind files, folders, patterns and objects.

    Raises InputError where nothing is found or a format cannot be told.
    """
    if isinstance(given, str | Path) or not isinstance(given, list | tuple):
        given = [given]
    found: list[SeriesInput] = []
    objects: list[Series] = []
    for item in given:
        if isinstance(item, Series):
            objects.append(item)
        elif isinstance(item, str | Path):
            found += [
                SeriesInput(p, config.frame, format_of(p, config.format)) for p in _paths(Path(item).expanduser())
            ]
        elif isinstance(item, np.ndarray):
            found.append(SeriesInput(item, config.frame, "numpy"))
        elif hasattr(item, "columns") and hasattr(item, "iloc"):
            found.append(SeriesInput(item, config.frame, "table"))
        else:
            raise ConfigError(
                f"data.path: got a {type(item).__name__}", hint="Give files, a pandas DataFrame, arrays or Series."
            )
    if objects:
        found.append(SeriesInput(objects, config.frame, "series"))
    if not found:
        raise InputError("no file was given", hint="Give data.path=FILE, or data=NAME for a published data set.")
    return found


def _paths(path: Path) -> list[Path]:
    if path.is_dir() and not (path / "zarr.json").is_file() and not (path / ".zgroup").is_file():
        inside = sorted(p for p in path.rglob("*") if p.is_file() and _by_suffix(p))
        if not inside:
            endings = " ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
            raise InputError(f"folder {path} holds no file of time series", hint=f"Endings: {endings}.")
        return inside
    if path.exists() or not glob.has_magic(str(path)):
        if not path.exists():
            raise missing(path)
        return [path]
    matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
    if not matches:
        raise InputError(f"no file matches {path}")
    return matches


def format_of(path: Path, asked: str = "auto") -> str:
    """table, tsf, numpy or zarr. Raises InputError where the ending does not tell."""
    if asked != "auto":
        return asked
    kind = _by_suffix(path)
    if kind is None and path.is_dir():
        return "zarr"
    if kind is None:
        raise InputError(
            f"{path}: cannot tell its format from its ending", hint=f"Give data.format=, one of {', '.join(SUFFIXES)}."
        )
    return kind


def _by_suffix(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz").removesuffix(".xz")
    return next((kind for kind, endings in SUFFIXES.items() if name.endswith(endings)), None)


class SeriesFiles:
    """The series of several inputs in the order given; can be gone through again and again.

    `notes` counts what was unusual but readable, `records_in` the series that the readers counted, `bytes_read` how far
    the current pass is, in bytes on disk.
    """

    def __init__(self, inputs: Iterable[SeriesInput], config: SourceConfig) -> None:
        self.inputs = [replace(item, format=format_of(item.what)) if item.format == "auto" else item for item in inputs]
        self.config = config
        self.notes: Counter[str] = Counter()
        self.records_in = 0
        self.bytes_read = 0
        self._kept: list[Series | Reject] | None = None
        self._kept_notes: Counter[str] = Counter()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each input by its name."""
        return {_shown(item.what): _size(item.what) for item in self.inputs}

    @property
    def total_bytes(self) -> int:
        return sum(_size(item.what) for item in self.inputs)

    def __iter__(self) -> Iterator[Series | Reject]:
        if self._kept is not None:
            self.notes = Counter(self._kept_notes)
            self.bytes_read = self.total_bytes
            yield from self._kept
            return
        self.notes, self.records_in, self.bytes_read = Counter(), 0, 0
        kept: list[Series | Reject] | None = []
        room = _KEEP
        for item in self.inputs:
            for record in self._read(item):
                if isinstance(record, Series):
                    record.id = item.name(record.id)
                    room -= record.values.size + sum(map(len, (*record.known.values(), *record.past.values())))
                    kept = kept if room > 0 else None
                if kept is not None:
                    kept.append(record)
                yield record
            self.bytes_read += _size(item.what)
        self._kept, self._kept_notes = kept, Counter(self.notes)

    def _read(self, item: SeriesInput) -> Iterator[Series | Reject]:
        if item.format == "series":
            self.records_in += len(item.what)
            yield from (replace(series) for series in item.what)
        elif item.format == "table":
            table, notes = (
                read_frame(_unpacked(item.what), item.frame)
                if isinstance(item.what, Path)
                else (memory_table(item.what), Counter[str]())
            )
            self.notes.update(notes)
            yield from self._tabled(table, item.frame)
        elif item.format == "pickled":
            frame = read_pickled_frame(lzma.decompress(item.what.read_bytes()), str(item.what))
            yield from self._tabled(ColumnTable(frame, str(item.what), None, []), item.frame)
        elif item.format == "tsf":
            file = InputFile(item.what, "a Monash .tsf file")
            before = self.records_in
            for record in read_tsf(file, self.notes):
                self.records_in = before + file.records + 1
                yield record
            self.records_in = before + file.records
            self.notes.update(file.notes)
        else:
            arrays = ArraySeries(item.what, ArrayConfig(self.config.variable, item.frame), self.notes)
            self.records_in += arrays.records
            yield from arrays

    def _tabled(self, table: ColumnTable, frame: FrameConfig) -> Iterator[Series | Reject]:
        series = FrameSeries(table, frame, self.notes)
        self.records_in += series.records
        yield from series


def _unpacked(path: Path) -> Path:
    """The file itself; of an .xz file what is in it, kept beside it. Raises InputError where it is damaged."""
    if path.suffix != ".xz":
        return path
    plain = path.with_suffix("")
    if not plain.is_file():
        try:
            write_bytes_durably(plain, lzma.decompress(path.read_bytes()))
        except (lzma.LZMAError, EOFError) as error:
            raise InputError(
                f"{path}: its xz stream is damaged ({error})", hint="Copy or download it again."
            ) from error
    return plain


def _size(what: Any) -> int:
    if isinstance(what, Path):
        return sum(p.stat().st_size for p in what.rglob("*") if p.is_file()) if what.is_dir() else what.stat().st_size
    if isinstance(what, list):
        return sum(series.values.nbytes for series in what)
    return int(what.nbytes) if isinstance(what, np.ndarray) else int(what.memory_usage(index=True).sum())


def _shown(what: Any) -> str:
    return what.name if isinstance(what, Path) else f"a {type(what).__name__} in memory"
