"""Proteins as counted ingestion wants them: a `RecordSource` of Bio.SeqRecord over files or a published data set.

What a file may hold beside residues is settled here: a stop at the end, gaps of an alignment. Duplicates and shared
k-mers are looked for in upper case letters; a protein has no other strand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from Bio.SeqRecord import SeqRecord
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, nearest
from core.rejects import Reject
from core.rows import Rows
from domains.formats.package_data import fetch_members
from domains.formats.protein_table import ProteinColumns
from domains.formats.record_source import SeqRecordSource, files_given, refuse_file_keys, rule_of_columns
from domains.formats.seq_record import annotation, letters_of, make_record, name_of
from domains.formats.sequence_table import TableColumns
from domains.proteins.source.datasets import DATASETS, DataSet
from domains.proteins.source.files import ProteinFiles, Reading, find_protein_files
from domains.proteins.source.published import SiteTable, as_published
from domains.proteins.source.wild_types import WildTypes
from domains.proteins.tokenizer.letters import RESIDUES, STOP

_USUAL_COLUMNS = ("sequence", "seq", "protein", "protein_sequence", "aa_sequence", "residues", "letters")
_GAPS = b"-.~"
_LISTS = ("labels", "token_labels")
_FAMILIES = {"rule": "cluster", "k": 8, "containment": 0.2}
"""8 residues do not recur by chance (20^8 = 3e10)."""


@dataclass(frozen=True)
class SourceConfig:
    """How files are read."""

    format: str = "auto"
    """fasta, a3m, swissprot, genbank, pdb, mmcif or table for all files; "auto" tells by each file."""
    stop: str = "end"
    """`*`: "end" drops one at a protein's end (counted) and refuses any other; "keep" leaves all of them as letters."""
    gaps: str = "refuse"
    """`-`, `.` and `~`: "refuse" the record, or "drop" them (counted). In a3m files they are always dropped."""
    insertions: str = "keep"
    """Lower-case letters of a3m files: "keep" or "drop"."""
    missing: str = "skip"
    """Residues without coordinates in PDB and mmCIF files: "skip" them, an "x" each, or the whole of "seqres"."""
    reference: str | None = None
    """A FASTA file of wild types, for tables of mutations."""
    column: str | None = None
    """The table column of the letters; None looks for a usual name."""
    mutant_column: str | None = None
    """The table column of the mutations, as in A24G; None looks for a usual name."""
    score_column: str | None = None
    """The table column of what was measured, the label `score`; None looks for a usual name."""
    reference_column: str | None = None
    """Which wild type a row is of, by its id."""
    id_column: str | None = None
    """The table column of the records' names; None looks for a usual name."""
    group_column: str | None = None
    """Rows of one group stay on one side of the split."""
    stamp_column: str | None = None
    """Numbers or ISO dates, for split.rule=time."""
    split_column: str | None = None
    """train, validation or test, for split.rule=given."""
    labels: tuple[str, ...] = ()
    """Columns that become labels of the record; of Swiss-Prot entry, organism, taxonomy_id, reviewed."""
    token_labels: tuple[str, ...] = ()
    """Columns with a value for each residue, `0,1,1` or `HHE`."""

    def __post_init__(self) -> None:
        for key, allowed in (("stop", ("end", "keep")), ("gaps", ("refuse", "drop"))):
            value = getattr(self, key)
            if value not in allowed:
                raise ConfigError(
                    f"data.{key}={value!r} is not allowed{nearest(str(value), allowed)}",
                    hint=f"Allowed: {', '.join(allowed)}.",
                )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SourceConfig:
        """Raises ConfigError for an unknown key, with the nearest one."""
        values = {
            key: ((value,) if isinstance(value, str) else tuple(value)) if key in _LISTS else value
            for key, value in options.items()
            if value is not None or key not in _LISTS
        }
        return from_keys(cls, values, "data")

    @property
    def reading(self) -> Reading:
        table = TableColumns(
            self.column,
            self.id_column,
            self.group_column,
            self.stamp_column,
            self.split_column,
            self.labels,
            usual_letters=_USUAL_COLUMNS,
        )
        variants = ProteinColumns(
            self.mutant_column,
            self.column,
            self.score_column,
            self.id_column,
            self.group_column,
            self.split_column,
            self.reference_column,
            self.labels,
            self.token_labels,
        )
        reference = None if self.reference is None else Path(self.reference).expanduser()
        return Reading(self.format, table, variants, reference, self.missing, self.insertions)


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> ProteinSource:
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
    given = files_given(data, path, DATASETS, "proteins")
    if given is not None or data is None:
        return ProteinSource(ProteinFiles(find_protein_files(given or []), config.reading), config)
    refuse_file_keys(config, data, (f.name for f in fields(config) if f.name not in ("stop", "gaps")))
    return _published(DATASETS[data], config)


def _published(data: DataSet, config: SourceConfig) -> ProteinSource:
    paths = list(fetch_members(data.package, data.members).values())
    if data.form == "sites":
        return ProteinSource(SiteTable(paths[0], data), config, data)
    of_table = data.form == "table"
    table = TableColumns(data.letters, data.id, labels=tuple(data.labels)) if of_table else TableColumns()
    variants = ProteinColumns(letters=data.letters, id=data.id, token_labels=tuple(data.token_labels))
    return ProteinSource(ProteinFiles(paths, Reading("auto", table, variants)), config, data)


