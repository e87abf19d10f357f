"""Learned pieces over characters and events: the contract, and a grammar that is the one of single symbols."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from core.errors import ConfigError
from core.vocabulary import EOS, SPECIALS
from domains.formats.score import DRUM, PITCH, Score
from domains.music.tokenizer import (
    AbcPieceTokenizer,
    AbcTokenizer,
    EventPiecesConfig,
    PiecesConfig,
    RemiPieceTokenizer,
    RemiTokenizer,
    TracksPieceTokenizer,
)
from tests.domains.music.scores import TUNE, chorale, grammar_walk, pieces, tunes
from tests.domains.music.test_tokenizer import EMPTY, one
from tests.tokenizer_kit import TokenizerContract, for_records

TUNES = [Score(f"t{n}", 1, text=TUNE.replace("A>d", "A>d " * n).split("\n", 2)[2]) for n in range(1, 6)]
SCORES = [chorale(seed, 8) for seed in range(6)]
FITTED: dict[str, Any] = {
    "music_abc_bpe": AbcPieceTokenizer(PiecesConfig(pieces=60, seed=1)).fit(TUNES),
    "music_remi_bpe": RemiPieceTokenizer(EventPiecesConfig(pieces=60)).fit(SCORES),
    "music_tracks_bpe": TracksPieceTokenizer(EventPiecesConfig(pieces=60, max_length=12)).fit(SCORES),
}


class TestAbcPieces(TokenizerContract):
    unfitted = AbcPieceTokenizer(PiecesConfig(pieces=60, seed=1))
    training: ClassVar = TUNES
    tokenizer = FITTED["music_abc_bpe"]
    records = tunes()
    refused: ClassVar = [(one(), "no_text"), (Score("keyless", 1, text="M:4/4\nABc"), "no_key")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).text)


@pytest.mark.slow
class TestRemiPieces(TokenizerContract):
    unfitted = RemiPieceTokenizer(EventPiecesConfig(pieces=60))
    training: ClassVar = SCORES
    tokenizer = FITTED["music_remi_bpe"]
    records = pieces()
    refused: ClassVar = [(EMPTY, "no_notes"), (one(metre=(17, 4)), "unsupported_metre")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).notes)


@pytest.mark.slow
class TestTracksPieces(TestRemiPieces):
    unfitted = TracksPieceTokenizer(EventPiecesConfig(pieces=60, max_length=12))
    tokenizer = FITTED["music_tracks_bpe"]


def test_pieces_shorten_what_they_were_learned_from() -> None:
    """The example: a header is a few tokens, and its text comes back letter by letter."""
    tokenizer, tune = FITTED["music_abc_bpe"], TUNES[0]
    tokens = tokenizer.encode(tune).arrays["tokens"]
    text = AbcTokenizer().canonical(tune).text
    assert len(tokens) < len(text) / 2
    assert "".join(tokenizer.vocabulary.decode(tokens)) == text
    for kind in ("music_remi_bpe", "music_tracks_bpe"):
        events = FITTED[kind]
        single = events.single.encode(SCORES[0]).arrays["tokens"]
        shorter = events.encode(SCORES[0]).arrays["tokens"]
        assert len(shorter) < len(single)
        assert (events.taken_apart(shorter.astype(np.int64)) == single).all()


def test_no_piece_reaches_over_the_line_of_a_bar() -> None:
    assert all("Bar" not in s.split(" ") for s in FITTED["music_remi_bpe"].symbols() if s != "Bar")


@pytest.mark.parametrize("kind", ["music_abc_bpe", "music_remi_bpe"])
def test_a_piece_is_allowed_exactly_where_its_symbols_are(kind: str) -> None:
    tokenizer = FITTED[kind]
    records = {"music_abc_bpe": TUNES[:2]}.get(kind, SCORES[:1])
    grammar, single = tokenizer.grammar(), tokenizer.single.grammar()
    learned = [(p, i) for i, p in enumerate(tokenizer.spellings, len(SPECIALS)) if len(p) > 1]
    for record in records:
        state = grammar.start(1)
        for token in tokenizer.encode(record).arrays["tokens"][:8].tolist():
            allowed = grammar.allowed(state)[0]
            for piece, number in learned:
                steps, fits = state.clone(), True
                for symbol in piece:
                    fits = bool(single.allowed(steps)[0, symbol])
                    if not fits:
                        break
                    steps = single.advance(steps, torch.tensor([symbol]))
                assert bool(allowed[number]) == fits, tokenizer.vocabulary.symbol(number)
            assert allowed[token]
            state = grammar.advance(state, torch.tensor([token]))


@pytest.mark.parametrize("kind", FITTED)
def test_the_grammar_allows_every_canonical_record(kind: str) -> None:
    tokenizer, records = FITTED[kind], tunes() if kind == "music_abc_bpe" else pieces()
    grammar = tokenizer.grammar()

    def check(score: Score) -> None:
        state = grammar.start(1)
        for token in tokenizer.encode(score).arrays["tokens"].tolist():
            assert grammar.allowed(state)[0, token], tokenizer.vocabulary.symbol(token)
            state = grammar.advance(state, torch.tensor([token]))
        assert grammar.allowed(state)[0, EOS]

    for_records(records, check, examples=6)


@pytest.mark.parametrize("kind", FITTED)
def test_whatever_the_grammar_allows_decodes(kind: str) -> None:
    tokenizer = FITTED[kind]
    for sequence in grammar_walk(tokenizer, tokenizer.grammar(max_length=48), 12, 48, seed=4):
        assert len(tokenizer.taken_apart(sequence.arrays["tokens"].astype(np.int64))) <= 48
        score = tokenizer.decode(sequence)
        assert tokenizer.same(tokenizer.decode(tokenizer.encode(score)), score)


def test_limits_are_those_of_single_symbols() -> None:
    events = FITTED["music_remi_bpe"]
    grammar = events.grammar(max_length=48, key="Am", low=50, high=70, metres=("3/4",))
    for sequence in grammar_walk(events, grammar, 8, 48, seed=1):
        score = events.decode(sequence)
        pitched = score.notes[score.notes[:, DRUM] == 0, PITCH]
        assert ((pitched >= 50) & (pitched <= 70) & np.isin(pitched % 12, [0, 2, 4, 5, 6, 7, 8, 9, 11])).all()
    tune = FITTED["music_abc_bpe"]
    for sequence in grammar_walk(tune, tune.grammar(max_length=48, key="E minor", metre="6/8"), 5, 48, seed=3):
        assert tune.decode(sequence).text.startswith("M:6/8\n")


@pytest.mark.parametrize(
    "settings",
    [{"pieces": -1}, {"pieces": 2.5}, {"max_length": 1}, {"learned": ((1,),)}, {"learned": ((0, -1),)}, {"steps": 5}],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        EventPiecesConfig(**settings)


def test_a_piece_of_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(ConfigError, match="that there is not"):
        AbcPieceTokenizer(PiecesConfig(learned=((1, 99),))).symbols()


def test_whole_notes_stay_whole() -> None:
    events, score = FITTED["music_remi_bpe"], SCORES[1]
    sequence = events.encode(score)
    for length in (5, 20, 40):
        part = sequence.slice(0, events.whole(sequence, length))
        assert len(events.decode(part).notes) <= len(RemiTokenizer().canonical(score).notes)
