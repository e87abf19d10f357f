"""Tables whose rows are variants of a reference (`mutant` column) or carry labels for each residue.

ProteinGym's columns are found by their names: `mutant`, `mutated_sequence`, `DMS_score`. Where there is no
`mutated_sequence`, the mutations are made in a reference; where there is, both must agree. Plain tables of sequences
are read by `sequence_table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.missing import is_unknown
from core.rejects import Reject
from domains.formats.label_columns import LabelColumns, with_labels
from domains.formats.mutations import mutate, reference_of
from domains.formats.seq_record import make_record
from domains.formats.table import Row, find_column, find_id, number_of, read_table, tell_unread
from domains.formats.text import InputFile

_USUAL_MUTANTS = ("mutant", "mutation", "mutations", "variant")
_USUAL_SEQUENCES = ("mutated_sequence", "sequence", "seq")
_USUAL_SCORES = ("dms_score", "score", "fitness", "y", "effect")
_USUAL_IDS = ("id", "name", "identifier", "accession", "entry")


@dataclass(frozen=True)
class ProteinColumns:
    """Which columns mean what. None: found by its usual names, or absent."""

    mutant: str | None = None
    letters: str | None = None
    score: str | None = None
    id: str | None = None
    group: str | None = None
    split: str | None = None
    reference: str | None = None
    """Which of several references a row is of, by the reference's id."""
    labels: tuple[str, ...] = ()
    token_labels: tuple[str, ...] = ()
    """Columns with a value for each residue: `0,1,1,0`, or a letter each, `HHEC`."""


def has_mutants(columns: list[str]) -> bool:
    """Whether a table with these columns is one of variants."""
    return find_column(columns, None, _USUAL_MUTANTS[:1], "mutant_column") is not None


def read_protein_table(
    file: InputFile, columns: ProteinColumns, references: Mapping[str, bytes]
) -> Iterator[SeqRecord | Reject]:
    """The rows as records. Variants have the labels `mutant` and, where there is one, `score`.

    Args:
        references: id to letters of the wild types; may be empty where rows have their mutated sequence.

    Raises ConfigError where a column is not there or a reference is missing, InputError for damage to the container.
    """
    reader: _Rows | None = None
    kinds, rows = with_labels(read_table(file), columns.labels)
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        reader = reader or _Rows(file, list(row.cells), columns, references, kinds)
        try:
            yield reader.record(row)
        except RecordError as error:
            name = reader.name(row)
            hint = f". {error.hint}" if error.hint else ""
            yield Reject(str(file.path), row.index, name, row.line, None, error.reason, f"{error.message}{hint}")


