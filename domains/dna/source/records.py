"""DNA records as counted ingestion wants them: a `RecordSource` of Bio.SeqRecord over files or a published data set.

The letters that duplicates and shared k-mers are looked for in are canonical (upper case, T for U), strands paired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.rejects import Reject
from domains.dna.source.datasets import DATASETS, DataSet
from domains.dna.source.splice import FOLDS, SpliceTable
from domains.dna.tokenizer.letters import COMPLEMENTS
from domains.formats.genbank import codon_positions, gene_structure
from domains.formats.package_data import fetch_members
from domains.formats.record_source import Files, SeqRecordSource, files_given, rule_of_columns
from domains.formats.seq_record import letters_of
from domains.formats.sequence_table import TableColumns
from domains.formats.sequences import SequenceFiles, find_sequences

_LONG = 20_000
"""Bases from which on a record counts as a genome, whose last part is tested on; shorter ones are dealt out whole."""
_FEW = 100
_USUAL_COLUMNS = ("sequence", "seq", "dna", "dna_sequence", "nucleotides", "letters", "read", "promoter")
_CANONICAL = bytes.maketrans(b"acgtunrykmswbdhvU", b"ACGTTNRYKMSWBDHVT")


@dataclass(frozen=True)
class SourceConfig:
    """How files are read."""

    format: str = "auto"
    """fasta, fastq, genbank or table for all files; "auto" tells by each file's ending, then by its first bytes."""
    bed: str | None = None
    """A BED file: the records are its regions, cut out of the one FASTA file given."""
    column: str | None = None
    """The table column of the letters; None looks for a usual name."""
    id_column: str | None = None
    """The table column of the records' names; None looks for a usual name."""
    group_column: str | None = None
    """Rows of one group stay on one side of the split."""
    stamp_column: str | None = None
    """Numbers or ISO dates, for split.rule=time."""
    split_column: str | None = None
    """train, validation or test, for split.rule=given."""
    labels: tuple[str, ...] = ()
    """Columns that become labels of the record."""
    codon_positions: bool | None = None
    """Whether coding regions of GenBank files become the token label `codon_position` (0, 1, 2, or -1 outside of them);
    None: if all files are GenBank."""
    gene_structure: bool | None = None
    """Whether they become the token label `structure` as well: 1 in coding exons, 2 in introns, 0 outside; None: no."""
    fold: int = 0
    """Of a data set with folds (`splice`): the one that is the test part, 0 to 4."""
    groups: tuple[str, ...] = ()
    """Only records of these groups, of a data set that has groups (the species of `bacteria`)."""

    def __post_init__(self) -> None:
        if not isinstance(self.fold, int) or not 0 <= self.fold < FOLDS:
            raise ConfigError(f"data.fold: got {self.fold!r}, allowed: 0 to {FOLDS - 1}")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one."""
        known = [f.name for f in fields(cls)]
        for key in options:
            if key not in known:
                raise ConfigError(f"data.{key} is unknown{nearest(key, known)}", hint=f"Known: {', '.join(known)}.")
        listed = {
            key: (value,) if isinstance(value, str) else tuple(value)
            for key, value in options.items()
            if key in ("labels", "groups") and value is not None
        }
        return cls(**{**{k: v for k, v in options.items() if k not in ("labels", "groups")}, **listed})


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> DnaSource:
    """A source of SeqRecords: the published data set `data`, or the files at `path`.

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
    given = files_given(data, path, DATASETS, "DNA")
    if given is None and data is not None:
        return _published(DATASETS[data], config)
    if config.groups:
        raise ConfigError("data.groups chooses among a named data set's groups; files of your own have none")
    return DnaSource(_files(find_sequences(given or []), config), config)


def _published(data: DataSet, config: SourceConfig) -> DnaSource:
    known = list(dict.fromkeys(data.groups.values()))
    for group in config.groups:
        if group not in known:
            raise ConfigError(
                f"data.groups: there is no group '{group}'{nearest(group, known)}",
                hint=f"Known: {', '.join(known)}." if known else "This data set has no groups.",
            )
    places = fetch_members(data.package, data.members)
    wanted = {m: p for m, p in places.items() if not config.groups or data.group_of(m) in config.groups}
    groups = {str(place): data.group_of(member) or "" for member, place in wanted.items() if data.groups}
    sides = {str(place): data.member_sides[member] for member, place in wanted.items() if member in data.member_sides}
    if config.fold and data.form != "splice":
        raise ConfigError("data.fold chooses the test part of splice; this data set has no folds")
    if data.form == "splice":
        return DnaSource(SpliceTable(next(iter(wanted.values())), config.fold), config, data)
    columns = replace(
        config,
        format=data.form,
        column=data.letters or config.column,
        split_column=data.split_column or config.split_column,
        labels=(*config.labels, *data.cells),
        codon_positions=data.structure or config.codon_positions,
        gene_structure=data.structure or config.gene_structure,
    )
    return DnaSource(_files(list(wanted.values()), columns), columns, data, groups, sides)


