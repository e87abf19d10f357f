"""Answers that are one class of several, or any number of classes: a token each."""

from __future__ import annotations

import math
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from core.errors import ConfigError, RecordError
from core.tasks.forms.task import Allowed, Steps, Task, class_name, texts


@dataclass(frozen=True)
class Classes(Task):
    """One class of several; with `several`, any number of them, sorted."""

    classes: tuple[str, ...] = ()
    """In the order of their tokens; learned from the training labels where not given."""
    several: bool = False
    """Whether a record has a list of classes (`membrane;nucleus`)."""

    kind: ClassVar[str] = "classes"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "classes", tuple(map(class_name, texts(self.classes) if self.classes else ())))
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ConfigError(
                f"task '{self.name}': classes are {', '.join(self.classes)}; expected at least two different ones",
                hint="A question with one answer teaches nothing: look at the column, or at the split.",
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(f"<{self.name}:{c}>" for c in self.classes)

    def fit(self, labels: Many[Any], longest: int) -> Self:
        if self.classes:
            return self
        found = {c for label in labels for c in ([label] if isinstance(label, str) else label)}
        if len(found) < 2:
            raise ConfigError(
                f"task '{self.name}': the training part has {len(found)} class{'es' * (not found)} "
                f"in column '{self.column}' ({', '.join(sorted(found))}), expected at least two",
                hint="Look at the column; where its classes are sorted in the file, choose another split.rule.",
            )
        return replace(self, classes=tuple(sorted(found, key=_numbers_first)))

    def parse(self, label: Any, length: int) -> str | tuple[str, ...]:
        if not self.several:
            return class_name(label)
        return tuple(sorted({class_name(c) for c in texts(label) if c}))

    def write(self, value: str | tuple[str, ...], length: int) -> list[str]:
        wanted = (value,) if isinstance(value, str) else value
        for c in wanted:
            if c not in self.classes:
                raise RecordError(
                    "unknown_class",
                    f"task '{self.name}': class {c!r} does not occur in the training part ({', '.join(self.classes)})",
                )
        return [f"<{self.name}:{c}>" for c in sorted(wanted, key=self.classes.index)]

    def read(self, symbols: Many[str], length: int) -> str | tuple[str, ...] | None:
        numbers = [self.symbols.index(s) if s in self.symbols else -1 for s in symbols]
        rising = all(a < b for a, b in zip([-1, *numbers], numbers, strict=False))
        if not rising or (not self.several and len(numbers) != 1):
            return None
        return tuple(self.classes[i] for i in numbers) if self.several else self.classes[numbers[0]]

    def longest(self, length: int) -> int:
        return len(self.classes) if self.several else 1

    def allowed(self, step: Steps, last: Steps, length: Steps) -> Allowed:
        numbers = np.arange(len(self.classes))
        if self.several:
            return np.column_stack([numbers > last[:, None], np.ones(len(step), bool)])
        return np.column_stack([np.repeat((step == 0)[:, None], len(numbers), 1), step == 1])


def _numbers_first(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return math.inf, name
