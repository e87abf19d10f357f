"""Molecules as texts, out of .smi files and tables: one a line, with what other columns say of it. Nothing is parsed.

A .smi line is a SMILES, white space, a name. Tables are CSV, TSV or Parquet with a column of SMILES; ids, groups,
stamps, splits and labels are read where they are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ConfigError, InputError
from core.rejects import Reject
from domains.formats.label_columns import LOOKED_AT, LabelColumns, with_labels
from domains.formats.table import Columns, Row, find_column, find_id, read_table, stamp_of, tell_unread
from domains.formats.text import InputFile

USUAL_SMILES = ("smiles", "canonical_smiles", "isomeric_smiles", "smi", "structure")
USUAL_IDS = ("id", "name", "identifier", "compound id", "compound_id", "cmpd_chemblid", "chembl_id")
_ROWS = 2**16
"""Rows of a Parquet file that are read at a time."""


@dataclass(slots=True)
class MoleculeText:
    """One molecule as it stands in a file."""

    text: str
    id: str
    form: str = "smiles"
    """smiles, sdf (a mol block) or mol2."""
    labels: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    stamp: float | None = None
    split: str | None = None
    place: tuple[str, int | None, int | None] = ("", None, None)
    index: int = 0
    """0-based in its file."""


def read_smi(file: InputFile) -> Iterator[MoleculeText | Reject]:
    """Every line that is not empty. A header (`smiles name`) and lines that begin with # are no records.

    What ChemAxon writes behind a SMILES in bars (`|...|`) is dropped and counted. Raises InputError for damage to the
    container.
    """
    where, stem, index = str(file.path), stem_of(file.path), 0
    for number, raw in enumerate(file.lines(), 1):
        if not raw.strip() or raw.startswith(b"#"):
            continue
        text = file.text(raw)
        smiles, name = _divided(text)
        if index == 0 and smiles.lower() in USUAL_SMILES:
            file.notes["header lines"] += 1
            continue
        if name.startswith("|"):
            name = name[1:].partition("|")[2].strip()
            file.notes["extensions in bars dropped"] += 1
        yield MoleculeText(smiles, name or f"{stem}_{index + 1}", place=(where, number, None), index=index)
        index += 1
        file.records = index
    if index == 0:
        raise file.damaged("it holds no molecule")


def _divided(line: str) -> tuple[str, str]:
    """SMILES and name; what stands behind a second tab is left out."""
    if "\t" in line:
        smiles, _, rest = line.partition("\t")
        return smiles.strip(), rest.partition("\t")[0].strip()
    parts = line.split(None, 1)
    return parts[0], parts[1].strip() if len(parts) > 1 else ""


def read_smiles_table(file: InputFile, columns: Columns) -> Iterator[MoleculeText | Reject]:
    """The rows of a CSV or TSV; see `label_columns` for whether labels are numbers or text.

    Raises ConfigError where a column is not there, InputError for damage to the container.
    """
    rows: _Rows | None = None
    kinds, read = with_labels(read_table(file), columns.labels)
    for row in read:
        if isinstance(row, Reject):
            yield row
            continue
        rows = rows or _Rows(file.path, list(row.cells), columns, kinds, file.notes)
        yield rows.molecule(row)


def read_smiles_parquet(path: Path, columns: Columns) -> Iterator[MoleculeText | Reject]:
    """The rows of a Parquet file. Raises InputError where it is damaged or pyarrow is not there."""
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow", hint="pip install 'foretell[cluster]', or save the table as CSV."
        ) from None
    rows, index = None, 0
    try:
        file = ParquetFile(path)
        for batch in file.iter_batches(batch_size=_ROWS):
            listed = [{n: "" if v is None else str(v) for n, v in values.items()} for values in batch.to_pylist()]
            if listed and rows is None:
                rows = _Rows(path, list(listed[0]), columns, LabelColumns(columns.labels, listed[:LOOKED_AT]))
            for cells in listed:
                assert rows is not None
                yield rows.molecule(Row(index, index + 1, cells))
                index += 1
    except (ArrowException, OSError) as error:
        raise InputError(
            f"{path}: no Parquet file that can be read ({error}); {index:,} rows were read before"
        ) from None
    if index == 0:
        raise InputError(f"{path}: the table has no rows")


class _Rows:
    """Rows of one table as molecules."""

    def __init__(
        self, path: Path, names: list[str], columns: Columns, kinds: LabelColumns, notes: Counter[str] | None = None
    ) -> None:
        smiles = find_column(names, columns.record, USUAL_SMILES, "column")
        if smiles is None:
            raise ConfigError(
                f"{path}: none of its columns is called {' or '.join(USUAL_SMILES)}",
                hint=f"Give data.column=NAME, one of: {', '.join(names)}.",
            )
        self.smiles, self.file, self.stem = smiles, str(path), stem_of(path)
        self.group = find_column(names, columns.group, (), "group_column")
        self.stamp = find_column(names, columns.stamp, (), "stamp_column")
        self.split = find_column(names, columns.split, (), "split_column")
        for name in columns.labels:
            find_column(names, name, (), "labels")
        others = {"SMILES": smiles, "group": self.group, "stamp": self.stamp, "split": self.split}
        self.id = find_id(names, columns.id, USUAL_IDS, {*others.values(), *columns.labels})
        if notes is not None and columns.record is None:  # else the user has looked at the columns
            tell_unread(notes, names, {**others, "id": self.id}, columns.labels)
        self.kinds = kinds

    def molecule(self, row: Row) -> MoleculeText | Reject:
        cells = row.cells
        name = (cells[self.id].strip() if self.id else "") or f"{self.stem}_{row.index + 1}"

        def refuse(reason: str, what: str) -> Reject:
            return Reject(self.file, row.index, name, row.line, None, reason, f"'{name}' (line {row.line:,}): {what}")

        labels, wrong = self.kinds.values(cells)
        if wrong:
            return refuse("bad_label", wrong)
        made = MoleculeText(cells[self.smiles].strip(), name, labels=dict(labels), index=row.index)
        made.place = (self.file, row.line, None)
        if self.group:
            made.group = cells[self.group].strip() or None
        if self.split:
            made.split = cells[self.split].strip() or None
        if self.stamp:
            made.stamp = stamp_of(cells[self.stamp].strip())
            if made.stamp is None:
                return refuse("bad_stamp", f"{cells[self.stamp]!r} is neither a number nor an ISO date (2024-03-01)")
        return made


def stem_of(path: Path) -> str:
    return path.name.partition(".")[0]
