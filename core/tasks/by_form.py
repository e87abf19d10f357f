"""The metrics of each form of answers and the baselines that suit it, for `core.tasks.evaluation`."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from operator import eq
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MODEL, MetricTable, Totals
from core.sequence import Array, Sequence
from core.tasks.baselines import Readings, Windows, ridge
from core.tasks.forms import Classes, Indices, Number, PerToken, Task
from core.tasks.measures import area_under_curve, macro_f1, measure, root_mean_square, spearman
from core.tasks.predict import Answer

if TYPE_CHECKING:
    from core.tasks.evaluation import TaskEvaluationConfig

HOLE = "\0"
"""In place of a letter that is not asked for, because its piece of the record was refused."""
FREE = "without_grammar"
"""The same model, answering whatever it likes."""


@dataclass
class Questions:
    """Questions of one task with their right answers."""

    questions: list[Sequence] = field(default_factory=list)
    truth: list[Any] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    """Of questions about pieces of records: the record's name and where the piece begins in it; else empty."""

    @property
    def sequences(self) -> list[Array]:
        return [next(iter(q.arrays.values())) for q in self.questions]

    def __len__(self) -> int:
        return len(self.questions)

    def together(self, texts: Many[str]) -> list[str]:
        """Texts of the questions, those of one record's pieces end to end, with `HOLE` where one was refused."""
        if not self.places:
            return list(texts)
        found = {name: "" for name, _ in self.places}
        for at in sorted(range(len(texts)), key=lambda i: self.places[i][1]):
            name, start = self.places[at]
            found[name] = found[name].ljust(start, HOLE) + texts[at]
        return list(found.values())


@dataclass(frozen=True)
class Parts:
    """Of one task: what is asked, what baselines learn from, and what they are chosen on."""

    asked: Questions
    train: Questions
    held: Questions


Guesses = dict[str, list[Any]]
"""By baseline, a value for each question."""


def each(values: NDArray[Any]) -> Totals:
    return Totals(values.astype(np.float64), np.ones(len(values)))


def _classes(
    table: MetricTable,
    task: Classes,
    parts: Parts,
    said: dict[str, list[Answer]],
    label: str,
    config: TaskEvaluationConfig,
) -> None:
    if task.several:
        _lists(table, task, parts, said, label, config)
        return
    number = {c: i for i, c in enumerate(task.classes)}
    truth = np.array([number[t] for t in parts.asked.truth])
    found = {model: np.array([number.get(a.value, -1) for a in given]) for model, given in said.items()}
    scores = {
        MODEL: np.array([list((a.probabilities or {}).values()) for a in said[MODEL]]),
    }
    if len(parts.train):
        known = np.array([number[t] for t in parts.train.truth])
        found["majority"] = np.full(len(truth), np.bincount(known).argmax())
        name, guessed = _ridge(parts, np.eye(len(number)), number.__getitem__)
        found[name], scores[name] = guessed.argmax(1), guessed
    settings: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    table.measure(f"accuracy_{task.name}", {m: each(s == truth) for m, s in found.items()}, **settings)
    kinds = {model: macro_f1(truth, s, len(number)) for model, s in found.items()}
    measure(table, f"f1_macro_{task.name}", kinds, len(truth), **settings)
    if len(number) == 2 and len(set(truth.tolist())) == 2:
        areas = {model: area_under_curve(truth, s[:, 1]) for model, s in scores.items()}
        measure(table, f"auc_{task.name}", areas, len(truth), **settings)


def _ridge(parts: Parts, values: NDArray[np.float64], number: Callable[[Any], int]) -> tuple[str, NDArray[np.float64]]:
    """A regression on k-mers or sites to rows of `values` (K, W): its name and (N, W) of what is asked."""
    read = Readings(parts.train.sequences)
    y, held = (values[[number(t) for t in rows.truth]].reshape(len(rows), -1) for rows in (parts.train, parts.held))
    model = ridge(read(parts.train.sequences), y, read(parts.held.sequences), held)
    return read.name, model(read(parts.asked.sequences))


