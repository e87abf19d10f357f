"""Records in, a token store out: read, check, split, fit, encode, in this order, every record counted.

A tokenizer that has nothing to learn takes one pass over the source: encode and collect what the split must know. One
that learns takes three: split; fit on the training pieces; encode piece by piece, so that the split falls between
tokens. A run that fails leaves no store behind, but the list of rejects. Knows no format and no alphabet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.data_report import DataReport, LetterCounts, ValueRanges, look_for_oddities
from core.errors import ConfigError, InputError, RecordError
from core.pairs import Pairs
from core.pieces import end_to_end, token_parts
from core.rejects import Ledger, Reject
from core.rows import Rows
from core.sequence import Sequence
from core.split import SplitConfig, SplitKeys, SplitPlan, assign, last_part
from core.store.writer import TokenStoreWriter
from core.tokenizer import Tokenizer, describe

__all__ = ["DataReport", "Ledger", "Progress", "RecordSource", "Reject", "prepare_store", "rejects_path"]

Record = TypeVar("Record")

Progress = Callable[[str, int, int | None, int], None]
"""(phase, bytes read, bytes in all or None, records so far), about ten times a second."""
_PROGRESS_SECONDS = 0.1


class RecordSource(Protocol[Record]):
    """Where the records of a domain come from. Iterating gives each record, or the Reject that stands for it, in order;
    it may be done again and gives the same.

    A source may have more, which is used where it is there:
        complement: (256,) uint8 letter to letter, where a record and its reverse complement are the same thing.
        canonical_letters: str, letters that whole data of this kind always has.
        split(record) -> str: train, validation or test, where the data comes with a split.
        place(record) -> (file, line, offset) of a record, for the list of rejects; None for what is not known.
        records_in: int, how many records its splitter counted in the last pass.
        tokenizer_kind: str, the one kind of tokenizer that reads its records, where the usual ones do not.
        notes: mapping of what was unusual but readable to how often.
        reference(record) -> (key, whether it is the reference itself) of a record that is compared with another one,
            None for any other. References come before what is compared with them; the store then has their pairs.
        rows() -> iterator of records, Rejects and Rows: what iterating gives, plain records many at a time. Asked where
            the tokenizer has `encode_rows(letters, lengths)`: tokens of many records, or None.
        values(record) -> (T, C) float, NaN where missing: of real-valued records, whose letters are hashes of steps;
            the report then tells their ranges.
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


def rejects_path(store: Path) -> Path:
    """Where the rejects of a store are listed: `OUT.zarr.rejects.jsonl`."""
    return store.with_name(f"{store.name}.rejects.jsonl")


