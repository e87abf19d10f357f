"""A tokenizer of labelled records: another tokenizer's tokens, then `<task>` and the answer. Old ids stay as they are.

A row asks one task, so that training reads what is asked at use: one sequence, one question. Only the answer and the
end are predicted in training; `prompt=true` counts the sequence as well. Views are off: turning a sequence around would
move its labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from core.sequence import Array, Sequence, TokenSpec
from core.tasks.forms import Task, is_missing, make_task
from core.tasks.grammar import TaskGrammar
from core.tokenizer import Tokenizer, describe
from core.vocabulary import SPECIALS, Vocabulary


@dataclass(frozen=True)
class Labelled:
    """A record with one question and its answer."""

    record: Any
    """As the domain knows it."""
    task: str = ""
    """Empty: the record alone."""
    label: Any = None
    """None: asked, not answered; or among the record's labels of letters (`letter_annotations`)."""
    whole: str = ""
    """The name of the record that this is all or a piece of, where records are asked in pieces."""
    start: int = 0
    stop: int = 0
    """Where a piece begins and ends in it, in letters; 0 and 0 for all of it."""


class TaskTokenizer:
    """Records of a domain, or `Labelled` ones.

    Args:
        base: any tokenizer whose token is one symbol.
        tasks: in the order of their symbols.
        prompt: whether the sequence counts in training too.
        notes: where `encode` counts labels that it could not write as they are.
    """

    kind: ClassVar[str] = "tasks"
    version: ClassVar[int] = 1
    rows_stay_whole: ClassVar[bool] = True
    """An answer without its question teaches nothing: training does not cut rows into windows."""

    def __init__(
        self, base: Tokenizer[Any], tasks: Many[Task], *, prompt: bool = False, notes: Counter[str] | None = None
    ) -> None:
        if not tasks:
            raise ConfigError("tasks: expected at least one, like tasks.soluble.kind=classes")
        field = base.spec.symbol_target
        if len(base.spec.fields) > 1:
            raise ConfigError(f"tasks are put behind sequences of one field, {base.kind} has {base.spec.names}")
        self.base, self.tasks, self.prompt, self.field = base, tuple(tasks), prompt, field.name
        self.notes: Counter[str] = Counter() if notes is None else notes

    @property
    def natural_unit(self) -> str:
        return self.base.natural_unit

    @property
    def remedies(self) -> Mapping[str, str]:
        """The base's; empty where it knows none."""
        found: Mapping[str, str] = getattr(self.base, "remedies", {})
        return found

    @property
    def needs_fit(self) -> bool:
        return self.base.needs_fit or any(task.needs_fit for task in self.tasks)

    def fit(self, train_records: Iterable[Labelled]) -> Self:
        """Learns classes, ranges and lengths, and what the base learns; each record is shown to it once."""
        labels: dict[str, list[Any]] = {task.name: [] for task in self.tasks}
        longest = 0

        def records() -> Iterator[Any]:
            nonlocal longest
            before = None
            for labelled in train_records:
                length = self._length(labelled.record)
                longest = max(longest, length)
                with suppress(RecordError):  # a label that is none is refused by `encode`, where rejects are counted
                    if labelled.task and (value := self._value(labelled, length)) is not None:
                        labels[labelled.task].append(value)
                if labelled.record is not before:
                    before = labelled.record
                    yield before

        base = self.base
        if base.needs_fit:
            base = base.fit(records())
        else:
            for _ in records():
                pass
        fitted = [task.fit(labels[task.name], longest) for task in self.tasks]
        return type(self)(base, fitted, prompt=self.prompt, notes=self.notes)

    def task(self, name: str) -> Task:
        """Raises ConfigError, with the nearest name, where there is no such task."""
        for task in self.tasks:
            if task.name == name:
                return task
        names = [task.name for task in self.tasks]
        raise ConfigError(f"there is no task '{name}'{nearest(name, names)}", hint=f"Known: {', '.join(names)}.")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        old = self._old
        added = dict.fromkeys(s for task in self.tasks for s in (task.token, *task.symbols))
        return old.extend(s for s in added if s not in old.ids)

    @cached_property
    def spec(self) -> TokenSpec:
        return TokenSpec((replace(self.base.spec.symbol_target, vocabulary=self.vocabulary),))

    def encode(self, record: Labelled | Any) -> Sequence:
        """A record alone, or with its question and, where it has one, the answer.

        Raises RecordError where the record or its label is refused.
        """
        labelled = record if isinstance(record, Labelled) else Labelled(record)
        plain = self.base.encode(labelled.record)
        tokens = plain.arrays[self.field].astype(self.vocabulary.dtype)
        if not labelled.task:
            return Sequence({self.field: tokens}, plain.id)
        task, length = self.task(labelled.task), self.length_of(tokens)
        value = self._value(labelled, length)
        answer = [] if value is None else task.write(value, length)
        if value is not None and task.clips(value):
            self.notes[f"label of task '{task.name}' outside of its range: written as the nearer end"] += 1
        behind = self.vocabulary.encode([task.token, *answer]).astype(self.vocabulary.dtype)
        counted = np.zeros(len(tokens) + len(behind), bool)
        counted[len(tokens) + 1 :] = True
        if self.prompt:
            counted[: len(tokens)] = True
        return Sequence({self.field: np.concatenate([tokens, behind])}, plain.id, loss_mask={self.field: counted})

    def ask(self, record: Labelled | Any, task: str) -> Sequence:
        """The sequence of a record and the token of a task, to be answered."""
        return self.encode(Labelled(record.record if isinstance(record, Labelled) else record, task))

    def split(self, tokens: Array) -> tuple[Array, str, list[str]]:
        """A row's tokens as (the sequence's tokens, the task's name, the answer's symbols); "" for no task."""
        asked = np.isin(tokens, [self.vocabulary.ids[task.token] for task in self.tasks])
        if not asked.any():
            return tokens, "", []
        at = int(asked.argmax())
        name = self.vocabulary.symbol(int(tokens[at]))[1:-1]
        return tokens[:at], name, self.vocabulary.decode(tokens[at + 1 :])

    def decode(self, sequence: Sequence) -> Labelled:
        """Raises RecordError where what stands behind a task is no answer of its form."""
        tokens, name, symbols = self.split(sequence.arrays[self.field])
        plain = Sequence({self.field: tokens.astype(self._old.dtype)}, sequence.id)
        record = self.base.decode(plain)
        if not name:
            return Labelled(record)
        value = self.task(name).read(symbols, self.length_of(tokens))
        if value is None and symbols:
            shown = " ".join(symbols[:8])
            raise RecordError("no_answer", f"'{sequence.id}': {shown} is no answer to {name}", record=sequence.id)
        return Labelled(record, name, value)

    def canonical(self, record: Labelled | Any) -> Labelled:
        labelled = record if isinstance(record, Labelled) else Labelled(record)
        if labelled.task:
            task, length = self.task(labelled.task), self._length(labelled.record)
            value = self._value(labelled, length)
            if value is not None and not self.needs_fit:
                value = task.read(task.write(value, length), length)
            labelled = replace(labelled, label=value)
        return replace(labelled, record=self.base.canonical(labelled.record))

    def same(self, a: Labelled, b: Labelled) -> bool:
        return (a.task, a.label) == (b.task, b.label) and self.base.same(a.record, b.record)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """Those of the base; 0 for task and answer tokens."""
        return self._units[arrays[self.field]]

    def length_of(self, tokens: Array) -> int:
        """Natural units of a sequence's tokens."""
        return int(self._units[tokens].sum())

    def extend(self, symbols: Iterable[str]) -> Self:
        raise ConfigError("a tokenizer with tasks grows by further tasks", hint="Prepare the store with tasks.NAME=...")

    def grammar(self, *, task: str = "", **limits: Any) -> TaskGrammar:
        """The automaton of labelled sequences; of one task only where it is named."""
        if task:
            self.task(task)
        return TaskGrammar(self.tasks, self.vocabulary.ids, self._units, task)

    def view_record(self, record: Labelled | Any, rng: np.random.Generator) -> Sequence:
        return self.encode(record)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        return arrays

    def to_config(self) -> dict[str, Any]:
        tasks = [task.to_config() for task in self.tasks]
        return {"base": describe(self.base), "prompt": self.prompt, "tasks": tasks}

    @classmethod
    def around(cls, base: Tokenizer[Any], config: Mapping[str, Any]) -> Self:
        """From its config and the base made already, as `core.tokenizer.restore` does."""
        tasks = [make_task(str(c["name"]), {k: v for k, v in c.items() if k != "name"}) for c in config["tasks"]]
        return cls(base, tasks, prompt=bool(config["prompt"]))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        raise ConfigError("a tokenizer with tasks is made around another one", hint="See core.tokenizer.restore.")

    def _value(self, labelled: Labelled, length: int) -> Any:
        """A label as its task's value; None where there is none."""
        task = self.task(labelled.task)
        if not is_missing(labelled.label):
            return task.parse(labelled.label, length)
        carried = getattr(labelled.record, "letter_annotations", None) or {}
        if task.column not in carried:
            return None
        values = np.asarray(carried[task.column])
        if len(values) != length:  # the tokenizer drops a closing stop, say, and not its label
            raise RecordError(
                "label_length", f"task '{task.name}': {len(values):,} labels of letters for {length:,} units"
            )
        return task.parse_units(values)

    @property
    def _old(self) -> Vocabulary:
        old = self.base.spec.symbol_target.vocabulary
        assert old is not None
        return old

    @cached_property
    def _units(self) -> NDArray[np.float64]:
        """(V,) natural units by id."""
        units = np.zeros(len(self.vocabulary))
        letters = np.arange(len(SPECIALS), len(self._old), dtype=self._old.dtype)
        units[len(SPECIALS) : len(self._old)] = self.base.units({self.field: letters})
        return units

    def _length(self, record: Any) -> int:
        """Natural units of a record, whether or not the base has learned."""
        if not self.base.needs_fit:
            return int(self.base.units(self.base.encode(record).arrays).sum())
        return len(self.base.canonical(record))
