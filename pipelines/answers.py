"""What a model that was taught tasks says of records without labels, as a table: `foretell predict ask=...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ConfigError, InputError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.bundle import Bundle
    from core.engine import Engine
    from core.prediction.input import Input, Refusal
    from core.rejects import Ledger, Reject
    from core.sequence import Sequence
    from core.tasks.tokenizer import TaskTokenizer
    from pipelines.predict import PredictKeys

ALL = "all"
_AT_ONCE = 1024
"""Rows that are read and asked together."""


def write_answers(options: PredictKeys, path: Path) -> None:
    """Asks every record of `options.input` and writes a line for each task that it can be asked.

    Raises:
        ConfigError: a bundle without tasks, a task that it does not know, an output that is no table.
        InputError: nothing to ask, or more records than `max_bad` that cannot be asked.
    """
    from core.bundle import load_bundle
    from core.engine import Engine
    from core.places import place
    from core.prediction.input.opening import find_input, remove_unused_tokens
    from core.prediction.plan import check_input
    from core.prediction.table import check_table, write_table
    from core.rejects import Ledger
    from pipelines.predict import make_reader

    bundle, output = load_bundle(path), check_table(Path(options.output))
    reader = make_reader(bundle)
    tokenizer, names = _asked(reader.tokenizer, bundle, options.ask)
    keys = {key: value for key, value in options.input.items() if key != "path"}
    beside = place(str(output.with_suffix("")))
    try:
        rows = find_input(options.places, keys, reader, beside, domain=bundle.domain, max_bad=options.max_bad)
        if rows.tokenizer != bundle.tokenizer["config"]["base"]:  # plain records have the ids that they had before
            check_input(bundle, rows)
        if options.dry_run:
            print(f"{len(rows):,} records, {len(names)} tasks")
            return
        engine = Engine(bundle.model, device=options.device, batch_tokens=options.batch_tokens)
        with Ledger(Path(f"{output}.rejects.jsonl"), max_bad=options.max_bad) as ledger:
            lines = list(_lines(engine, tokenizer, names, rows, ledger))
            ledger.check()
    finally:
        remove_unused_tokens(beside)
    columns = ("id", "task", "answer", "low", "high", "probability", "masked_mass")
    write_table(output, {name: [line[i] for line in lines] for i, name in enumerate(columns)})
    refused = "".join(f", {n:,} refused ({reason})" for reason, n in sorted(ledger.rejected.items()))
    print(f"{ledger.ok:,} answers to {', '.join(names)}{refused}")
    print(f"answers in {output}")


def _asked(tokenizer: Any, bundle: Bundle, wanted: tuple[str, ...]) -> tuple[TaskTokenizer, list[str]]:
    from core.tasks.tokenizer import TaskTokenizer

    if not isinstance(tokenizer, TaskTokenizer):
        raise ConfigError(
            f"ask: {bundle.path} was taught no tasks", hint="foretell finetune task=tokens teaches them: docs/tasks.md."
        )
    if ALL in wanted:
        return tokenizer, [task.name for task in tokenizer.tasks]
    return tokenizer, [tokenizer.task(name).name for name in wanted]


def _lines(
    engine: Engine, tokenizer: TaskTokenizer, names: list[str], rows: Input, ledger: Ledger
) -> Iterator[tuple[Any, ...]]:
    """A line for each record and task, the records in order; what cannot be asked is refused with its reason."""
    from core.tasks.evaluation import cell
    from core.tasks.predict import answers

    for start in range(0, len(rows), _AT_ONCE):
        records = list(_records(rows, start, min(start + _AT_ONCE, len(rows)), tokenizer, names, ledger))
        for name in names:
            fit = [record for row, record in records if _fits(tokenizer, name, record, row, ledger)]
            for answer in answers(engine, tokenizer, fit, name):
                ledger.accept()
                share = None if answer.probabilities is None else answer.probabilities[answer.value]
                yield answer.id, name, cell(answer.value), answer.low, answer.high, share, round(answer.masked_mass, 6)


def _records(
    rows: Input, start: int, stop: int, tokenizer: TaskTokenizer, names: list[str], ledger: Ledger
) -> Iterator[tuple[int, Sequence]]:
    """Rows [start, stop) with their numbers, as sequences without a question. Raises InputError where they have one."""
    from core.sequence import Sequence

    read = rows.read(start, stop)
    tokens = read.tokens.arrays[tokenizer.field]
    for i, (begin, end) in enumerate(zip(read.offsets[:-1].tolist(), read.offsets[1:].tolist(), strict=True)):
        if (refusal := read.refused.get(i)) is not None:
            for _ in names:
                ledger.reject(_reject(refusal, start + i, read.ids[i]))
            continue
        if tokenizer.split(tokens[begin:end])[1]:
            raise InputError(
                f"the rows of {rows.path} have questions with their answers", hint="foretell evaluate judges them."
            )
        yield start + i, Sequence({tokenizer.field: tokens[begin:end].astype(np.int64)}, read.ids[i])


def _reject(refusal: Refusal, row: int, name: str) -> Reject:
    from core.rejects import Reject

    file, line, offset = (refusal.place.get(key) for key in ("file", "line", "offset"))
    return Reject(file or "", row, name, line, offset, refusal.reason, refusal.message)


def _fits(tokenizer: TaskTokenizer, name: str, record: Sequence, row: int, ledger: Ledger) -> bool:
    """Whether the form of a task has room for the record's answer."""
    from core.rejects import Reject

    task, units = tokenizer.task(name), tokenizer.length_of(record.arrays[tokenizer.field])
    try:
        if task.kind == "indices":
            task.write((), units)
    except RecordError as error:
        ledger.reject(Reject("", row, record.id, None, None, error.reason, error.message))
        return False
    return True
