"""Answers of a trained model to a task: sequences in, values with their probabilities out.

Classes are read from one distribution, that behind the task's token. Numbers are expectations over the digit tokens:
the first two digits by enumeration, which is exact, within a hundredth of the range the rest is taken as even. Lists,
several classes and letters for each unit are decoded token by token, the likeliest each time, under the grammar. Where
letters are asked in pieces, the answer to a longer sequence is that of its pieces end to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.sequence import Array, Sequence
from core.tasks.forms import Classes, Number, PerToken, Task
from core.vocabulary import EOS

if TYPE_CHECKING:
    from core.engine import Engine
    from core.tasks.tokenizer import TaskTokenizer

INTERVAL = (0.1, 0.9)
"""Quantiles between which a number lies with probability 0.8, if the model is right."""
ENUMERATED = 2
"""Digits of a number that are enumerated: 1 + 10 readings of each sequence."""
_ASKED = 256
"""Sequences that are worked on at a time."""


@dataclass(frozen=True)
class Answer:
    """What a model says."""

    id: str
    task: str
    value: Any
    """A class, a tuple of classes or of places (1 the first), a number, a text; None without a grammar where what was
    drawn is no answer of the task's form."""
    probabilities: dict[str, float] | None = None
    """By class, of a task of one class: the model's, made to sum to 1 over the classes."""
    low: float | None = None
    high: float | None = None
    """The central 80 % of a number."""
    masked_mass: float = 0.0
    """Probability that the grammar took away, the mean over the answer's tokens; 0 without a grammar."""


def answers(
    engine: Engine, tokenizer: TaskTokenizer, records: Many[Any], task: str, *, grammar: bool = True
) -> Iterator[Answer]:
    """One answer for each record, in order.

    Args:
        engine: of a model of `tokenizer`.
        records: as the domain knows them, or token sequences of the base, without a task behind them.
        task: its name.
        grammar: whether only answers of the task's form can be given.

    Raises ConfigError for an unknown task, RecordError for a record that is refused or that the form cannot hold.
    """
    asked = tokenizer.task(task)
    if isinstance(asked, PerToken) and asked.piece:
        yield from _joined(engine, tokenizer, asked, records, grammar)
        return
    for begin in range(0, len(records), _ASKED):
        questions = [_question(tokenizer, asked, record) for record in records[begin : begin + _ASKED]]
        if isinstance(asked, Classes) and not asked.several:
            yield from _classes(engine, tokenizer, asked, questions, grammar)
        elif isinstance(asked, Number) and grammar:
            yield from _numbers(engine, tokenizer, asked, questions)
        else:
            yield from _decoded(engine, tokenizer, asked, questions, grammar)


def _joined(
    engine: Engine, tokenizer: TaskTokenizer, task: PerToken, records: Many[Any], grammar: bool
) -> Iterator[Answer]:
    """Answers to sequences that are asked in pieces; None where one of the pieces has none."""
    for begin in range(0, len(records), _ASKED):
        listed = [_pieces(tokenizer, task, record) for record in records[begin : begin + _ASKED]]
        given = _decoded(engine, tokenizer, task, [piece for pieces in listed for piece in pieces], grammar)
        yield from (_join(task, [next(given) for _ in pieces]) for pieces in listed)


def _join(task: PerToken, parts: list[Answer]) -> Answer:
    said = None if any(part.value is None for part in parts) else "".join(part.value for part in parts)
    return Answer(parts[0].id, task.name, said, masked_mass=float(np.mean([part.masked_mass for part in parts])))


def _pieces(tokenizer: TaskTokenizer, task: PerToken, record: Any) -> list[Sequence]:
    """The questions about a record's pieces; marks before its first unit stand before every piece, as in training."""
    question = _question(tokenizer, task, record)
    tokens = question.arrays[tokenizer.field]
    counts = tokenizer.units({tokenizer.field: tokens[:-1]}) > 0
    marks = tokens[: int(counts.argmax())] if counts.any() else tokens[:0]
    cut = [tokens[start:stop] for start, stop in _stretches(tokenizer, task, tokens[:-1])]
    whole = [cut[0], *(np.concatenate([marks, piece]) for piece in cut[1:])]
    return [Sequence({tokenizer.field: np.concatenate([piece, tokens[-1:]])}, question.id) for piece in whole]


def _stretches(tokenizer: TaskTokenizer, task: PerToken, tokens: Array) -> Iterator[tuple[int, int]]:
    """(start, stop) in tokens of what is asked at once; a token of several units is not torn apart."""
    reach = tokenizer.units({tokenizer.field: tokens}).cumsum()
    units = [stop for _, stop in task.stretches(int(reach[-1]) if len(reach) else 0)]
    ends = [0, *(np.searchsorted(reach, units[:-1]) + 1).tolist(), len(tokens)]
    yield from pairwise(ends)


