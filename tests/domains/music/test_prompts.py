"""Filling a gap: what is given stays, what is drawn fits, the likeliest comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.engine import Engine
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Sequence
from core.tokenizer import grammar_within, limits_of
from core.vocabulary import EOS
from domains.formats.score import DURATION, ONSET, PITCH, PROGRAM, VELOCITY, Score
from domains.music.prompts import fill, fill_bars, fill_part, go_on, quarters_free, voice_free
from domains.music.tokenizer import (
    AbcTokenizer,
    GridTokenizer,
    RemiTokenizer,
    TracksTokenizer,
    TranslationConfig,
    TranslationTokenizer,
)
from domains.music.tokenizer.gap_grammar import GapGrammar
from domains.music.tokenizer.remi import KIND_NAMES
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


@pytest.mark.parametrize("tokenizer", [RemiTokenizer(), TracksTokenizer()], ids=lambda t: t.kind)
@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 3), (4, 4)])
def test_bars_of_events_are_made_between_others(tokenizer: RemiTokenizer, first: int, last: int) -> None:
    """Other bars stay to the note; so do the metres and tempi, which change behind the gap."""
    score = replace(
        chorale(3, 15),
        metres=np.array([[0, 4, 4], [3 * 1920, 3, 4]]),
        tempos=np.array([[0, 400_000], [2 * 1920 + 480, 600_000]]),
    )
    given = tokenizer.canonical(score)
    lines = [0, 48, 96, 144, 180]
    outside = (given.notes[:, ONSET] < lines[first - 1]) | (given.notes[:, ONSET] >= lines[last])
    found = fill_bars(engine_of(tokenizer), tokenizer, score, first, last, draws=3, seed=1)
    assert len(found) == 3
    for filling in found:
        made = filling.score
        kept = (made.notes[:, ONSET] < lines[first - 1]) | (made.notes[:, ONSET] >= lines[last])
        columns = [ONSET, DURATION, PITCH, VELOCITY, PROGRAM]
        assert sorted(made.notes[kept][:, columns].tolist()) == sorted(given.notes[outside][:, columns].tolist())
        assert tokenizer.same(tokenizer.canonical(made), made)
        assert made.metres.tolist() == given.metres[: len(made.metres)].tolist()
        assert made.tempos.tolist() == given.tempos[: len(made.tempos)].tolist()
    assert any(not np.array_equal(filling.score.notes, given.notes) for filling in found)
    assert [f.nats for f in found] == sorted(f.nats for f in found)
    assert (last == 4) == (found[0].nats == 0)  # nothing stands behind the last bar
    again = fill_bars(engine_of(tokenizer), tokenizer, score, first, last, draws=3, seed=1)
    assert [f.nats for f in again] == pytest.approx([f.nats for f in found])


def test_what_holds_on_behind_a_gap_is_not_changed_in_it() -> None:
    tokenizer = TracksTokenizer()
    grammar = GapGrammar(tokenizer, tokenizer.grammar(), 1)
    state = grammar.start(1)
    tokens = tokenizer.encode(chorale(0, 4)).arrays["tokens"].astype(np.int64)
    for token in tokens[:2].tolist():  # a bar and its metre: what stands now is a program or the end
        state = grammar.advance(state, torch.tensor([token]))
    kinds = np.append(tokenizer.kinds, -1)
    allowed = {KIND_NAMES[k] for k in kinds[np.flatnonzero(grammar.allowed(state)[0].numpy())].tolist() if k >= 0}
    assert allowed == {"Program"}
    assert bool(grammar.allowed(state)[0, EOS])


def test_what_is_no_grid_is_filled_by_bars_or_not_at_all() -> None:
    with pytest.raises(ConfigError, match="not known to music_remi"):
        fill_part(None, RemiTokenizer(), chorale(0, 4), 1, {}, voice=1)
    with pytest.raises(ConfigError, match="allowed: 1 to 4"):
        fill_part(None, RemiTokenizer(), chorale(0, 16), 1, {}, bars=[2, 5])
    with pytest.raises(ConfigError, match="music_abc"):
        fill_part(None, AbcTokenizer(), chorale(0, 4), 1, {}, bars=[1, 1])
    made = fill_part(engine_of(RemiTokenizer()), RemiTokenizer(), chorale(0, 16), 2, {"seed": 1}, bars=[2, 2])
    assert len(made) == 2


def test_a_tune_is_given_its_file() -> None:
    """The likelier one first; a draw without notes or with a second mark is none."""
    from core.decoding.slots import Sample

    tokenizer = TranslationTokenizer(TranslationConfig(lengths="derived"))
    tune = Score("t", 1, text=TUNE.split("\n", 2)[2])
    whole = tokenizer.encode(tune)

    class Knows:
        def sample(self, asked: list[Sequence], *, max_length: int, draws: int, **how: object) -> list[Sample]:
            twice = Sequence({"tokens": np.append(asked[0].arrays["tokens"], asked[0].arrays["tokens"][-1:])})
            assert len(asked[0]) == len(tokenizer.question(whole))
            assert max_length > len(whole)
            drawn = ((whole, 2.0), (whole, 1.0), (asked[0], 0.5), (twice, 0.1))
            return [Sample(part, nll, 1, True, 0.0) for part, nll in drawn]

    made = fill_part(Knows(), tokenizer, tune, 3, {}, file=True)
    assert [nats for _, nats in made] == [1.0, 2.0]
    assert made[0][0].data == tokenizer.canonical(tune).data
    with pytest.raises(ConfigError, match="allowed: true"):
        fill_part(Knows(), tokenizer, tune, 3, {}, file=2)


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
