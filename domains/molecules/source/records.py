"""Molecules as counted ingestion wants them: a `RecordSource` of canonical ones over files or a published data set.

Every molecule is parsed once, by RDKit, on all cores; later passes of a tokenizer that learns read from memory. Letters
are the characters of the canonical SMILES: duplicates and shared stretches are looked for in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, nearest
from core.order import rng
from core.rejects import Reject
from domains.formats.package_data import fetch_members
from domains.formats.record_source import (
    FileSource,
    PublishedData,
    files_given,
    refuse_file_keys,
    rule_of_columns,
    side_of,
)
from domains.formats.smiles_table import MoleculeText
from domains.formats.table import Columns, read_table
from domains.formats.text import InputFile
from domains.molecules.descriptors import PROPERTIES
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import CLEANING
from domains.molecules.source.datasets import DATASETS, DataSet
from domains.molecules.source.files import MoleculeFiles, find_molecules
from domains.molecules.source.reading import Treatment, read_texts

KEPT = 2**21
"""Molecules that are kept for the next pass, some 400 bytes each; of more, each pass parses again."""
_LISTS = ("labels", "clean", "properties")
_CANONICAL = ("make", "trusted")
_OF_FILES = ("format", "column", "id_column", "group_column", "stamp_column", "split_column", "labels")


@dataclass(frozen=True)
class SourceConfig:
    """How molecules are read."""

    format: str = "auto"
    """smiles, table, parquet, sdf or mol2 for all files; "auto" tells by each file's ending."""
    canonical: str = "make"
    """"make": every molecule is parsed and written anew by RDKit. "trusted": the SMILES are taken as canonical, unread:
    for data that this RDKit wrote itself."""
    clean: tuple[str, ...] = ()
    """What is done to molecules first: salts (keep the largest fragment), neutralise, isotopes and stereo (drop)."""
    limit: int = 0
    """Molecules at most, 0 for all: the first ones; of a published data set the first ones of each of its files."""
    random_copies: int = 0
    """So many further readings of each training molecule, as random SMILES. Needs data that say what is training."""
    scaffolds: bool = False
    """Group molecules by Bemis-Murcko scaffold, which split.rule=group then keeps together."""
    properties: tuple[str, ...] = ()
    """logp, qed, sa, weight, rings: computed once and kept as labels, for tasks and conditions."""
    workers: int = 0
    """Processes that parse; 0: one a core."""
    column: str | None = None
    """The table column of the SMILES; None looks for a usual name."""
    id_column: str | None = None
    """The table column of the records' names; None looks for a usual name."""
    group_column: str | None = None
    """Rows of one group stay on one side of the split."""
    stamp_column: str | None = None
    """Numbers or ISO dates, for split.rule=time."""
    split_column: str | None = None
    """train, validation or test, for split.rule=given."""
    labels: tuple[str, ...] = ()
    """Columns, or data fields of an SDF, that become labels."""

    def __post_init__(self) -> None:
        for key, allowed in (("clean", CLEANING), ("properties", tuple(PROPERTIES)), ("canonical", _CANONICAL)):
            value = getattr(self, key)
            for one in (value,) if isinstance(value, str) else value:
                if one not in allowed:
                    raise ConfigError(
                        f"data.{key}: {one!r} is not allowed{nearest(str(one), allowed)}",
                        hint=f"Allowed: {', '.join(allowed)}.",
                    )
        for key in ("limit", "random_copies", "workers"):
            value = getattr(self, key)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"data.{key}: got {value!r}, allowed: 0 or more")
        if self.canonical == "trusted" and self.clean:
            raise ConfigError("data.canonical=trusted reads no molecule, data.clean would have to")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one."""
        values = {
            key: ((value,) if isinstance(value, str) else tuple(value)) if key in _LISTS else value
            for key, value in options.items()
            if value is not None
        }
        return from_keys(cls, values, "data")

    @property
    def columns(self) -> Columns:
        return Columns(
            self.column, self.id_column, self.group_column, self.stamp_column, self.split_column, self.labels
        )

    @property
    def treatment(self) -> Treatment:
        return Treatment(self.clean, self.canonical == "trusted", self.scaffolds, self.properties)


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> MoleculeSource:
    """A source of molecules: the published data set `data`, or the files at `path`.

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
    given = files_given(data, path, DATASETS, "molecules")
    if given is not None or data is None:
        paths = find_molecules(given or [])
        return MoleculeSource(MoleculeFiles(paths, format=config.format, columns=config.columns), config)
    refuse_file_keys(config, data, _OF_FILES)
    return _published(DATASETS[data], config)


def _published(data: DataSet, config: SourceConfig) -> MoleculeSource:
    found = fetch_members(data.package, data.members)
    total = sum(data.sizes.values())
    limits = {}
    if config.limit:
        limits = {found[m]: max(1, round(config.limit * n / total)) for m, n in data.sizes.items()}
    columns = Columns(data.smiles, data.id, labels=tuple(data.labels))
    sides = {found[member]: side for member, side in data.sides.items()}
    files = MoleculeFiles([found[m] for m in data.sizes], columns=columns, limits=limits, sides=sides)
    measured = {label: _by_name(found[member]) for member, label in data.measured.items()}
    return MoleculeSource(files, replace(config, scaffolds=config.scaffolds or data.scaffolds), data, measured)


def _by_name(path: Path) -> dict[str, float]:
    """Name of a molecule to the value that stands beside it."""
    found = {}
    for row in read_table(InputFile(path, "a CSV table")):
        if not isinstance(row, Reject):
            name, value = list(row.cells.values())[:2]
            found[name] = float(value)
    return found


