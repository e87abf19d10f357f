"""Trajectories as counted ingestion wants them: a `core.ingest.RecordSource` over systems, series or files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.rejects import Reject
from domains.chaos.source.config import SourceConfig
from domains.chaos.source.dysts_systems import LICENCE, allowed
from domains.chaos.source.integrate import ATOL, METHOD, RTOL
from domains.chaos.source.lyapunov import rosenstein
from domains.chaos.source.made import Made, Wanted, make_all, trajectories
from domains.chaos.source.own_files import Columns, SeriesFiles, find_files
from domains.chaos.source.published import PUBLISHED, Published
from domains.chaos.source.sampling import TRANSIENT, SamplingConfig, described
from domains.chaos.source.trajectory import Trajectory

OWN, MANY = "own_system", "dysts"
DATASETS: dict[str, str] = {
    "lorenz63": "Lorenz 1963, three channels, 30 points a Lyapunov time",
    "rossler": "Rossler 1976, three channels",
    "lorenz96": "Lorenz 1996, ten channels in a ring",
    "henon": "Henon's map, two channels",
    "logistic": "the logistic map at r = 3.99",
    "ikeda": "Ikeda's map, two channels",
    "dysts": "many systems of the package dysts at once (or give the name of one of them)",
    "own_system": "equations of your own: data.system=my_system.py",
    "laser": "Santa Fe laser, 10,093 integers 0..255, measured",
    "ecg": "electrocardiogram, 108,000 samples, measured",
}
MUCH = 20_000
"""Points from which on processes of their own are worth their start."""
_SIDES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
_FEW = 10
"""Up to so many series of one's own are cut along time; more are dealt out whole."""
_MIX = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint64)
"""Odd multipliers of a hash (xxHash's primes), one a channel in turn."""


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> ChaosSource:
    """A source of Trajectories: a system by name, a published series, equations or files of one's own.

    Args:
        data: a name of DATASETS, or of a system of dysts that works.
        path: tables or .npy arrays: files, folders or patterns, one or several.
        options: the fields of SourceConfig.

    Raises:
        ConfigError: neither or both are given, an unknown name (the nearest is shown), or an option that is not known.
        InputError: no such file, a file of an unknown kind, or an own system that does not run.
        ResourceError, IntegrityError: a published series cannot be reached, or is not what is pinned.
    """
    config = SourceConfig.from_options(options)
    if data is None and path is None and config.system is not None:
        data = OWN
    if (data is None) == (path is None):
        raise ConfigError("give either data=NAME or data.path=FILES", hint=f"Names: {', '.join(DATASETS)}.")
    if (data == OWN) != (config.system is not None):
        raise ConfigError(f"data={OWN} and data.system=FILE.py belong together, got data={data}")
    if path is not None:
        given = [path] if isinstance(path, Path | str) else list(path)
        columns = Columns(config.id_column, config.time_column, config.split_column, config.channels)
        return FileSource(SeriesFiles(find_files(given), columns, config.dt), config)
    assert data is not None
    if data in PUBLISHED:
        return PublishedSource(data, PUBLISHED[data], config)
    return SystemSource(data, _wanted(data, config), config)


def _wanted(data: str, config: SourceConfig) -> list[tuple[Wanted, bool]]:
    """(system, held out) of a data set's name."""
    if data == OWN:
        own = Wanted(OWN, config.parameters, config.system)
        own.find()
        return [(own, False)]
    held_out = list(config.holdout_systems)
    if data == MANY:
        names = list(config.systems) or [n for n in allowed(config.dimension) if n not in held_out]
    elif config.systems:
        raise ConfigError(f"data.systems chooses among data={MANY}; data={data} is one system")
    else:
        names = [data]
    for name in set(names) & set(held_out):
        raise ConfigError(f"data.holdout_systems: '{name}' is trained on as well")
    if config.parameters and len(names) + len(held_out) > 1:
        raise ConfigError("data.parameters changes the parameters of one system, several are asked for")
    found = [(Wanted(name, config.parameters), name in held_out) for name in names + held_out]
    for wanted, _ in found:
        wanted.find()  # says now what is wrong with a name or a parameter, before anything is integrated
    return found


