"""Answers of a random model: what is read from one distribution equals what scoring every answer gives."""

from __future__ import annotations

import numpy as np
import pytest

from core.engine import Engine
from core.errors import RecordError
from core.tasks.forms import Classes, Indices, Number, PerToken
from core.tasks.predict import answers
from core.tasks.tokenizer import Labelled, TaskTokenizer
from domains import DOMAINS
from tests.core.tiny import tiny_model

TOKENIZER = TaskTokenizer(
    DOMAINS.get("proteins").make_tokenizer(None, None),
    (
        Classes("kind", classes=("a", "b", "c")),
        Number("score", digits=2, low=0.0, high=99.0),
        Indices("site", positions=8),
        PerToken("state", alphabet="HEC"),
    ),
)
RECORDS = ["MKV", "MKVLAAGW", "ACDEF"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny_model(TOKENIZER.spec, context=32))


def likelihoods(engine: Engine, record: str, task: str, labels: list[object]) -> np.ndarray:
    """Of each answer's tokens behind the question, its end not counted."""
    asked = [TOKENIZER.encode(Labelled(record, task, label)) for label in labels]
    first = len(TOKENIZER.ask(record, task))
    return np.exp([-np.nansum(s.token_nll[first : len(q)]) for s, q in zip(engine.score(asked), asked, strict=True)])


def test_classes_are_those_of_scoring_each(engine: Engine) -> None:
    for record, answer in zip(RECORDS, answers(engine, TOKENIZER, RECORDS, "kind"), strict=True):
        p = likelihoods(engine, record, "kind", ["a", "b", "c"])
        assert answer.probabilities is not None
        assert list(answer.probabilities.values()) == pytest.approx(p / p.sum(), abs=1e-5)
        assert answer.masked_mass == pytest.approx(1 - p.sum(), abs=1e-5)
        assert answer.value == "abc"[int(p.argmax())]


def test_a_number_is_the_expectation_over_all_of_its_digits(engine: Engine) -> None:
    for record, answer in zip(RECORDS, answers(engine, TOKENIZER, RECORDS, "score"), strict=True):
        p = likelihoods(engine, record, "score", list(range(100))).reshape(10, 10)
        first = np.array([likelihoods_of_first(engine, record, d) for d in range(10)])
        levels = (first / first.sum())[:, None] * (p / p.sum(1, keepdims=True))
        assert answer.value == pytest.approx(float(levels.ravel() @ np.arange(100)), abs=1e-3)
        below = levels.ravel().cumsum()
        assert answer.low is not None
        assert answer.high is not None
        assert abs(answer.low - np.searchsorted(below, 0.1)) <= 1
        assert abs(answer.high - np.searchsorted(below, 0.9)) <= 1


def likelihoods_of_first(engine: Engine, record: str, digit: int) -> float:
    """Of the first digit alone."""
    asked = TOKENIZER.encode(Labelled(record, "score", 10 * digit))
    (score,) = engine.score([asked])
    return float(np.exp(-score.token_nll[len(asked) - 2]))


@pytest.mark.parametrize("task", ["site", "state"])
def test_the_grammar_gives_an_answer_each_time(engine: Engine, task: str) -> None:
    found = list(answers(engine, TOKENIZER, RECORDS, task))
    assert all(answer.value is not None for answer in found)
    assert all(0 < answer.masked_mass < 1 for answer in found)
    again = [next(answers(engine, TOKENIZER, [record], task)).value for record in RECORDS]
    assert [answer.value for answer in found] == again
    if task == "state":
        assert [len(answer.value) for answer in found] == [3, 8, 5]


def test_a_sequence_that_places_do_not_reach_is_refused(engine: Engine) -> None:
    with pytest.raises(RecordError, match="tokens up to 8"):
        list(answers(engine, TOKENIZER, ["MKVLAAGWK"], "site"))
