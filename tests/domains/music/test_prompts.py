"""Filling a gap: what is given stays, what is drawn fits, the likeliest comes first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.engine import Engine
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.tokenizer import grammar_within, limits_of
from domains.music.prompts import fill, fill_part, go_on, quarters_free, voice_free
from domains.music.tokenizer import AbcTokenizer, GridTokenizer, RemiTokenizer
from tests.domains.music.scores import TUNE, chorale


def engine_of(tokenizer: object) -> Engine:
    torch.manual_seed(0)
    config = ModelConfig(pattern="A", width=16, layers=1, heads=2, context=512)
    return Engine(SequenceModel(tokenizer.spec, config))  # type: ignore[attr-defined]


def test_a_voice_is_made_beside_the_others() -> None:
    tokenizer, score = GridTokenizer(), chorale(0, 4)
    found = fill(engine_of(tokenizer), tokenizer, score, voice_free(tokenizer, score, 1), draws=4)
    given = tokenizer.encode(score).arrays["tokens"].reshape(-1, 4)
    for filling in found:
        made = tokenizer.encode(filling.score).arrays["tokens"].reshape(-1, 4)
        assert (made[:, [0, 2, 3]] == given[:, [0, 2, 3]]).all()
    assert any((tokenizer.encode(f.score).arrays["tokens"].reshape(-1, 4)[:, 1] != given[:, 1]).any() for f in found)
    assert [f.nats for f in found] == sorted(f.nats for f in found)
    assert sum(f.weight for f in found) == pytest.approx(1)


def test_bars_are_made_between_others() -> None:
    tokenizer, score = GridTokenizer(), chorale(1, 6)
    free = quarters_free(tokenizer, score, 2, 4)
    given = tokenizer.encode(score).arrays["tokens"]
    for filling in fill(engine_of(tokenizer), tokenizer, score, free, draws=8):
        made = tokenizer.encode(filling.score).arrays["tokens"]
        assert (made[~free] == given[~free]).all()


@pytest.mark.parametrize("tokenizer", [GridTokenizer(), RemiTokenizer()], ids=lambda t: t.kind)
def test_a_piece_goes_on(tokenizer: GridTokenizer | RemiTokenizer) -> None:
    score = chorale(2, 3)
    start = tokenizer.encode(score).arrays["tokens"]
    for longer in go_on(engine_of(tokenizer), tokenizer, score, length=len(start) + 40, draws=2):
        assert (tokenizer.encode(longer).arrays["tokens"][: len(start) - 3] == start[:-3]).all()


def test_a_tune_goes_on() -> None:
    from domains.formats.score import Score

    tokenizer = AbcTokenizer()
    tune = tokenizer.canonical(Score("t", 1, text=TUNE.split("\n", 2)[2]))
    (longer,) = go_on(engine_of(tokenizer), tokenizer, tune, length=len(tune.text) + 30)
    assert longer.text.startswith(tune.text[:40])


def test_what_cannot_be_filled_is_refused() -> None:
    tokenizer, score = GridTokenizer(), chorale(0, 2)
    with pytest.raises(ConfigError):
        voice_free(tokenizer, score, 4)
    with pytest.raises(ConfigError):
        quarters_free(tokenizer, score, 9, 10)
    assert not np.any(voice_free(tokenizer, score, 0)[1::4])


def test_the_command_line_fills_a_voice_or_bars() -> None:
    tokenizer, score = GridTokenizer(), chorale(0, 4)
    engine = engine_of(tokenizer)
    given = tokenizer.encode(score).arrays["tokens"].reshape(-1, 4)
    for record, nats in fill_part(engine, tokenizer, score, 2, {"seed": 1}, voice=2):
        made = tokenizer.encode(record).arrays["tokens"].reshape(-1, 4)
        assert (made[:, [0, 2, 3]] == given[:, [0, 2, 3]]).all()
        assert nats > 0
    for record, _ in fill_part(engine, tokenizer, score, 8, {"seed": 1}, quarters=[2, 4]):
        made = tokenizer.encode(record).arrays["tokens"].reshape(-1, 4)
        assert (made[:8] == given[:8]).all()
        assert (made[16:] == given[16:]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "expected one of"),
        ({"voice": 5}, "1 to 4"),
        ({"voice": True}, "1 to 4"),
        ({"vioce": 1}, "did you mean 'voice'"),
        ({"voice": 1, "bars": [1, 2]}, "expected one of"),
        ({"bars": 3}, "two numbers"),
        ({"bars": [0, 1]}, "allowed: 1 to"),
        ({"bars": [2, 99]}, "allowed: 1 to"),
    ],
)
def test_a_part_that_is_none_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fill_part(None, GridTokenizer(), chorale(0, 4), 1, {}, **options)


def test_only_a_grid_can_be_filled() -> None:
    with pytest.raises(ConfigError, match="music_grid"):
        fill_part(None, RemiTokenizer(), chorale(0, 4), 1, {}, voice=1)


def test_a_grammar_within_limits_says_what_it_knows() -> None:
    tokenizer = GridTokenizer()
    assert limits_of(tokenizer) == ["key", "ranges", "crossing", "rests"]
    automaton = grammar_within(tokenizer, 8, {"key": "G"})
    allowed = automaton.allowed(automaton.start(1))[0].numpy()
    names = [tokenizer.vocabulary.symbols[i - 5] for i in np.flatnonzero(allowed) if i >= 5]
    assert {name[2:].rstrip("0123456789") for name in names} <= {"G", "A", "B", "C", "D", "E", "F#", "rest"}
    with pytest.raises(ConfigError, match="did you mean 'key'"):
        grammar_within(tokenizer, 8, {"keys": "G"})
    for wrong in ({"key": 3}, {"ranges": [[60, 70]]}, {"ranges": [60, 70, 80, 90]}):
        with pytest.raises(ConfigError):
            grammar_within(tokenizer, 8, wrong)