class ChaosSource:
    """What the sources share: letters for the leakage score, groups, splits, labels, the choice of channels."""

    suggested_split: Mapping[str, Any]
    provenance: Mapping[str, Any]
    total_bytes: int | None = None

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        self.records_in = 0
        self.bytes_read = 0
        self.notes: dict[str, int] = {}

    def __iter__(self) -> Iterator[Trajectory | Reject]:
        raise NotImplementedError

    def name(self, record: Trajectory) -> str:
        return record.id

    def letters(self, record: Trajectory) -> NDArray[np.uint8]:
        """(T,) one byte a step: a hash of its values in float32, so that copied stretches are found as copied text."""
        bits = np.ascontiguousarray(record.values, np.float32).view(np.uint32).astype(np.uint64)
        mixed = np.zeros(len(bits), np.uint64)
        for channel in range(bits.shape[1]):
            mixed = (mixed ^ bits[:, channel]) * _MIX[channel % len(_MIX)]
            mixed ^= mixed >> np.uint64(29)
        return (mixed >> np.uint64(17)).astype(np.uint8)

    def values(self, record: Trajectory) -> NDArray[np.float64]:
        """(T, C), NaN where missing."""
        return record.values

    def piece(self, record: Trajectory, start: int, stop: int) -> Trajectory:
        return record.part(start, stop)

    def group(self, record: Trajectory) -> str | None:
        return record.system or None

    def stamp(self, record: Trajectory) -> None:
        return None

    def split(self, record: Trajectory) -> str | None:
        return record.split

    def labels(self, record: Trajectory) -> dict[str, Any]:
        return record.labels()

    def place(self, record: Trajectory) -> tuple[str, int | None, int | None]:
        return record.place

    def _observed(self, record: Trajectory) -> Trajectory:
        """The chosen channels of a trajectory. Raises ConfigError for one that it does not have."""
        wanted = self.config.channels
        if not wanted or wanted == record.channels:
            return record
        for channel in wanted:
            if channel not in record.channels:
                raise ConfigError(
                    f"data.channels: '{record.id}' has no channel '{channel}'{nearest(channel, record.channels)}",
                    hint=f"Its channels: {', '.join(record.channels)}.",
                )
        kept = [record.channels.index(channel) for channel in wanted]
        return replace(record, values=record.values[:, kept], channels=wanted)


