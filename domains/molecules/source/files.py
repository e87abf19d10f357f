"""Molecules in files of any known format as one stream of texts: .smi, CSV, TSV, Parquet, SDF, MOL2, plain or gzip.

Finds files behind folders and patterns, tells formats apart by their endings, and counts what is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from core.errors import ConfigError, InputError, nearest
from core.rejects import Reject
from domains.formats.find_files import by_suffix, find_files
from domains.formats.mol2 import read_mol2
from domains.formats.sdf import read_sdf
from domains.formats.smiles_table import (
    MoleculeText,
    read_smi,
    read_smiles_parquet,
    read_smiles_table,
)
from domains.formats.table import Columns, check_columns
from domains.formats.text import InputFile

SUFFIXES = {
    "smiles": (".smi", ".smiles", ".ism", ".can"),
    "table": (".csv", ".tsv"),
    "parquet": (".parquet", ".pq"),
    "sdf": (".sdf", ".sd", ".mol"),
    "mol2": (".mol2",),
}
_TITLES = {"smiles": "SMILES", "table": "a CSV or TSV table", "sdf": "SDF", "mol2": "MOL2"}


def find_molecules(paths: Iterable[Path | str]) -> list[Path]:
    """The files behind files, folders and patterns. Raises InputError where nothing is found."""
    return find_files(paths, SUFFIXES, "file of molecules")


class MoleculeFiles:
    """The texts of several files in the order given; can be gone through again and again.

    Args:
        format: one of SUFFIXES for all of them, or "auto" for each its own.
        limits: per file how many records at most, None for no limit.
        sides: file to the split of its records.

    `notes` counts what was unusual but readable, `records_in` what was read, `bytes_read` how far the current pass is.
    Raises ConfigError for an unknown format, InputError where it cannot be told.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        format: str = "auto",
        columns: Columns | None = None,
        limits: Mapping[Path, int] | None = None,
        sides: Mapping[Path, str] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.formats = [format_of(path, format) for path in self.paths]
        self.columns = columns or Columns()
        named = self.columns.named
        check_columns({key: named[key] for key in named if key != "labels"}, self.formats, ("table", "parquet"))
        check_columns({"labels": named["labels"]}, self.formats, ("table", "parquet", "sdf"))
        self.limits, self.sides = dict(limits or {}), dict(sides or {})
        self.notes: Counter[str] = Counter()
        self.records_in = 0
        self._done = 0
        self._current: InputFile | None = None

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @property
    def bytes_read(self) -> int:
        return self._done + (self._current.bytes_read if self._current else 0)

    def __iter__(self) -> Iterator[MoleculeText | Reject]:
        self.notes.clear()
        self.records_in = self._done = 0
        for path, kind in zip(self.paths, self.formats, strict=True):
            side = self.sides.get(path)
            for item in islice(self._read(path, kind), self.limits.get(path)):
                self.records_in += 1
                if side and isinstance(item, MoleculeText):
                    item.split = side
                yield item
            if self._current is not None:
                self.notes.update(self._current.notes)
                self._current = None
            self._done += path.stat().st_size

    def _read(self, path: Path, kind: str) -> Iterator[MoleculeText | Reject]:
        if kind == "parquet":
            return read_smiles_parquet(path, self.columns)
        self._current = file = InputFile(path, _TITLES[kind])
        if kind == "table":
            return read_smiles_table(file, self.columns)
        if kind == "sdf":
            return read_sdf(file, self.columns.labels)
        return read_smi(file) if kind == "smiles" else read_mol2(file)


def format_of(path: Path, asked: str = "auto") -> str:
    """What was asked for, else what the ending says. Raises ConfigError, InputError."""
    if asked != "auto":
        if asked not in SUFFIXES:
            raise ConfigError(
                f"data.format={asked!r} is unknown{nearest(asked, SUFFIXES)}",
                hint=f"Known: auto, {', '.join(SUFFIXES)}.",
            )
        return asked
    found = by_suffix(path, SUFFIXES)
    if found is None:
        raise InputError(
            f"{path}: cannot tell its format from its ending",
            hint=f"Give data.format=..., one of {', '.join(SUFFIXES)}.",
        )
    return found