def _question(tokenizer: TaskTokenizer, task: Task, record: Any) -> Sequence:
    """Raises RecordError where the form has no place for so long a sequence."""
    if not isinstance(record, Sequence):
        question = tokenizer.ask(record, task.name)
    else:
        tokens = record.arrays[tokenizer.field].astype(tokenizer.vocabulary.dtype)
        token = np.array([tokenizer.vocabulary.ids[task.token]], tokens.dtype)
        question = Sequence({tokenizer.field: np.concatenate([tokens, token])}, record.id)
    if task.kind == "indices":
        task.write((), tokenizer.length_of(question.arrays[tokenizer.field]))
    return Sequence(question.arrays, question.id)


def _next(engine: Engine, field: str, sequences: Many[Sequence]) -> NDArray[np.float64]:
    """(N, V) probabilities of the token behind each sequence."""
    import torch

    hidden = np.stack(list(engine.embed(sequences, pooling="last")))
    with torch.inference_mode():
        readout: Any = engine.model.readouts[field]
        logits = readout.logits(torch.from_numpy(hidden).to(engine.device))
    return torch.softmax(logits.double(), -1).cpu().numpy()


def _classes(
    engine: Engine, tokenizer: TaskTokenizer, task: Classes, questions: list[Sequence], grammar: bool
) -> Iterator[Answer]:
    ids = tokenizer.vocabulary.encode(task.symbols)
    for question, p in zip(questions, _next(engine, tokenizer.field, questions), strict=True):
        mine = p[ids]
        total = float(mine.sum())
        shares = mine / total if total else np.full(len(ids), 1 / len(ids))
        value: str | None = task.classes[int(shares.argmax())]
        if not grammar and p.argmax() not in ids:
            value = None
        by_class = dict(zip(task.classes, shares.tolist(), strict=True))
        yield Answer(question.id, task.name, value, by_class, masked_mass=1 - total if grammar else 0.0)


def _numbers(engine: Engine, tokenizer: TaskTokenizer, task: Number, questions: list[Sequence]) -> Iterator[Answer]:
    """Bins of equal width between the range's ends, 10 or 100 of them, with the probability of each."""
    ids, field = tokenizer.vocabulary.encode(task.symbols), tokenizer.field
    first = _next(engine, field, questions)[:, ids]
    bins, masked = first, 1 - first.sum(1)
    if task.digits >= ENUMERATED:
        opened = [_with(q, field, int(i)) for q in questions for i in ids]
        second = _next(engine, field, opened)[:, ids].reshape(len(questions), 10, 10)
        masked = (masked + (first * (1 - second.sum(2))).sum(1) / np.maximum(first.sum(1), 1e-300)) / 2
        within = second / np.maximum(second.sum(2, keepdims=True), 1e-300)
        bins = (first[:, :, None] * within).reshape(len(questions), -1)
    bins = bins / np.maximum(bins.sum(1, keepdims=True), 1e-300)
    levels, size = 10**task.digits, bins.shape[1]
    middles = (np.arange(size) + 0.5) * (levels / size) - 0.5
    for question, p, mass in zip(questions, bins, masked, strict=True):
        low, high = (task.value(_quantile(p, share) * levels - 0.5) for share in INTERVAL)
        yield Answer(question.id, task.name, task.value(float(p @ middles)), None, low, high, float(mass))


def _quantile(p: NDArray[np.float64], share: float) -> float:
    """Of a distribution that is even within each of its bins; in shares of their range, 0 to 1."""
    edges = np.concatenate([[0.0], p.cumsum()])
    return float(np.interp(share, edges, np.linspace(0, 1, len(edges))))


def _with(question: Sequence, field: str, token: int) -> Sequence:
    tokens = question.arrays[field]
    return Sequence({field: np.append(tokens, np.array(token, tokens.dtype))}, question.id)


def _decoded(
    engine: Engine, tokenizer: TaskTokenizer, task: Task, questions: list[Sequence], grammar: bool
) -> Iterator[Answer]:
    field = tokenizer.field
    lengths = [tokenizer.length_of(q.arrays[field]) for q in questions]
    room = max(len(q) + task.longest(n) for q, n in zip(questions, lengths, strict=True)) + 1
    automaton: Any = tokenizer.grammar(task=task.name) if grammar else None
    samples = engine.sample(questions, max_length=room, temperature=0, grammar=automaton)
    for question, length, sample in zip(questions, lengths, samples, strict=True):
        drawn = sample.sequence.arrays[field][len(question) :]
        value = task.read(tokenizer.vocabulary.decode(drawn[drawn != EOS]), length) if sample.finished else None
        yield Answer(question.id, task.name, value, masked_mass=sample.masked_mass if grammar else 0.0)