class SystemSource(ChaosSource):
    """Trajectories of one or several systems, integrated where the cache does not have them."""

    def __init__(self, name: str, wanted: list[tuple[Wanted, bool]], config: SourceConfig) -> None:
        super().__init__(config)
        self._name, self._wanted = name, wanted
        self.suggested_split = {"rule": "given", "validation": 0.0, "test": 0.0}
        self._facts: dict[str, Any] = {}
        self._digests: dict[str, str] = {}

    def __iter__(self) -> Iterator[Trajectory | Reject]:
        self.records_in = self.bytes_read = 0
        width: int | None = None
        config = self.config
        made = make_all(self._wanted, config, seconds=config.time_limit, workers=self._workers())
        for (wanted, held_out), one in zip(self._wanted, made, strict=True):
            if not isinstance(one, Made):
                _, error = one
                self.records_in += 1
                yield Reject("", 0, wanted.name, None, None, error.reason, str(error))
                continue
            self._facts[one.system.name] = described(one.system, config)
            self._digests.update(one.digests)
            for item in trajectories(one, config, held_out=held_out):
                self.records_in += 1
                if isinstance(item, Trajectory):
                    item = self._observed(item)
                    width = width or item.values.shape[1]
                    self.bytes_read += item.values.nbytes
                    if item.values.shape[1] != width:
                        yield _other_width(item, width)
                        continue
                yield item

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Systems, parameters, steps, Lyapunov exponents and tolerances. Integrates what has not been yet."""
        if not self._facts:
            for _ in self:
                pass
        config = self.config
        names = ", ".join(self._facts) if len(self._facts) <= 5 else f"{len(self._facts)} systems"
        return {
            "name": self._name if not config.noise else f"{self._name}_noise{100 * config.noise:g}",
            "what": f"{names}: trajectories from fresh initial conditions"
            + (f", {100 * config.noise:g} % observation noise" if config.noise else ""),
            "where": f"integrated here: {METHOD}, rtol {RTOL:g}, atol {ATOL:g}, after {TRANSIENT:g} Lyapunov times",
            "sha256": dict(self._digests),
            "licence": LICENCE if any("dysts" in f["origin"] for f in self._facts.values()) else "",
            "citation": "; ".join(f["citation"] for f in self._facts.values() if f["citation"])[:2000],
            "systems": self._facts,
            "sampling": {f.name: getattr(config, f.name) for f in fields(SamplingConfig)},
        }

    def _workers(self) -> int:
        """A new process takes a second to start: as many points are made in this one meanwhile."""
        points = (self.config.points + self.config.long_points * self.config.long_trajectories) * len(self._wanted)
        return self.config.workers or ((os.cpu_count() or 1) if points > MUCH else 1)


class PublishedSource(ChaosSource):
    """One measured series."""

    def __init__(self, name: str, published: Published, config: SourceConfig) -> None:
        super().__init__(config)
        self._series, self._published = _with_lyapunov([published.read(name)], config)
        self._about = published
        self.suggested_split = published.split
        self.total_bytes = self._series[0].values.nbytes

    def __iter__(self) -> Iterator[Trajectory | Reject]:
        self.records_in, self.bytes_read = 1, self.total_bytes or 0
        yield from self._series

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        about = self._about
        return {
            "name": self._series[0].id,
            "what": about.what,
            "where": str(about.package),
            "sha256": {about.member: about.sha256},
            "licence": about.licence,
            "citation": about.citation,
            "lyapunov_source": self._published,
        }


class FileSource(ChaosSource):
    """Series of the user's own."""

    def __init__(self, files: SeriesFiles, config: SourceConfig) -> None:
        super().__init__(config)
        self.files = files
        self.total_bytes = files.total_bytes
        first = [item for item in islice(files, _FEW + 1) if isinstance(item, Trajectory)]
        longest = sorted(first, key=len)[-1:]
        known, self._lyapunov_source = _with_lyapunov(longest, config)
        self._lyapunov_time = known[0].lyapunov_time if known else None
        if any(item.split for item in first):
            self.suggested_split = {"rule": "given"}
        else:
            self.suggested_split = {"rule": "last" if len(first) <= _FEW else "random", "validation": 0.1, "test": 0.2}

    def __iter__(self) -> Iterator[Trajectory | Reject]:
        for item in self.files:
            self.records_in, self.bytes_read = self.files.records_in, self.files.bytes_read
            self.notes = dict(self.files.notes)
            if isinstance(item, Trajectory):
                item = replace(self._observed(item), lyapunov_time=self._lyapunov_time)
            yield item
        self.records_in, self.bytes_read = self.files.records_in, self.files.bytes_read
        self.notes = dict(self.files.notes)

    def files_apart(self) -> list[Path]:
        """The files, each of which can be read by itself."""
        self._all_files = list(self.files.paths)
        return self._all_files

    def restrict(self, start: int, stop: int) -> None:
        """From now on the series of these files alone, as wide as the first of all; `files_apart` has been asked."""
        if self.files.width is None:
            self.files.width = next((len(item.channels) for item in self.files if isinstance(item, Trajectory)), None)
        self.files.paths = self._all_files[start:stop]

    def group(self, record: Trajectory) -> str | None:
        return None

    def split(self, record: Trajectory) -> str | None:
        return None if record.split is None else _SIDES.get(record.split, record.split)

    @property
    def provenance(self) -> Mapping[str, Any]:  # type: ignore[override]
        files = {path.name: path.stat().st_size for path in self.files.paths}
        return {
            "what": "files of one's own",
            "where": list(files),
            "bytes": sum(files.values()),
            "licence": "",
            "lyapunov_source": self._lyapunov_source,
        }


def _with_lyapunov(series: list[Trajectory], config: SourceConfig) -> tuple[list[Trajectory], str]:
    """The series with a Lyapunov time, given or estimated from each, and where it comes from."""
    if config.lyapunov is not None:
        return [replace(one, lyapunov_time=1 / config.lyapunov) for one in series], "given as data.lyapunov"
    found = []
    for one in series:
        exponent = rosenstein(one.values, one.dt).exponent
        found.append(replace(one, lyapunov_time=1 / exponent if np.isfinite(exponent) else None))
    if not any(one.lyapunov_time for one in found):
        return found, "unknown: nearby orbits do not part far enough to see; data.lyapunov= gives an exponent"
    return found, f"estimated from series '{found[0].id}' (Rosenstein et al. 1993): good to some 20 %"


def _other_width(record: Trajectory, width: int) -> Reject:
    message = f"'{record.id}' has {record.values.shape[1]} channels, the first system has {width}"
    return Reject("", 0, record.id, None, None, "wrong_channels", message)
