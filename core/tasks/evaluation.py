"""How well a model answers the tasks of a store, beside answers without the grammar, and baselines.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `answers.csv` and a figure for each task. Metric names end with the task's. Numbers
are compared with the label as it was given, not as its digits say it; pieces of a record are judged together, and have
a line each in `answers.csv`. A model's answer that is none (which happens
without the grammar only) is wrong; where a number is needed, the training mean stands in for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.config_keys import from_keys
from core.durable import resources_named, write_bytes_durably
from core.errors import InputError
from core.evaluation import MODEL, MetricTable
from core.evaluation_options import EvaluationOptions, Limits, add_training
from core.ingest.questions import START, WHOLE
from core.report.gallery import Gallery
from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.tasks.by_form import FREE, MEASURES, Parts, Questions, each
from core.tasks.figures import draw
from core.tasks.forms import Number, Task, is_missing
from core.tasks.predict import answers

if TYPE_CHECKING:
    from core.engine import Engine
    from core.tasks.tokenizer import TaskTokenizer

__all__ = ["TaskEvaluationConfig", "evaluate"]


@dataclass(frozen=True)
class TaskEvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"max_rows": 0, "train_rows": 10}

    max_rows: int = 1000
    """Rows of each task that are asked, evenly spread over the split. 0: all."""
    train_rows: int = 5000
    """Rows of each task that baselines are fitted on, evenly spread over the training part."""
    without_grammar: bool = True
    """Whether the same questions are asked without the grammar too."""
    baselines: bool = True
    """Whether baselines are fitted."""


def evaluate(
    engine: Engine,
    store: TokenStore,
    tokenizer: TaskTokenizer,
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on the questions in one split of a store and writes everything to the folder `out`.

    Args:
        engine: of a model of `tokenizer`.
        split: train, validation or test; baselines are fitted on train and chosen on validation.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see TaskEvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split asks nothing.
    """
    config = from_keys(TaskEvaluationConfig, options, "evaluation")
    label = config.label(store, split)
    table, gallery = MetricTable(), Gallery(out)
    lines: list[tuple[str, ...]] = [("id", "task", "truth", "answer", "low", "high", "masked_mass")]
    for task in tokenizer.tasks:
        asked = _rows(store, tokenizer, task, split, config.max_rows)
        if not len(asked):
            say(f"{task.name}: no row of {split} asks it")
            continue
        parts = Parts(asked, Questions(), Questions())
        if config.baselines:
            train = _rows(store, tokenizer, task, "train", config.train_rows)
            parts = Parts(asked, train, _rows(store, tokenizer, task, "validation", config.train_rows))
        say(f"{task.name}: {len(asked):,} questions")
        said = {MODEL: list(answers(engine, tokenizer, asked.questions, task.name))}
        if config.without_grammar:
            said[FREE] = list(answers(engine, tokenizer, asked.questions, task.name, grammar=False))
        MEASURES[type(task)](table, task, parts, said, label, config)
        masked = np.array([answer.masked_mass for answer in said[MODEL]])
        table.measure(f"masked_mass_{task.name}", {MODEL: each(masked)}, split=label, seed=config.seed)
        if config.figures:
            draw(gallery, task, asked, said, label)
        for truth, answer in zip(asked.truth, said[MODEL], strict=True):
            shown = (answer.value, answer.low, answer.high, f"{answer.masked_mass:.4g}")
            lines.append((answer.id, task.name, cell(truth), *map(cell, shown)))
    if not table.rows:
        raise InputError(f"no row of the {split} part of {store.path} asks a task", hint="Choose another split=.")
    add_training(table, training, label)
    table.write(out)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    with resources_named(Path(out)):
        write_bytes_durably(Path(out) / "answers.csv", text.getvalue().encode())
    if config.figures:
        gallery.write()
    return table


def cell(value: Any) -> str:
    """An answer or a label as a table has it."""
    if isinstance(value, tuple):
        return ";".join(map(str, value)) or "none"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows(store: TokenStore, tokenizer: TaskTokenizer, task: Task, split: str, limit: int) -> Questions:
    """Rows of a split that ask a task and are answered, about `limit` at most, evenly spread; cut ones are left out.
    Of a record that is asked in pieces all are taken."""
    spans = store.spans(split)
    asks = np.array([name == task.name for name in store.labels("task").tolist()])
    spans = spans[asks[spans[:, 0]]]
    wholes = store.labels(WHOLE) if WHOLE in store.label_names else None
    if limit and len(spans) > limit:
        names = spans[:, 0].tolist() if wholes is None else wholes[spans[:, 0]].tolist()
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        of = np.array([numbers[name] for name in names])
        records = int(of.max()) + 1  # all pieces of a record or none
        kept = np.linspace(0, records - 1, max(1, limit * records // len(spans))).astype(int)
        spans = spans[np.isin(of, kept)]
    starts = None if wholes is None else store.labels(START)
    given = store.labels(task.column) if isinstance(task, Number) and task.column in store.label_names else None
    found = Questions()
    for (row, _, _), piece in zip(spans.tolist(), read_spans(store, spans), strict=True):
        tokens, name, symbols = tokenizer.split(piece.arrays[tokenizer.field])
        if name != task.name:
            continue
        units = tokenizer.length_of(tokens)
        truth = task.read(symbols, units)
        if given is not None and not is_missing(given[row]):
            truth = task.parse(given[row], units)
        if truth is None:
            raise InputError(f"row {row} of {store.path}: its answer to '{name}' is none", hint="Prepare it anew.")
        found.questions.append(Sequence({tokenizer.field: tokens}, store.ids[row]))
        found.truth.append(truth)
        found.units.append(units)
        if wholes is not None and starts is not None:
            found.places.append((str(wholes[row]), int(starts[row])))
    return found
