"""Labelled rows of a domain's records, as counted ingestion reads them: one row for each record and task.

A row is called `RECORD#task`. Letters, group and side of the split are the record's, so rows of one record stay
together. A record without a label for a task has no row there, which is noted and counted. Where a task asks in pieces,
`RECORD:1-500#task` is the row of a longer record's first 500 letters; then each row says which record it is of and
where it begins there, and a record is the group of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError, nearest
from core.ingest import RecordSource
from core.ingest.questions import START, WHOLE
from core.rejects import Reject
from core.split import SplitConfig
from core.tasks.forms import Indices, PerToken, Task, check_keys, guess_kind, is_missing, make_task
from core.tasks.tokenizer import Labelled

_LOOKED_AT = 200
"""Records that the forms of tasks are guessed from."""


class TaskSource:
    """Rows of `source`, a `core.ingest.RecordSource` itself.

    Args:
        tasks: each asked of every record that has its label.
        notes: where the tokenizer counts what it had to change.

    Raises ConfigError where no record has one of the labels.
    """

    def __init__(self, source: RecordSource[Any], tasks: tuple[Task, ...], notes: Counter[str] | None = None) -> None:
        self.source, self.tasks = source, tasks
        self._written: Counter[str] = Counter() if notes is None else notes
        self.canonical_letters: str = getattr(source, "canonical_letters", "")
        self.pieces = any(isinstance(task, PerToken) and task.piece for task in tasks)
        """Whether records are asked in pieces, which must stay on one side of the split."""
        self.own_labels = (*getattr(source, "own_labels", ()), "task", *((WHOLE, START) if self.pieces else ()))
        self._rows = 0
        self._missing: Counter[str] = Counter()
        kept = ("complement", "letter_unit", "letters_are_keys", "remedies", "values_name", "files_apart", "restrict")
        for name in kept:
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))
        if hasattr(source, "values"):
            self.values = lambda row: source.values(row.record)

    def __iter__(self) -> Iterator[Labelled | Reject]:
        self._rows, items = 0, 0
        self._missing.clear()
        self._written.clear()
        for item in self.source:
            items += 1
            if isinstance(item, Reject):
                self._rows += 1
                yield item
                continue
            labels = self.source.labels(item)
            for task in self.tasks:
                label = self._label(item, labels, task)
                if is_missing(label) and task.column not in _letter_labels(item):
                    self._missing[f"no label for task '{task.name}'"] += 1
                    continue
                for row in self._rows_of(item, task, label):
                    self._rows += 1
                    yield row
        counted = getattr(self.source, "records_in", items)
        if counted != items:
            raise InputError(f"the files hold {counted:,} records, but {items:,} came out of their reader")

    def _label(self, record: Any, labels: Mapping[str, Any], task: Task) -> Any:
        if isinstance(task, Indices) and task.letters:
            wanted = np.frombuffer(task.letters.encode("ascii"), np.uint8)
            return tuple((np.flatnonzero(np.isin(self.source.letters(record), wanted)) + 1).tolist())
        if task.column in labels:
            return labels[task.column]
        if task.column in _letter_labels(record):
            return None  # the tokenizer finds it there
        raise _no_label(task.name, task.column, (*labels, *_letter_labels(record)))

    def _rows_of(self, record: Any, task: Task, label: Any) -> Iterator[Labelled]:
        """The record, or its pieces with their part of the label. One whose label is of another length stays whole, to
        be refused for that."""
        size = len(self.source.letters(record)) if isinstance(task, PerToken) and task.piece else 0
        if not isinstance(task, PerToken) or size <= task.piece or (isinstance(label, str) and len(label) != size):
            yield Labelled(record, task.name, label, self.source.name(record) if self.pieces else "")
            return
        self._missing[f"records asked for '{task.name}' in pieces of at most {task.piece}"] += 1
        for start, stop in task.stretches(size):
            part = label[start:stop] if isinstance(label, str) else label
            whole = self.source.name(record)
            yield Labelled(self.source.piece(record, start, stop), task.name, part, whole, start, stop)

    @property
    def records_in(self) -> int:
        """Rows and rejects of the last pass."""
        return self._rows

    @property
    def notes(self) -> dict[str, int]:
        return {**dict(getattr(self.source, "notes", {})), **self._missing, **self._written}

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.source.provenance

    @property
    def total_bytes(self) -> int | None:
        return self.source.total_bytes

    @property
    def bytes_read(self) -> int:
        return self.source.bytes_read

    @property
    def suggested_split(self) -> dict[str, Any]:
        """The source's; whole records where it would cut them."""
        found = dict(getattr(self.source, "suggested_split", {}))
        return {**found, "rule": "cluster"} if found.get("rule") == "last" else found

    def name(self, row: Labelled) -> str:
        where = f":{row.start + 1}-{row.stop}" if row.stop else ""
        return f"{self.source.name(row.record)}{where}#{row.task}"

    def letters(self, row: Labelled) -> NDArray[np.uint8]:
        return self.source.letters(row.record)

    def piece(self, row: Labelled, start: int, stop: int) -> Labelled:
        raise ConfigError("split.rule=last cuts records, and an answer belongs to a whole one", hint=_OTHER_RULES)

    def group(self, row: Labelled) -> str | None:
        return self.source.group(row.record) or row.whole or None

    def stamp(self, row: Labelled) -> Any:
        return self.source.stamp(row.record)

    def split(self, row: Labelled) -> str | None:
        side: str | None = self.source.split(row.record) if hasattr(self.source, "split") else None
        return side

    def labels(self, row: Labelled) -> dict[str, Any]:
        where = {WHOLE: row.whole, START: row.start} if self.pieces else {}
        return {**self.source.labels(row.record), "task": row.task, **where}

    def place(self, row: Labelled) -> tuple[str, int | None, int | None]:
        found: tuple[str, int | None, int | None] = ("", None, None)
        return self.source.place(row.record) if hasattr(self.source, "place") else found


