"""The passes over one source: survey, fit, encode, every record counted.

A tokenizer that has nothing to learn takes one pass: encode, and gather what the split must know. One that learns takes
three: the split's keys; the training pieces to fit on; encode piece by piece, so that the split falls between tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, RecordError
from core.ingest.gathered import Gathered, Names
from core.ingest.source import Progress, RecordSource
from core.pairs import Pairs
from core.pieces import end_to_end, token_parts
from core.rejects import Ledger, Reject
from core.rows import Rows
from core.sequence import Sequence
from core.split import SplitConfig, SplitPlan, last_part
from core.store.writer import TokenStoreWriter
from core.tokenizer import Tokenizer

_PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Planned:
    """A split that is made before records are encoded."""

    plan: SplitPlan
    records: list[int]
    """Per item of the source its record's index in the plan, -1 where it is refused."""


class Passes:
    """Over one source.

    Args:
        progress: told about ten times a second and at the end of a pass; may raise to stop.
        min_length: records of fewer natural units are rejected ("too_short").
        max_length: records of more are rejected ("too_long"); None: no limit.
    """

    def __init__(
        self,
        source: RecordSource[Any],
        split: SplitConfig,
        progress: Progress | None = None,
        min_length: int = 1,
        max_length: int | None = None,
    ) -> None:
        self.source, self.split = source, split
        self.complement: NDArray[np.uint8] | None = getattr(source, "complement", None)
        self.min_length, self.max_length = min_length, max_length
        self._progress = progress

    def survey(self, tokenizer: Tokenizer[Any], ledger: Ledger) -> Gathered:
        """The first pass of a tokenizer that learns: the split's keys, and which records are refused already."""
        found = Gathered(self.split, self.complement)
        for index, record in enumerate(self.items("splitting")):
            try:
                letters = self.letters_of(record, index)
                tokenizer.canonical(record)
                self.add_keys(found, record, letters)
            except InputError as error:
                self.reject(record, index, error, ledger, found)
                found.planned.append(-1)
            else:
                found.planned.append(len(found.keys) - 1)
                ledger.accept()
        found.records_in = ledger.records_in
        return found

    def training_pieces(self, planned: Planned) -> Iterator[Any]:
        """The second: the training part of every record, as records."""
        for index, record in enumerate(self.items("fitting")):
            at = planned.records[index]
            if at >= 0:
                spans, splits = planned.plan.of(at)
                whole = int(spans[-1, 2])
                for (_, start, stop), split in zip(spans.tolist(), splits.tolist(), strict=True):
                    if split == 0:
                        yield record if (start, stop) == (0, whole) else self.source.piece(record, start, stop)

    def encode(
        self, tokenizer: Tokenizer[Any], writer: TokenStoreWriter, ledger: Ledger, planned: Planned | None = None
    ) -> Gathered:
        """The last: every record into the store."""
        return _Encoding(self, tokenizer, writer, ledger, planned).run()

    def items(self, phase: str, *, many: bool = False) -> Iterator[Any]:
        """The source's records and rejects, with progress told now and then and once at the end; `many`: Rows too."""
        records, last = 0, time.monotonic()
        for item in self.source.rows() if many and hasattr(self.source, "rows") else self.source:
            yield item
            records += len(item.names) if isinstance(item, Rows) else 1
            if self._progress and time.monotonic() - last > _PROGRESS_SECONDS:
                self._progress(phase, self.source.bytes_read, self.source.total_bytes, records)
                last = time.monotonic()
        if self._progress:
            self._progress(phase, self.source.bytes_read, self.source.total_bytes, records)

    def _share_read(self) -> float | None:
        total = self.source.total_bytes
        return self.source.bytes_read / total if total else None

    def letters_of(self, record: Any, index: int) -> NDArray[np.uint8]:
        """Raises RecordError for a Reject of the source and for a record of the wrong length."""
        if isinstance(record, Reject):
            raise RecordError(record.reason, record.message, record=record.id)
        letters = self.source.letters(record)
        for wrong, reason, limit in (
            (len(letters) < self.min_length, "too_short", f"at least {self.min_length:,}"),
            (self.max_length is not None and len(letters) > self.max_length, "too_long", f"up to {self.max_length}"),
        ):
            if wrong:
                name = self.source.name(record)
                unit = "steps" if hasattr(self.source, "values") else "letters"
                raise RecordError(reason, f"'{name}' has {len(letters):,} {unit}, expected {limit}", record=name)
        return letters

    def add_keys(self, found: Gathered, record: Any, letters: NDArray[np.uint8]) -> None:
        split = self.source.split(record) if self.split.rule == "given" and hasattr(self.source, "split") else None
        found.keys.add(letters, group=self.source.group(record), stamp=self.source.stamp(record), split=split)

    def reject(self, record: Any, index: int, error: InputError, ledger: Ledger, found: Gathered) -> None:
        """Counts a record, or the Reject that stands for it, as refused. Raises as `Ledger.reject`."""
        refused = record
        if not isinstance(record, Reject):
            file, line, offset = self.source.place(record) if hasattr(self.source, "place") else ("", None, None)
            reason = error.reason if isinstance(error, RecordError) else "refused"
            refused = Reject(file, index, self.source.name(record), line, offset, reason, error.message)
            found.numbered.append(ledger.n_rejected)
        ledger.reject(refused, self._share_read())


