"""Filling a gap: what is given stays, what is drawn fits, the likeliest comes first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.engine import Engine
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from domains.music.prompts import fill, go_on, quarters_free, voice_free
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