class ProteinSource(SeqRecordSource):
    """Records of proteins with their letters, groups, labels and places; a `core.ingest.RecordSource`."""

    canonical_letters = RESIDUES
    datasets: ClassVar = DATASETS
    data: DataSet | None

    def __init__(self, files: ProteinFiles | SiteTable, config: SourceConfig, data: DataSet | None = None) -> None:
        self.files, self.config, self.data = files, config, data
        self._keep_stops = config.stop == "keep" or (data is not None and data.stop == "keep")
        self._notes: Counter[str] = Counter()
        self._wild_types = WildTypes()

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        self._notes.clear()
        items: Iterable[SeqRecord | Reject] = self.files
        if self.data is not None:
            items = as_published(self.data, self.files)
        settled = (i if isinstance(i, Reject) else self._settled(i, index) for index, i in enumerate(items))
        yield from self._wild_types.before(settled)

    def reference(self, record: SeqRecord) -> tuple[str, bool] | None:
        """Of a variant and its wild type, which wild type's, and whether it is that; None of any other protein."""
        found: tuple[str, bool] | None = annotation(record, "reference")
        return found

    def files_apart(self) -> list[Path]:
        """Raises ConfigError for variants: their wild types are kept once for all files."""
        if isinstance(self.files, ProteinFiles) and self.files.has_variants():
            raise ConfigError("variants and their wild types are prepared by one process", hint="launcher=inprocess.")
        return super().files_apart()

    @property
    def compared(self) -> bool:
        """Whether the last pass had variants, each beside its wild type: there to be scored, not to be trained on."""
        return self.data is None and self._wild_types.found > 0

    @property
    def records_in(self) -> int:
        """Those of the files, and the wild types that were put before variants."""
        return super().records_in + self._wild_types.added

    def rows(self) -> Iterator[SeqRecord | Reject | Rows]:
        """As iterating, plain records many at a time; what the policy would have to look at comes one by one."""
        if not isinstance(self.files, ProteinFiles) or "fasta" not in self.files.formats or self.files.has_variants():
            yield from self
            return
        self._notes.clear()
        self._wild_types.added = self._wild_types.found = 0
        at = 0
        for item in self.files.rows():
            if not isinstance(item, Rows):
                yield item if isinstance(item, Reject) else self._settled(item, at)
                at += 1
                continue

            def settled(rows: Rows = item, first: int = at) -> Iterator[SeqRecord | Reject]:
                for index, record in enumerate(rows.records(), first):
                    yield record if isinstance(record, Reject) else self._settled(record, index)

            letters = item.letters
            upper = bool(item.names) and letters.max() < ord("a")
            if upper and (self._keep_stops or not (letters == ord(STOP)).any()) and not self._drops_gaps(letters):
                yield replace(item, records=settled)
                at += len(item.names)
                continue
            for record in settled():
                yield record
                at += 1

    def _drops_gaps(self, letters: NDArray[np.uint8]) -> bool:
        return self.config.gaps == "drop" and bool(np.isin(letters, np.frombuffer(_GAPS, np.uint8)).any())

    def _settled(self, record: SeqRecord, index: int) -> SeqRecord | Reject:
        """The record without what the policy takes out, or the Reject that the policy asks for."""
        letters = letters_of(record)
        settled = letters
        if self.config.gaps == "drop" and any(gap in settled for gap in (b"-", b".", b"~")):
            settled = settled.translate(None, _GAPS)
            self._notes["gaps dropped"] += len(letters) - len(settled)
        if not self._keep_stops and b"*" in settled:
            if settled.endswith(b"*"):
                settled = settled[:-1]
                self._notes["stops dropped at the end"] += 1
            if b"*" in settled:
                at, name = settled.index(b"*") + 1, name_of(record)
                file, line, offset = self.place(record)
                message = f"'{name}', residue {at:,}: '*' inside a protein; data.stop=keep reads it as a letter"
                return Reject(file, index, name, line, offset, "stop_inside", message)
        if not settled.isupper():
            upper = settled.upper()
            lower = np.count_nonzero(np.frombuffer(settled, np.uint8) != np.frombuffer(upper, np.uint8))
            self._notes["lower-case letters read as upper case"] += int(lower)
        if settled is letters:
            return record
        if record.letter_annotations:
            file, line, offset = self.place(record)
            message = f"'{name_of(record)}' has labels for each residue and letters to be dropped"
            return Reject(file, index, name_of(record), line, offset, "label_length", message)
        kept = make_record(settled, name_of(record), record.description or "")
        kept.annotations = record.annotations
        return kept

    @property
    def notes(self) -> dict[str, int]:
        """What was unusual but readable in the current pass, with how often."""
        return {what: n for what, n in (Counter(self.files.notes) + self._notes).items() if n}

    @property
    def suggested_split(self) -> dict[str, Any]:
        """Values of SplitConfig for these data: the data set's own; else what the columns say; else, of variants of
        one protein, a random one; else families of similar proteins kept together.
        """
        if self.data is not None:
            return dict(self.data.split)
        if rule := rule_of_columns(self.config):
            return {**_FAMILIES, "rule": rule}
        if isinstance(self.files, ProteinFiles) and self.files.has_variants():
            return {**_FAMILIES, "rule": "random", "leakage": False}
        alone = len(list(islice(self.files, 2))) < 2
        return {**_FAMILIES, "rule": "last" if alone else "cluster"}

    def letters(self, record: SeqRecord) -> NDArray[np.uint8]:
        """(n,) upper case letters in ASCII."""
        return np.frombuffer(letters_of(record).upper(), np.uint8)