@dataclass
class _Encoding:
    """One pass that encodes."""

    passes: Passes
    tokenizer: Tokenizer[Any]
    writer: TokenStoreWriter
    ledger: Ledger
    planned: Planned | None

    def __post_init__(self) -> None:
        self.source, self.split = self.passes.source, self.passes.split
        self.found = Gathered(self.split, self.passes.complement)
        self.names = Names()
        self.pairs = Pairs(getattr(self.source, "reference", None))

    def run(self) -> Gathered:
        many = self.planned is None and self.split.rule != "last" and hasattr(self.tokenizer, "encode_rows")
        for item in self.passes.items("encoding", many=many):
            for record in self._left(item) if isinstance(item, Rows) else (item,):
                self._one(record, self.ledger.records_in)
        self.found.tokens, self.found.pairs = self.writer.row_lengths, self.pairs.found()
        self.found.records_in, self.found.renamed = self.ledger.records_in, self.names.renamed
        self.found.notes.update(getattr(self.source, "notes", {}))
        return self.found

    def _left(self, rows: Rows) -> Iterator[Any]:
        """Puts all of them into the store where nothing is unusual; else gives them to be looked at one by one."""
        names, lengths, passes = set(rows.names), rows.lengths, self.passes
        longest = passes.max_length if passes.max_length is not None else int(lengths.max())
        plain = len(names) == len(rows.names) and self.names.taken.isdisjoint(names)
        plain = plain and passes.min_length <= lengths.min() and lengths.max() <= longest
        tokens = self.tokenizer.encode_rows(rows.letters, lengths) if plain else None  # type: ignore[attr-defined]
        if tokens is None:
            return rows.records()
        field = self.tokenizer.spec.symbol_target.name
        self.writer.append_rows([Sequence({field: tokens}, rows.names[0])], lengths, rows.names)
        rows.counted()
        self.ledger.accept(len(rows.names))
        self.names.taken |= names
        self.found.names += rows.names
        self.found.lengths += lengths.tolist()
        self.found.letters.add(rows.letters)
        self.found.keys.extend(rows)
        return iter(())

    def _one(self, record: Any, index: int) -> None:
        source, found = self.source, self.found
        try:
            letters = self.passes.letters_of(record, index)
            sequence, cuts = self._encoded(record, index, letters)
            name = source.name(record)
            free = self.names.free(name, index)
            sequence.id = free
            sequence.group = source.group(record) or sequence.group
            own, sequence.labels = sequence.labels, {**sequence.labels, **source.labels(record)}
            self.pairs.check(record, free)
            row = self.writer.append(sequence)
        except InputError as error:
            self.passes.reject(record, index, error, self.ledger, found)
            return
        self.ledger.accept()
        self.pairs.add(record, row)
        self.names.take(free, name)
        found.own_labels.update(own)
        found.names.append(name)
        if not name:
            found.unnamed[row] = index
        found.lengths.append(len(letters))
        if hasattr(source, "values"):
            found.ranges.add(source.values(record))
        else:
            found.letters.add(letters)
        found.cuts += [(row, start, stop, split) for start, stop, split in cuts]
        if self.planned is None:
            self.passes.add_keys(found, record, letters)

    def _encoded(
        self, record: Any, index: int, letters: NDArray[np.uint8]
    ) -> tuple[Sequence, list[tuple[int, int, int]]]:
        """A record in tokens, and (start, stop, split) of its spans in tokens where the split cuts records."""
        if self.planned is not None:
            return self._pieces(record, self.planned.plan, self.planned.records[index])
        sequence = self.tokenizer.encode(record)
        if self.split.rule != "last":
            return sequence, []
        return sequence, token_parts(self.tokenizer, sequence, last_part(len(letters), self.split))

    def _pieces(self, record: Any, plan: SplitPlan, at: int) -> tuple[Sequence, list[tuple[int, int, int]]]:
        """One record encoded span by span."""
        if at < 0:
            self.tokenizer.canonical(record)  # refused in the survey: says why again
        pieces, cuts, done = [], [], 0
        spans, splits = plan.of(at)
        for (_, start, stop), split in zip(spans.tolist(), splits.tolist(), strict=True):
            piece = record if (start, stop) == (0, int(spans[-1, 2])) else self.source.piece(record, start, stop)
            pieces.append(self.tokenizer.encode(piece))
            cuts.append((done, done + len(pieces[-1]), split))
            done += len(pieces[-1])
        return end_to_end(pieces), cuts