def _numbers(
    table: MetricTable,
    task: Number,
    parts: Parts,
    said: dict[str, list[Answer]],
    label: str,
    config: TaskEvaluationConfig,
) -> None:
    truth = np.array(parts.asked.truth)
    known = np.array(parts.train.truth) if len(parts.train) else truth
    found = {
        model: np.array([known.mean() if a.value is None else a.value for a in given]) for model, given in said.items()
    }
    if len(parts.train):
        found["mean"] = np.full(len(truth), known.mean())
        read = Readings(parts.train.sequences)
        held = np.array(parts.held.truth, np.float64).reshape(-1, 1)
        model = ridge(read(parts.train.sequences), known[:, None], read(parts.held.sequences), held)
        found[read.name] = model(read(parts.asked.sequences))[:, 0]
    settings: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    ranks = {model: spearman(truth, values) for model, values in found.items() if model != "mean"}
    measure(table, f"spearman_{task.name}", ranks, len(truth), **settings)
    errors = {model: root_mean_square(values - truth) for model, values in found.items()}
    measure(table, f"rmse_{task.name}", errors, len(truth), **settings)
    ends = np.array([(a.low, a.high) for a in said[MODEL]], np.float64)
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    table.measure(f"share_inside_80_{task.name}", {MODEL: each(inside)}, **settings)


def _lists(
    table: MetricTable,
    task: Task,
    parts: Parts,
    said: dict[str, list[Answer]],
    label: str,
    config: TaskEvaluationConfig,
) -> None:
    """Exact matches, and F1 over all entries of all lists."""
    found: Guesses = {model: [() if a.value is None else a.value for a in given] for model, given in said.items()}
    wrong = {model: np.array([a.value is None for a in given]) for model, given in said.items()}
    if len(parts.train) and isinstance(task, Indices):
        found["window_ridge"] = _window_places(parts)
    truth = parts.asked.truth
    settings: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    nothing = np.zeros(len(truth), bool)
    exact = {
        model: each(np.array([a == t for a, t in zip(values, truth, strict=True)]) & ~wrong.get(model, nothing))
        for model, values in found.items()
    }
    table.measure(f"exact_{task.name}", exact, **settings)
    table.measure(f"f1_{task.name}", {model: _f1(truth, values) for model, values in found.items()}, **settings)


def _f1(truth: Many[tuple[Any, ...]], said: Many[tuple[Any, ...]]) -> Totals:
    """2 right / (entries of both), record by record: its mean is the F1 over all entries."""
    right = [2.0 * len(set(t) & set(s)) for t, s in zip(truth, said, strict=True)]
    both = [float(len(t) + len(s)) for t, s in zip(truth, said, strict=True)]
    return Totals(np.array(right), np.array(both))


def _window_places(parts: Parts) -> list[tuple[int, ...]]:
    """Places whose window regression is above the threshold that has the best F1 on the validation part."""

    def as_units(rows: Questions) -> list[NDArray[np.float64]]:
        marks = [np.zeros(len(tokens)) for tokens in rows.sequences]
        for places, row in zip(rows.truth, marks, strict=True):
            row[[p - 1 for p in places]] = 1
        return marks

    chosen = parts.held if len(parts.held) else parts.train
    score = _window_ridge(
        parts, [m[:, None] for m in as_units(parts.train)], [m[:, None] for m in as_units(parts.held)]
    )
    tried = [score(tokens)[:, 0] for tokens in chosen.sequences]
    levels = np.unique(np.quantile(np.concatenate(tried), np.linspace(0, 1, 101)))

    def above(values: NDArray[np.float64], level: float) -> tuple[int, ...]:
        return tuple((np.flatnonzero(values >= level) + 1).tolist())

    best = max(levels, key=lambda level: np.nan_to_num(_f1(chosen.truth, [above(v, level) for v in tried]).mean))
    return [above(score(tokens)[:, 0], best) for tokens in parts.asked.sequences]