def _letter_labels(record: Any) -> Mapping[str, Any]:
    """Labels of a record's letters, by name, as Biopython's records carry them."""
    return getattr(record, "letter_annotations", None) or {}


def _no_label(task: str, column: str, known: Iterable[str]) -> ConfigError:
    known = list(known)
    return ConfigError(
        f"task '{task}': records have no label '{column}'{nearest(column, known)}",
        hint=f"Labels: {', '.join(known) or 'none'}. Give tasks.{task}.column=NAME.",
    )


_OTHER_RULES = "Choose split.rule=cluster, random, group or given."


def whole_records(split: SplitConfig, *, pieces: bool = False) -> SplitConfig:
    """The split as it suits rows that ask several things of one record, which must never be separated.

    Rows of one record have the same letters, and every rule but `given` keeps copies together; `given` deals out a
    validation part with copies together where they were looked for.

    Args:
        pieces: whether records are asked in pieces: these have one group.

    Raises ConfigError for a rule that cuts records.
    """
    if split.rule == "last":
        raise ConfigError("split.rule=last cuts records, and an answer belongs to a whole one", hint=_OTHER_RULES)
    split = replace(split, whole_groups=split.whole_groups or pieces)
    return replace(split, leakage=True) if split.rule == "given" else split


def make_tasks(config: Mapping[str, Any], source: RecordSource[Any]) -> tuple[Task, ...]:
    """The tasks below `tasks`, where a kind that is not said is guessed from the first records' labels.

    Raises ConfigError for what `make_task` refuses, a key that no form has and a label that records do not have.
    """
    tasks: list[Task] = []
    seen: list[Any] | None = None
    for name, value in config.items():
        if not isinstance(value, Mapping):
            raise ConfigError(f"tasks.{name}={value!r}: expected keys like tasks.{name}.kind=classes")
        values = dict(value)
        if values.get("kind") is None:
            check_keys(str(name), values)
            if seen is None:
                seen = [item for item in islice(iter(source), _LOOKED_AT) if not isinstance(item, Reject)]
            column = values.get("column") or values.get("label") or name
            kind = "per_token"
            labels = [source.labels(record) for record in seen]
            if any(column in found for found in labels):
                lengths = [len(source.letters(record)) for record in seen]
                kind = guess_kind([found.get(column) for found in labels], lengths)
            elif not any(column in _letter_labels(record) for record in seen):
                known = sorted({key for found in (*labels, *map(_letter_labels, seen)) for key in found})
                raise _no_label(str(name), column, known)
            values["kind"] = kind
        task = make_task(str(name), values)
        tasks.append(task)
    return tuple(tasks)


def columns_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a table must give as labels: those of all tasks that need labels."""
    found = []
    for name, value in config.items():
        values = dict(value) if isinstance(value, Mapping) else {}
        if values.get("kind") != "positions" and not values.get("letters"):
            found.append(str(values.get("column") or values.get("label") or name))
    return tuple(dict.fromkeys(found))