def prepare_store(
    source: RecordSource[Any],
    tokenizer: Tokenizer[Any],
    out: Path | str,
    *,
    split: SplitConfig,
    domain: str,
    max_bad: float = 0.01,
    on_bad: str = "reject",
    progress: Progress | None = None,
    overwrite: bool = False,
    min_length: int = 1,
    max_length: int | None = None,
    shard_tokens: int | None = None,
) -> DataReport:
    """Makes the store at `out` and says what is in it.

    Args:
        min_length: records of fewer natural units are rejected ("too_short").
        max_length: records of more are rejected ("too_long"); None: no limit.
        shard_tokens: tokens a shard of the store; None: see `core.store.layout.SHARD_BYTES`.

    Raises:
        ConfigError: `out` exists and may not be overwritten, or the settings contradict each other.
        InputError: damage to a file, too many rejects, or, under on_bad=fail, the first of them.
        ResourceError: the disk refuses.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists already", hint="Choose another store=, or allow it with overwrite=true.")
    run = _Preparation(source, split, progress, min_length, max_length)
    plan, planned = None, None
    if tokenizer.needs_fit:
        with Ledger(rejects_path(out), max_bad=max_bad, on_bad=on_bad) as ledger:
            planned = run.survey(tokenizer, ledger)
        plan = assign(run.keys)
        tokenizer = tokenizer.fit(run.training_pieces(plan, planned))
    with (
        TokenStoreWriter(
            out,
            tokenizer.spec,
            describe(tokenizer),
            domain=domain,
            source=source.provenance,
            shard_tokens=shard_tokens,
            overwrite=overwrite,
        ) as writer,
        Ledger(rejects_path(out), max_bad=max_bad, on_bad=on_bad) as ledger,
    ):
        run.encode(tokenizer, writer, ledger, plan, planned)
        ledger.check(getattr(source, "records_in", None))
        plan = plan or assign(run.keys)
        report = run.report(out, tokenizer, writer, ledger, plan, domain)
        spans, span_split = run.token_spans(writer, plan, cut=planned is not None or split.rule == "last")
        writer.finish(
            spans=spans,
            span_split=span_split,
            counts=ledger.counts(),
            split=plan.report,
            report=report.to_dict(),
            pairs=run.pairs.found(),
        )
    return report


class _Preparation:
    """What the passes over one source share: the split's keys, counts, names, and where spans fall."""

    def __init__(
        self,
        source: RecordSource[Any],
        split: SplitConfig,
        progress: Progress | None,
        min_length: int,
        max_length: int | None,
    ) -> None:
        self.source, self.split = source, split
        self.keys = SplitKeys(split, getattr(source, "complement", None))
        self.letter_counts, self.ranges = LetterCounts(), ValueRanges()
        self.lengths: list[int] = []
        self.names: set[str] = set()
        self.renamed = 0
        self.spans: list[tuple[int, int, int, int]] = []
        self.pairs = Pairs(getattr(source, "reference", None))
        self._progress, self._min_length, self._max_length = progress, min_length, max_length

    def survey(self, tokenizer: Tokenizer[Any], ledger: Ledger) -> list[int]:
        """Pass one of a tokenizer that learns: the split's keys. Per item of the source its record's index in the plan,
        -1 where it is refused already.
        """
        planned = []
        for index, record in enumerate(self._items("splitting")):
            try:
                letters = self._letters_of(record, index)
                tokenizer.canonical(record)
                self._add_keys(record, letters)
            except InputError as error:
                ledger.reject(self._reject(record, index, error), self._share_read())
                planned.append(-1)
            else:
                planned.append(len(self.keys) - 1)
                ledger.accept()
        ledger.check(getattr(self.source, "records_in", None))
        return planned

    def training_pieces(self, plan: SplitPlan, planned: list[int]) -> Iterator[Any]:
        """Pass two: the training part of every record, as records."""
        for index, record in enumerate(self._items("fitting")):
            if planned[index] >= 0:
                spans, splits = plan.of(planned[index])
                for (_, start, stop), split in zip(spans.tolist(), splits.tolist(), strict=True):
                    if split == 0:
                        yield self._piece(record, start, stop, planned[index])

    def encode(
        self,
        tokenizer: Tokenizer[Any],
        writer: TokenStoreWriter,
        ledger: Ledger,
        plan: SplitPlan | None,
        planned: list[int] | None,
    ) -> None:
        """The last pass: every record into the store."""
        many = plan is None and self.split.rule != "last" and hasattr(tokenizer, "encode_rows")
        for item in self._items("encoding", many=many):
            for record in self._rows_left(item, tokenizer, writer, ledger) if isinstance(item, Rows) else (item,):
                self._encode_one(record, ledger.records_in, tokenizer, writer, ledger, plan, planned)

    def _rows_left(self, rows: Rows, tokenizer: Any, writer: TokenStoreWriter, ledger: Ledger) -> Iterator[Any]:
        """Puts all of them into the store where nothing is unusual; else gives them to be looked at one by one."""
        names, lengths = set(rows.names), rows.lengths
        longest = self._max_length if self._max_length is not None else int(lengths.max())
        plain = len(names) == len(rows.names) and self.names.isdisjoint(names)
        plain = plain and self._min_length <= lengths.min() and lengths.max() <= longest
        tokens = tokenizer.encode_rows(rows.letters, lengths) if plain else None
        if tokens is None:
            return rows.records()
        field = tokenizer.spec.symbol_target.name
        writer.append_rows([Sequence({field: tokens}, rows.names[0])], lengths, rows.names)
        rows.counted()
        ledger.accept(len(rows.names))
        self.names |= names
        self.lengths += lengths.tolist()
        self.letter_counts.add(rows.letters)
        self.keys.extend(rows)
        return iter(())

    def _encode_one(
        self,
        record: Any,
        index: int,
        tokenizer: Tokenizer[Any],
        writer: TokenStoreWriter,
        ledger: Ledger,
        plan: SplitPlan | None,
        planned: list[int] | None,
    ) -> None:
        try:
            letters = self._letters_of(record, index)
            cuts: list[tuple[int, int, int]] = []
            if plan is not None and planned is not None:
                sequence, cuts = self._encode_pieces(tokenizer, record, plan, planned[index])
            else:
                sequence = tokenizer.encode(record)
                if self.split.rule == "last":
                    cuts = token_parts(tokenizer, sequence, last_part(len(letters), self.split))
            name = self._free_name(self.source.name(record) or f"record_{index + 1}")
            sequence.id = name
            sequence.group = self.source.group(record) or sequence.group
            sequence.labels = {**sequence.labels, **self.source.labels(record)}
            self.pairs.check(record, name)
            row = writer.append(sequence)
        except InputError as error:
            ledger.reject(self._reject(record, index, error), self._share_read())
            return
        ledger.accept()
        self.pairs.add(record, row)
        self.renamed += name != self.source.name(record)
        self.names.add(name)
        self.lengths.append(len(letters))
        if hasattr(self.source, "values"):
            self.ranges.add(self.source.values(record))
        else:
            self.letter_counts.add(letters)
        self.spans += [(row, start, stop, split) for start, stop, split in cuts]
        if plan is None:
            self._add_keys(record, letters)

    def token_spans(
        self, writer: TokenStoreWriter, plan: SplitPlan, *, cut: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The plan's spans in tokens: whole rows, or where records were cut the places noted while encoding."""
        if cut:
            table = np.array(self.spans, dtype=np.int64).reshape(-1, 4)
            return table[:, :3], table[:, 3].astype(np.uint8)
        rows = np.arange(len(writer))
        return np.stack([rows, np.zeros_like(rows), writer.row_lengths], axis=1), plan.split

    def report(
        self,
        out: Path,
        tokenizer: Tokenizer[Any],
        writer: TokenStoreWriter,
        ledger: Ledger,
        plan: SplitPlan,
        domain: str,
    ) -> DataReport:
        letters = self.letter_counts.by_letter()
        lengths = np.array(self.lengths)
        notes = dict(getattr(self.source, "notes", {}))
        canonical = getattr(self.source, "canonical_letters", "")
        return DataReport(
            store=str(out),
            domain=domain,
            source=dict(self.source.provenance),
            natural_unit=getattr(self.source, "letter_unit", tokenizer.natural_unit),
            tokenizer=tokenizer.kind,
            n_tokens=writer.n_tokens,
            counts=ledger.counts(),
            rejects=str(ledger.path) if ledger.n_rejected else "",
            letters=letters,
            lengths={
                "min": int(lengths.min()),
                "median": float(np.median(lengths)),
                "max": int(lengths.max()),
                "total": int(lengths.sum()),
            },
            split=plan.report,
            renamed=self.renamed,
            notes=notes,
            warnings=look_for_oddities(letters, canonical, plan.report, notes),
            values=self.ranges.to_dict(),
            values_name=getattr(self.source, "values_name", "values"),
        )

    def _items(self, phase: str, *, many: bool = False) -> Iterator[Any]:
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

    def _letters_of(self, record: Any, index: int) -> NDArray[np.uint8]:
        """Raises RecordError for a Reject of the source and for a record of the wrong length."""
        if isinstance(record, Reject):
            raise RecordError(record.reason, record.message, record=record.id)
        letters = self.source.letters(record)
        for wrong, reason, limit in (
            (len(letters) < self._min_length, "too_short", f"at least {self._min_length:,}"),
            (self._max_length is not None and len(letters) > self._max_length, "too_long", f"up to {self._max_length}"),
        ):
            if wrong:
                name = self.source.name(record)
                unit = "steps" if hasattr(self.source, "values") else "letters"
                raise RecordError(reason, f"'{name}' has {len(letters):,} {unit}, expected {limit}", record=name)
        return letters

    def _add_keys(self, record: Any, letters: NDArray[np.uint8]) -> None:
        split = self.source.split(record) if self.split.rule == "given" and hasattr(self.source, "split") else None
        self.keys.add(letters, group=self.source.group(record), stamp=self.source.stamp(record), split=split)

    def _reject(self, record: Any, index: int, error: InputError) -> Reject:
        if isinstance(record, Reject):
            return record
        file, line, offset = self.source.place(record) if hasattr(self.source, "place") else ("", None, None)
        reason = error.reason if isinstance(error, RecordError) else "refused"
        return Reject(file, index, self.source.name(record), line, offset, reason, error.message)

    def _free_name(self, name: str) -> str:
        """`name`, or where it is taken `name.2`, `name.3` ..."""
        if name not in self.names:
            return name
        number = 2
        while f"{name}.{number}" in self.names:
            number += 1
        return f"{name}.{number}"

    def _piece(self, record: Any, start: int, stop: int, planned: int) -> Any:
        whole = (start, stop) == (0, self.keys.lengths[planned])
        return record if whole else self.source.piece(record, start, stop)

    def _encode_pieces(
        self, tokenizer: Tokenizer[Any], record: Any, plan: SplitPlan, planned: int
    ) -> tuple[Sequence, list[tuple[int, int, int]]]:
        """One record encoded span by span: the whole in tokens, and (start, stop, split) of each span in tokens."""
        if planned < 0:
            tokenizer.canonical(record)  # refused in the survey: says why again
        pieces, cuts, at = [], [], 0
        spans, splits = plan.of(planned)
        for (_, start, stop), split in zip(spans.tolist(), splits.tolist(), strict=True):
            pieces.append(tokenizer.encode(self._piece(record, start, stop, planned)))
            cuts.append((at, at + len(pieces[-1]), split))
            at += len(pieces[-1])
        return end_to_end(pieces), cuts