class _Rows:
    def __init__(
        self,
        file: InputFile,
        names: list[str],
        columns: ProteinColumns,
        references: Mapping[str, bytes],
        kinds: LabelColumns,
    ) -> None:
        self.file, self.references = file, references
        self.mutant = find_column(names, columns.mutant, _USUAL_MUTANTS, "mutant_column")
        self.letters = find_column(names, columns.letters, _USUAL_SEQUENCES, "column")
        self.score = find_column(names, columns.score, _USUAL_SCORES if self.mutant else (), "score_column")
        self.group = find_column(names, columns.group, (), "group_column")
        self.split = find_column(names, columns.split, (), "split_column")
        self.reference = find_column(names, columns.reference, (), "reference_column")
        others = {"mutations": self.mutant, "sequence": self.letters, "score": self.score, "group": self.group}
        others |= {"split": self.split, "reference": self.reference}
        labels = (*columns.labels, *columns.token_labels)
        self.id = find_id(names, columns.id, _USUAL_IDS, {*others.values(), *labels})
        if columns.letters is None:
            tell_unread(file.notes, names, {**others, "id": self.id}, labels)
        self.kinds, self.token_labels = kinds, columns.token_labels
        for label in labels:
            find_column(names, label, (), "labels")
        if self.mutant and not self.letters and not references:
            raise ConfigError(
                f"{file.path} has mutations but no mutated sequences, and no reference was given",
                hint="Give data.reference=wild_type.fa, or name the column of sequences with data.column=.",
            )
        if not self.mutant and not self.letters:
            raise ConfigError(
                f"{file.path}: none of its columns holds sequences or mutations",
                hint=f"Give data.column=NAME or data.mutant_column=NAME, one of: {', '.join(names)}.",
            )
        if len(references) > 1 and self.mutant and not self.reference and not self.letters:
            raise ConfigError(
                f"{len(references)} references were given and no column that tells them apart",
                hint="Name it with data.reference_column=.",
            )

    def name(self, row: Row) -> str:
        given = row.cells[self.id].strip() if self.id else row.cells[self.mutant].strip() if self.mutant else ""
        return given or f"{self.file.path.name.partition('.')[0]}_{row.index + 1}"

    def record(self, row: Row) -> SeqRecord:
        """Raises RecordError for a row that is refused."""
        name, cells = self.name(row), row.cells
        found, wrong = self.kinds.values(cells)
        if wrong:
            raise RecordError("bad_label", f"'{name}': {wrong}", record=name)
        labels: dict[str, Any] = dict(found)
        if self.mutant:
            letters = self._variant(row, name)
            labels["mutant"] = cells[self.mutant].strip() or "WT"
            if self.score:
                labels["score"] = _number(cells[self.score], name, self.score)
        else:
            letters = _ascii(cells[self.letters or ""], name)
        if not letters:
            raise RecordError(
                "empty_sequence", f"'{name}' (line {row.line:,}): its sequence cell is empty", record=name
            )
        annotations: dict[str, Any] = {"labels": labels} if labels else {}
        for what, column in (("group", self.group), ("split", self.split)):
            if column and cells[column].strip():
                annotations[what] = cells[column].strip()
        record = make_record(letters, name, place=(str(self.file.path), row.line, None), **annotations)
        for label in self.token_labels:
            record.letter_annotations[label] = residue_labels(cells[label], len(letters), name, label)  # type: ignore[assignment]
        return record

    def _variant(self, row: Row, name: str) -> bytes:
        text = row.cells[self.mutant or ""]
        given = _ascii(row.cells[self.letters], name) if self.letters else b""
        reference_name, reference = self._reference(row, name)
        if not given:
            return mutate(reference, text, name, reference_name)
        found = reference_of(given, text, name)
        if reference and found != reference:
            mutate(reference, text, name, reference_name)  # says where, if a mutation is what does not fit
            raise RecordError(
                "reference_mismatch",
                f"'{name}': its mutated sequence without {text!r} is not {reference_name}",
                record=name,
            )
        return given

    def _reference(self, row: Row, name: str) -> tuple[str, bytes]:
        if not self.references:
            return "the reference", b""
        wanted = row.cells[self.reference].strip() if self.reference else next(iter(self.references))
        if wanted not in self.references:
            raise RecordError("no_reference", f"'{name}': there is no reference {wanted!r}", record=name)
        return f"reference '{wanted}'", self.references[wanted]


def residue_labels(cell: str, length: int, name: str, label: str) -> NDArray[Any]:
    """(length,) int8 of whole numbers, float32 of others, or the ASCII codes (uint8) of a letter each.

    Raises RecordError "label_length" where there are more or fewer, "bad_label" where one is no number.
    """
    cell = cell.strip()
    parts = cell.split(",") if "," in cell else list(cell)
    if len(parts) != length:
        raise RecordError(
            "label_length", f"'{name}' has {length:,} residues, its '{label}' {len(parts):,} values", record=name
        )
    if "," not in cell and not cell.isdigit():
        return np.frombuffer(cell.encode("ascii", "replace"), np.uint8)
    try:
        values = np.array(parts, np.float32)
    except ValueError:
        raise RecordError("bad_label", f"'{name}': a value of '{label}' is no number", record=name) from None
    whole = bool((values == np.rint(values)).all() and np.abs(values).max(initial=0) < 128)
    return values.astype(np.int8) if whole else values


def _ascii(cell: str, name: str) -> bytes:
    try:
        return cell.strip().upper().encode("ascii")
    except UnicodeEncodeError:
        raise RecordError("bad_letter", f"'{name}': its sequence holds characters outside ASCII", record=name) from None


def _number(cell: str, name: str, column: str) -> float:
    if is_unknown(cell):
        return float("nan")
    number = number_of(cell)
    if number is None:
        raise RecordError("bad_label", f"'{name}': {column} is {cell!r}, expected a number", record=name)
    return number