def _window_ridge(
    parts: Parts, y: list[NDArray[np.float64]], held_y: list[NDArray[np.float64]]
) -> Callable[[Array], NDArray[np.float64]]:
    read = Windows(parts.train.sequences)
    x = np.concatenate([read(tokens) for tokens in parts.train.sequences[:_WINDOW_ROWS]])
    held = [read(tokens) for tokens in parts.held.sequences[:_WINDOW_ROWS]]
    held_x = np.concatenate(held) if held else np.zeros((0, x.shape[1]))
    aim = np.concatenate(held_y[:_WINDOW_ROWS]) if held else np.zeros((0, y[0].shape[1]))
    model = ridge(x, np.concatenate(y[:_WINDOW_ROWS]), held_x, aim)
    return lambda tokens: model(read(tokens))


_WINDOW_ROWS = 300
"""Records that a window regression learns from: some 10^5 windows, a quarter of a gigabyte."""


_NONE = "\1"
"""In place of each letter of an answer that is none; no alphabet has it."""


def _texts(
    table: MetricTable,
    task: PerToken,
    parts: Parts,
    said: dict[str, list[Answer]],
    label: str,
    config: TaskEvaluationConfig,
) -> None:
    truth = parts.asked.truth
    found: Guesses = {
        model: [_NONE * len(t) if a.value is None else a.value for a, t in zip(given, truth, strict=True)]
        for model, given in said.items()
    }
    if len(parts.train):
        counts = {a: sum(t.count(a) for t in parts.train.truth) for a in task.alphabet}
        found["majority"] = [max(counts, key=lambda a: counts[a]) * len(t) for t in truth]
        if all(len(tokens) == n for tokens, n in zip(parts.train.sequences, parts.train.units, strict=True)):
            eye = np.eye(len(task.alphabet))
            y, held = ([eye[[task.alphabet.index(a) for a in t]] for t in r.truth] for r in (parts.train, parts.held))
            score = _window_ridge(parts, y, held)
            found["window_ridge"] = [
                "".join(task.alphabet[i] for i in score(tokens).argmax(1)) for tokens in parts.asked.sequences
            ]
    settings: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    truth = parts.asked.together(truth)
    texts = {m: parts.asked.together(v) for m, v in found.items()}
    holes = [t.count(HOLE) for t in truth]
    lengths = np.array([len(t) - n for t, n in zip(truth, holes, strict=True)], np.float64)

    def right(values: list[str]) -> Totals:
        hits = [sum(map(eq, v, t)) - n for v, t, n in zip(values, truth, holes, strict=True)]
        return Totals(np.array(hits, np.float64), lengths)

    table.measure(f"accuracy_per_unit_{task.name}", {m: right(v) for m, v in texts.items()}, **settings)
    exact = {m: each(np.array([a == t for a, t in zip(v, truth, strict=True)])) for m, v in texts.items()}
    table.measure(f"exact_{task.name}", exact, **settings)
    for letter in task.alphabet if len(task.alphabet) <= _LETTERS else ():
        if any(letter in t for t in truth):
            for what, parted in (("units", _places), ("runs", _runs)):
                wanted = [parted(t, letter) for t in truth]
                scores = {m: _f1(wanted, [parted(t, letter) for t in v]) for m, v in texts.items()}
                table.measure(f"f1_{what}_{task.name}_{letter}", scores, **settings)


_LETTERS = 8
"""Most letters of an alphabet that are judged one by one."""


def _places(text: str, letter: str) -> tuple[int, ...]:
    return tuple(at for at, other in enumerate(text) if other == letter)


def _runs(text: str, letter: str) -> tuple[tuple[int, int], ...]:
    """(start, stop) of each stretch of one letter: exons, where the letter says exon. One counts as found where both
    its ends are right, as gene finders are judged (Burset and Guigo 1996, Genomics 34:353)."""
    return tuple(found.span() for found in re.finditer(f"{re.escape(letter)}+", text))


MEASURES: dict[type[Task], Callable[..., None]] = {
    Classes: _classes,
    Number: _numbers,
    Indices: _lists,
    PerToken: _texts,
}
