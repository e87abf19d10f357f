"""The forms of answers: a class, several classes, a number, places in the sequence, a letter for each unit.

A task is a question to a whole sequence, put by a token `<NAME>` behind it; the answer follows as tokens and ends with
the end of sequence (Prot2Token, arXiv 2505.20589).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from core.config_keys import from_keys
from core.errors import ConfigError, nearest
from core.registry import Registry
from core.tasks.forms.classes import Classes
from core.tasks.forms.indices import Indices
from core.tasks.forms.number import Number
from core.tasks.forms.per_token import PerToken
from core.tasks.forms.task import Task, is_missing, texts

__all__ = [
    "FORMS",
    "Classes",
    "Indices",
    "Number",
    "PerToken",
    "Task",
    "check_keys",
    "guess_kind",
    "is_missing",
    "make_task",
]

FORMS: Registry[type[Task]] = Registry(
    "form of a task", {"classes": Classes, "number": Number, "indices": Indices, "per_token": PerToken}
)


def make_task(name: str, config: Mapping[str, Any]) -> Task:
    """The task that `tasks.NAME.kind=... tasks.NAME.column=...` describes; `positions` is `indices` of letters.

    Raises ConfigError for an unknown kind or key, the nearest shown.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if v is not None and k != "kind"}
    kind = str(config.get("kind", ""))
    if kind == "positions":
        if not values.get("letters"):
            raise ConfigError(f"tasks.{name}: kind=positions needs letters=, like tasks.{name}.letters=STYKRN")
        kind = "indices"
    if "label" in values:
        values["column"] = values.pop("label")
    return from_keys(FORMS.get(kind), {"name": name, **values}, f"tasks.{name}")


def check_keys(name: str, config: Mapping[str, Any]) -> None:
    """Raises ConfigError for a key that no form of a task has, the nearest shown."""
    known = {f.name: None for form in FORMS.names() for f in fields(FORMS.get(form)) if f.init and f.name != "name"}
    for key in config:
        if key not in (*known, "kind", "label"):
            raise ConfigError(
                f"tasks.{name}: unknown key '{key}'{nearest(key, known)}", hint=f"Known: {', '.join(known)}."
            )


_MOST = 0.9
"""Of the labels that must be as long as their records: a wrong one among them is refused later, by its name."""


def guess_kind(labels: Iterable[Any], lengths: Iterable[int]) -> str:
    """The form that labels of records of these lengths have, where it is not said: numbers that are not all whole are a
    `number`, texts as long as their records `per_token`, lists of whole numbers `indices`, all else `classes`.
    """
    pairs = [(label, n) for label, n in zip(labels, lengths, strict=True) if not is_missing(label)]
    values = [label for label, _ in pairs]
    if values and all(isinstance(v, float | int | np.floating | np.integer) for v in values):
        return "number" if any(float(v) != round(float(v)) for v in values) else "classes"
    if values and np.mean([len(str(v)) == n for v, n in pairs]) >= _MOST:
        return "per_token"
    lists = [texts(v) for v in values]
    if any(len(found) > 1 for found in lists) and all(t.isdigit() for found in lists for t in found if t):
        return "indices"
    return "classes"
