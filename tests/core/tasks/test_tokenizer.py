"""A tokenizer of labelled records: what the base does and an answer behind it, under ids that never move."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError, RecordError
from core.tasks.forms import Classes, Indices, Number, PerToken
from core.tasks.tokenizer import Labelled, TaskTokenizer
from core.tokenizer import accepts, describe, grows, restore
from core.vocabulary import EOS
from domains import DOMAINS, tokenizer_classes

BASE = DOMAINS.get("proteins").make_tokenizer(None, None)
TASKS = (
    Classes("soluble", classes=("0", "1")),
    Classes("place", classes=("inside", "outside"), several=True),
    Number("score", digits=2, low=0.0, high=99.0),
    Indices("site", positions=12),
    PerToken("state", alphabet="HEC"),
)
ROWS = [
    Labelled("MKVLA", "soluble", 1.0),
    Labelled("MKVLA", "place", "outside;inside"),
    Labelled("MKVLA", "score", 42),
    Labelled("MKVLA", "site", "1;5"),
    Labelled("MKVLA", "site", "none"),
    Labelled("MKVLA", "state", "HHECC"),
    Labelled("MKVLA"),
]


def tokenizer(*tasks: Classes | Number | Indices | PerToken) -> TaskTokenizer:
    return TaskTokenizer(BASE, tasks or TASKS)


def test_a_question_and_its_answer_stand_behind_the_sequence() -> None:
    mine = tokenizer()
    sequence = mine.encode(Labelled("MKV", "score", 7))
    assert mine.vocabulary.decode(sequence.arrays["tokens"]) == ["M", "K", "V", "<score>", "<0>", "<7>"]
    assert sequence.loss_mask["tokens"].tolist() == [False] * 4 + [True] * 2
    assert mine.decode(sequence).label == 7
    assert mine.length_of(sequence.arrays["tokens"]) == 3


@pytest.mark.parametrize("row", ROWS)
def test_a_labelled_record_survives(row: Labelled) -> None:
    mine = tokenizer()
    canonical = mine.canonical(row)
    assert mine.same(mine.decode(mine.encode(row)), canonical)
    assert mine.same(mine.canonical(canonical), canonical)


def test_a_description_makes_it_again() -> None:
    mine = tokenizer()
    described = json.loads(json.dumps(describe(mine)))
    again = restore(described, tokenizer_classes())
    assert describe(again) == describe(mine)
    assert again.spec == mine.spec


def test_old_ids_stay_and_tasks_come_behind() -> None:
    one, two = tokenizer(TASKS[0]), tokenizer(TASKS[0], TASKS[2])
    assert two.spec.extends(one.spec)
    assert one.spec.extends(BASE.spec)
    assert not one.spec.extends(two.spec)
    assert grows(describe(BASE), describe(one))
    assert grows(describe(one), describe(two))
    assert not grows(describe(two), describe(one))
    assert not grows(describe(one), describe(BASE))
    assert not accepts(describe(one), describe(two))
    plain = BASE.encode("MKV").arrays["tokens"]
    assert (two.encode("MKV").arrays["tokens"] == plain).all()


def test_what_is_learned_is_learned_from_the_labels() -> None:
    blank = tokenizer(Classes("soluble"), Number("score"), Indices("site"))
    assert blank.needs_fit
    rows = [Labelled("MKV", "soluble", "yes"), Labelled("MKVA", "soluble", "no"), Labelled("MKVA", "score", 1)]
    fitted = blank.fit([*rows, Labelled("M", "score", 3), Labelled("M", "site", None)])
    assert not fitted.needs_fit
    assert fitted.tasks == (
        Classes("soluble", classes=("no", "yes")),
        Number("score", low=0.9, high=3.1),
        Indices("site", positions=4),
    )


def test_labels_of_letters_are_answers_too() -> None:
    record = SeqRecord(Seq("MKV"), "p1")
    record.letter_annotations["state"] = np.frombuffer(b"HEC", np.uint8)  # type: ignore[assignment]
    record.letter_annotations["site"] = np.array([0, 1, 0], np.int8)  # type: ignore[assignment]
    mine = tokenizer()
    assert mine.decode(mine.encode(Labelled(record, "state"))).label == "HEC"
    assert mine.decode(mine.encode(Labelled(record, "site"))).label == (2,)
    fitted = tokenizer(PerToken("state")).fit([Labelled(record, "state")])
    assert fitted.tasks[0].symbols == ("<state=C>", "<state=E>", "<state=H>")


def test_a_number_that_is_clipped_is_counted() -> None:
    notes: Counter[str] = Counter()
    mine = TaskTokenizer(BASE, TASKS, notes=notes)
    for value in (5, 120, -3):
        mine.encode(Labelled("MKV", "score", value))
    assert list(notes.values()) == [2]


def test_the_sequence_counts_where_it_is_asked_for() -> None:
    mask = TaskTokenizer(BASE, TASKS, prompt=True).encode(Labelled("MKV", "soluble", "1")).loss_mask["tokens"]
    assert mask.tolist() == [True, True, True, False, True]


def test_what_is_wrong_is_refused() -> None:
    mine = tokenizer()
    with pytest.raises(ConfigError, match="no task 'solubel'"):
        mine.ask("MKV", "solubel")
    cut_short = mine.encode(Labelled("MKV", "score", 7)).slice(0, 5)
    with pytest.raises(RecordError, match="is no answer to score"):
        mine.decode(cut_short)
    with pytest.raises(ConfigError, match="expected at least one"):
        TaskTokenizer(BASE, ())
    with pytest.raises(ConfigError, match="grows by further tasks"):
        mine.extend(["x"])
    with pytest.raises(ConfigError, match="needs one symbol target"):
        TaskTokenizer(DOMAINS.get("time_series").make_tokenizer(None, None), TASKS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.label is not None])
def test_the_grammar_allows_what_was_written_and_nothing_longer(row: Labelled) -> None:
    import torch

    mine = tokenizer()
    grammar, state = mine.grammar(), mine.grammar().start(2)
    for token in [*mine.encode(row).arrays["tokens"].tolist(), EOS]:
        assert grammar.allowed(state)[:, token].all()
        state = grammar.advance(state, torch.tensor([token, token]))


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_whatever_the_grammar_allows_is_an_answer(task: str) -> None:
    import torch

    mine, rng = tokenizer(), np.random.default_rng(1)
    grammar = mine.grammar(task=task)
    for _ in range(20):
        state, written = grammar.start(1), []
        for token in mine.ask("MKVLA", task).arrays["tokens"].tolist():
            assert grammar.allowed(state)[0, token]
            state = grammar.advance(state, torch.tensor([token]))
        while True:
            token = int(rng.choice(np.flatnonzero(grammar.allowed(state)[0].numpy())))
            if token == EOS:
                break
            written.append(token)
            state = grammar.advance(state, torch.tensor([token]))
        assert mine.task(task).read(mine.vocabulary.decode(np.array(written, np.uint8)), 5) is not None


def test_states_of_the_grammar_are_rows() -> None:
    import torch

    grammar = tokenizer().grammar(task="soluble")
    token = int(BASE.spec.symbol_target.vocabulary.ids["M"])  # type: ignore[union-attr]
    state = grammar.advance(grammar.start(3), torch.tensor([token] * 3))
    asked = grammar.advance(state, torch.tensor([token, grammar.tokens[0], token]))
    assert grammar.allowed(asked)[:, token].tolist() == [True, False, True]
    assert grammar.allowed(asked.select(torch.tensor([1, 0])))[:, token].tolist() == [False, True]
    assert grammar.allowed(asked.reset(torch.tensor([1])))[:, token].tolist() == [True, True, True]
    assert not grammar.allowed(asked.clone())[1, token]