class MoleculeSource(FileSource):
    """Molecules with their letters, groups, labels and places; a `core.ingest.RecordSource`.

    Args:
        measured: label to its value by name of molecule, from a file beside the molecules.
    """

    letter_unit: ClassVar[str] = "character"
    """Of a canonical SMILES: what lengths in a data report count."""
    datasets: ClassVar[Mapping[str, PublishedData]] = DATASETS
    files: MoleculeFiles
    data: DataSet | None

    def __init__(
        self,
        files: MoleculeFiles,
        config: SourceConfig,
        data: DataSet | None = None,
        measured: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.files, self.config, self.data, self.measured = files, config, data, dict(measured or {})
        self._kept: list[Molecule | Reject] | None = None
        self._complete = False
        self._records = 0
        self._notes: Counter[str] = Counter()
        if config.random_copies and self._rule != "given":
            raise ConfigError(
                "data.random_copies are readings of training molecules: the data must say which these are",
                hint="Give data.split_column=NAME or a data set with a split (moses), or tokenizer.random_view=true.",
            )

    def __iter__(self) -> Iterator[Molecule | Reject]:
        self._records = 0
        self._notes = Counter()
        for item in self._molecules():
            self._records += 1
            yield item
            if self.config.random_copies and isinstance(item, Molecule) and item.split == "train":
                for copy in self._copies(item):
                    self._records += 1
                    yield copy

    def _molecules(self) -> Iterator[Molecule | Reject]:
        if self._complete and self._kept is not None:
            yield from self._kept
            return
        self._kept, self._complete = [], False
        seen: dict[str, dict[str, Any]] = {}
        for item in read_texts(self._texts(), self.config.treatment, self.config.workers):
            if isinstance(item, Molecule):
                self._settle(item, seen)
            if self._kept is not None:
                self._kept.append(item)
                if len(self._kept) > KEPT:
                    self._kept = None
            yield item
        self._complete = True

    def _texts(self) -> Iterator[MoleculeText | Reject]:
        left = 0 if self.data is not None else self.config.limit
        for number, item in enumerate(self.files):
            if left and number >= left:
                return
            yield item

    def _settle(self, molecule: Molecule, seen: dict[str, dict[str, Any]]) -> None:
        """Labels under our names; labelled molecules that were there before with other labels are counted."""
        if self.data is not None and self.data.labels:
            molecule.labels = {self.data.labels.get(name, name): value for name, value in molecule.labels.items()}
        for label, values in self.measured.items():
            molecule.labels = {**molecule.labels, label: values.get(molecule.id, float("nan"))}
        if molecule.labels:
            before = seen.setdefault(molecule.smiles, molecule.labels)
            if before is not molecule.labels and not _alike(before, molecule.labels):
                self._notes["molecules met before with other labels"] += 1

    def _copies(self, molecule: Molecule) -> Iterator[Molecule]:
        from domains.molecules.tokenizer.shared import random_smiles

        for number in range(1, self.config.random_copies + 1):
            reading = random_smiles(molecule.smiles, rng("random_smiles", molecule.smiles, number))[0]
            yield replace(molecule, id=f"{molecule.id}.random_{number}", reading=reading)

    def files_apart(self) -> list[Path]:
        """Raises ConfigError where the first records of all files are asked for."""
        if self.config.limit:
            raise ConfigError("data.limit counts over all files: it is for one process", hint="launcher=inprocess.")
        return super().files_apart()

    def restrict(self, start: int, stop: int) -> None:
        """These files alone, parsed by this process: others parse other files."""
        super().restrict(start, stop)
        self._kept, self._complete = None, False
        self.config = replace(self.config, workers=1)

    @property
    def records_in(self) -> int:
        return self._records

    @property
    def bytes_read(self) -> int:
        return self.total_bytes if self._complete else self.files.bytes_read

    @property
    def notes(self) -> dict[str, int]:
        """What was unusual but readable, with how often."""
        return {what: n for what, n in (Counter(self.files.notes) + self._notes).items() if n}

    @property
    def provenance(self) -> dict[str, Any]:
        treated = {"canonical": self.config.canonical, "clean": list(self.config.clean)}
        members = {} if self.data is None else {"sha256": dict(self.data.members)}
        return {**super().provenance, **members, **treated}

    @property
    def _rule(self) -> str:
        if self.data is not None:
            return str(self.data.split["rule"])
        return rule_of_columns(self.config) or ("group" if self.config.scaffolds else "random")

    @property
    def suggested_split(self) -> dict[str, Any]:
        """Values of SplitConfig: the data set's own; else what columns and scaffolds say; else random, copies of a
        molecule together.
        """
        return dict(self.data.split) if self.data is not None else {"rule": self._rule}

    def name(self, record: Molecule) -> str:
        return record.id

    def letters(self, record: Molecule) -> NDArray[np.uint8]:
        """(n,) characters of the canonical SMILES."""
        return np.frombuffer(record.smiles.encode("ascii"), np.uint8)

    def piece(self, record: Molecule, start: int, stop: int) -> Molecule:
        """Raises ConfigError: a part of a SMILES is no molecule."""
        raise ConfigError("split.rule=last cuts records, molecules are whole", hint="Take random or group.")

    def group(self, record: Molecule) -> str | None:
        return record.group

    def split(self, record: Molecule) -> str | None:
        """See `side_of`."""
        return side_of(record.split)

    def stamp(self, record: Molecule) -> float | None:
        return record.stamp

    def labels(self, record: Molecule) -> dict[str, Any]:
        return record.labels

    def place(self, record: Molecule) -> tuple[str, int | None, int | None]:
        return record.place


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(a.get(k) == v or (a.get(k) != a.get(k) and v != v) for k, v in b.items())