def _files(paths: list[Path], config: SourceConfig) -> SequenceFiles:
    columns = TableColumns(
        config.column,
        config.id_column,
        config.group_column,
        config.stamp_column,
        config.split_column,
        config.labels,
        usual_letters=_USUAL_COLUMNS,
    )
    regions = find_sequences([config.bed])[0] if config.bed is not None else None
    return SequenceFiles(paths, format=config.format, columns=columns, regions=regions)


class RecordFiles(Files, Protocol):
    """What is asked of files: `SequenceFiles` are some."""

    @property
    def formats(self) -> Sequence[str]: ...

    @property
    def notes(self) -> Counter[str]: ...

    def __iter__(self) -> Iterator[SeqRecord | Reject]: ...


class DnaSource(SeqRecordSource):
    """Records of DNA with their letters, groups, labels and places; a `core.ingest.RecordSource`."""

    canonical_letters = "ACGT"
    datasets: ClassVar = DATASETS
    data: DataSet | None

    def __init__(
        self,
        files: RecordFiles,
        config: SourceConfig,
        data: DataSet | None = None,
        groups: Mapping[str, str] | None = None,
        sides: Mapping[str, str] | None = None,
    ) -> None:
        self.files = files
        self.data = data
        self.config = config
        self.codon_positions = config.codon_positions
        if self.codon_positions is None:
            self.codon_positions = all(kind == "genbank" for kind in files.formats)
        self._groups, self._sides = dict(groups or {}), dict(sides or {})
        self._notes: Counter[str] = Counter()
        self.complement = np.arange(256, dtype=np.uint8)
        for letter, other in COMPLEMENTS.items():
            self.complement[ord(letter)] = ord(other)

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        self._notes.clear()
        for item in self.files:
            if isinstance(item, SeqRecord):
                self._note_letters(letters_of(item))
                if self._groups:
                    item.annotations["group"] = self._groups[self.place(item)[0]]
                if self._sides:
                    item.annotations["split"] = self._sides[self.place(item)[0]]
                if self.codon_positions:
                    item.letter_annotations["codon_position"] = cast(Any, codon_positions(item))
                if self.config.gene_structure:
                    item.letter_annotations["structure"] = cast(Any, gene_structure(item))
                if self.data is not None and self.data.labels is not None:
                    item.annotations["labels"] = cast(Any, self.data.labels(self.labels(item)))
                if self.data is not None and self.data.keep is not None:
                    item = self.piece(item, *self.data.keep)
            yield item

    def files_apart(self) -> list[Path]:
        """Raises ConfigError for regions of a genome."""
        if self.config.bed is not None:
            raise ConfigError("data.bed: regions of one file are prepared by one process", hint="launcher=inprocess.")
        return super().files_apart()

    @property
    def notes(self) -> dict[str, int]:
        """What was unusual but readable in the current pass, with how often."""
        return dict(self.files.notes + self._notes)

    @property
    def suggested_split(self) -> dict[str, Any]:
        """Values of SplitConfig for these data: the data set's own; else what the columns say; else the last part of
        each of a few long records, or of the only one; else families of similar records kept together.
        """
        if self.data is not None:
            # With one side of the species left out there is nothing to test on: then the groups are dealt out.
            sides = {self.data.sides[group] for group in self._groups.values() if group in self.data.sides}
            rule = "group" if self.data.sides and not {"train", "test"} <= sides else self.data.split["rule"]
            return {**self.data.split, "rule": rule}
        if rule := rule_of_columns(self.config):
            return {"rule": rule, "complement": True}
        first = next((len(item) for item in islice(self.files, _FEW) if isinstance(item, SeqRecord)), 0)
        long = first >= _LONG and self.total_bytes < _FEW * first
        alone = self.total_bytes < 2 * first  # nothing to keep it apart from
        return {"rule": "last" if long or alone else "cluster", "complement": True}

    def letters(self, record: SeqRecord) -> NDArray[np.uint8]:
        """(n,) canonical letters in ASCII."""
        letters = letters_of(record)
        array = np.frombuffer(letters, np.uint8)
        # looking first costs a fiftieth of translating, and nearly every genome is canonical
        if array.max(initial=0) <= ord("Z") and b"U" not in letters:
            return array
        return np.frombuffer(letters.translate(_CANONICAL), np.uint8)

    def split(self, record: SeqRecord) -> str | None:
        if self.data is not None and self.data.sides:
            return self.data.sides.get(self.group(record) or "")
        return super().split(record)

    def _note_letters(self, letters: bytes) -> None:
        array = np.frombuffer(letters, np.uint8)
        if array.max(initial=0) > ord("Z"):
            self._notes["lower-case letters read as upper case"] += int(np.count_nonzero(array >= ord("a")))
        if b"U" in letters or b"u" in letters:
            self._notes["U read as T"] += letters.count(b"U") + letters.count(b"u")
