"""What counted ingestion asks of a source of records, and what it tells while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.rejects import Reject

Record = TypeVar("Record")

Progress = Callable[[str, int, int | None, int], None]
"""(phase, bytes read, bytes in all or None, records so far), about ten times a second."""


class RecordSource(Protocol[Record]):
    """Where the records of a domain come from. Iterating gives each record, or the Reject that stands for it, in order;
    it may be done again and gives the same.

    A source may have more, which is used where it is there:
        complement: (256,) uint8 letter to letter, where a record and its reverse complement are the same thing.
        canonical_letters: str, letters that whole data of this kind always has.
        split(record) -> str: train, validation or test, where the data comes with a split.
        place(record) -> (file, line, offset) of a record, for the list of rejects; None for what is not known.
        records_in: int, how many records its splitter counted in the last pass.
        remedies: mapping of a reject's reason to a sentence on what helps ("data.repair=true reads such files."), told
            where too many are refused; a tokenizer may have the same.
        letters_are_keys: bool, letters only tell copies apart and are no text: the report leaves them out.
        tokenizer_kind: str, the one kind of tokenizer that reads its records, where the usual ones do not.
        own_labels: names of labels that its records have whoever asks: the report tells them in short and warns of
            none, as it does of those that a tokenizer writes.
        tasks: its records are questions, several about one record; see `core.ingest.questions`.
        notes: mapping of what was unusual but readable to how often.
        reference(record) -> (key, whether it is the reference itself) of a record that is compared with another one,
            None for any other. References come before what is compared with them; the store then has their pairs.
        rows() -> iterator of records, Rejects and Rows: what iterating gives, plain records many at a time. Asked where
            the tokenizer has `encode_rows(letters, lengths)`: tokens of many records, or None.
        values(record) -> (T, C) float, NaN where missing: of real-valued records, whose letters are hashes of steps;
            the report then tells their ranges.
        files_apart() -> list of Path: its files (or folders), in order, where each can be read by itself; raises
            ConfigError where the records of one need another. Asked where a store is prepared in parts, as is the next.
        restrict(start, stop): from now on iterating gives the records of files [start, stop) alone, as a pass over all
            of them gives them.
    """

    @property
    def provenance(self) -> Mapping[str, Any]:
        """what, where, member sha256, licence, citation."""
        ...

    @property
    def total_bytes(self) -> int | None: ...

    @property
    def bytes_read(self) -> int:
        """Of the current pass."""
        ...

    def __iter__(self) -> Iterator[Record | Reject]: ...

    def name(self, record: Record) -> str: ...

    def letters(self, record: Record) -> NDArray[np.uint8]:
        """(n,) one a natural unit: what duplicates and shared k-mers are looked for in."""
        ...

    def piece(self, record: Record, start: int, stop: int) -> Record:
        """Natural units [start, stop) as a record of its own."""
        ...

    def group(self, record: Record) -> str | None: ...

    def stamp(self, record: Record) -> Any: ...

    def labels(self, record: Record) -> dict[str, Any]: ...
