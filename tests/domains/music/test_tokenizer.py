"""The tokenizers of music: one contract, and what each of them must know beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import DRUM, DURATION, ONSET, PITCH, Score, in_order
from domains.music.tokenizer import (
    AbcTokenizer,
    BytesConfig,
    BytesTokenizer,
    GridConfig,
    GridTokenizer,
    RemiConfig,
    RemiTokenizer,
    TracksTokenizer,
    TranslationConfig,
    TranslationTokenizer,
)
from domains.music.tokenizer.translation import lines_of
from tests.domains.music.scores import TUNE, chorale, grammar_walk, pieces, tunes, voices
from tests.tokenizer_kit import TokenizerContract, for_records

EMPTY = Score("empty", 96)
TOKENIZERS: dict[str, Any] = {
    "music_grid": GridTokenizer(),
    "music_remi": RemiTokenizer(),
    "music_tracks": TracksTokenizer(),
    "music_abc": AbcTokenizer(),
}
RECORDS = {"music_grid": voices(), "music_remi": pieces(), "music_tracks": pieces(), "music_abc": tunes()}


def one(pitch: int = 60, metre: tuple[int, int] | None = None, track: int = 0) -> Score:
    metres = np.array([[0, *metre]], np.int64) if metre else np.zeros((0, 3), np.int64)
    return Score("one", 96, in_order([[0, 96, pitch, 80, 0, track, 0]]), metres=metres)


class TestGrid(TokenizerContract):
    tokenizer = GridTokenizer()
    records = voices()
    refused: ClassVar = [(EMPTY, "no_notes"), (one(20), "pitch_range"), (one(track=4), "too_many_voices")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).notes)


class TestRemi(TokenizerContract):
    tokenizer = RemiTokenizer()
    records = pieces()
    refused: ClassVar = [(EMPTY, "no_notes"), (one(metre=(17, 4)), "unsupported_metre")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).notes)


class TestTracks(TestRemi):
    tokenizer = TracksTokenizer()


@pytest.mark.slow
class TestCoarseRemi(TestRemi):
    tokenizer = RemiTokenizer(RemiConfig(steps=4))


class TestAbc(TokenizerContract):
    tokenizer = AbcTokenizer()
    records = tunes()
    refused: ClassVar = [
        (one(), "no_text"),
        (Score("silent", 1, text="K:C\nz4|"), "no_notes"),
        (Score("keyless", 1, text="M:4/4\nABc"), "no_key"),
        (Score("odd", 1, text="K:C\nA&B"), "unknown_symbol"),
        (Score("metre", 1, text="M:17/3\nK:C\nA"), "unsupported_metre"),
    ]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).text)


class TestBytes(TokenizerContract):
    tokenizer = BytesTokenizer()
    records = st.one_of(pieces(), tunes(), st.binary(min_size=1).map(lambda data: Score("raw", 1, data=data)))
    refused: ClassVar = [(EMPTY, "no_notes")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).data)


class TestTranslation(TokenizerContract):
    tokenizer = TranslationTokenizer()
    records = tunes()
    refused: ClassVar = [(EMPTY, "no_text"), (one(), "no_text")]

    def size(self, record: Score) -> float:
        return len(self.tokenizer.canonical(record).data)


@pytest.mark.slow
class TestBytesWithoutLengths(TestBytes):
    tokenizer = BytesTokenizer(BytesConfig(lengths="derived"))
    refused: ClassVar = [
        (EMPTY, "no_notes"),
        (Score("lies", 1, data=midi_bytes([chorale(0)])[:-1]), "track_length"),
        (Score("long", 1, data=midi_bytes([chorale(0)]).replace(b"MTrk\0\0", b"MTrk\1\0")), "track_length"),
    ]


class TestTranslationWithoutLengths(TestTranslation):
    tokenizer = TranslationTokenizer(TranslationConfig(lengths="derived"))


def test_a_file_says_nothing_that_its_tune_does_not() -> None:
    """Two names, one tune: one file."""
    tune = Score("t", 1, text=TUNE.split("\n", 2)[2], tracks=("The Made-up Reel",))
    files = {TranslationTokenizer().canonical(replace(tune, id=name, tracks=(name,))).data for name in "ab"}
    assert len(files) == 1
    assert b"Reel" not in files.pop()


def test_a_tune_stands_before_its_file_and_is_only_read() -> None:
    tokenizer = TranslationTokenizer()
    tune = Score("t", 1, text=TUNE.split("\n", 2)[2])
    sequence = tokenizer.encode(tune)
    question = tokenizer.question(sequence)
    assert bytes((question.arrays["tokens"][:-1] - 5).astype(np.uint8)).startswith(b"M:4/4")
    assert bytes((sequence.arrays["tokens"][len(question) :] - 5).astype(np.uint8)).startswith(b"MThd")
    assert sequence.loss_mask["tokens"].sum() == len(sequence) - len(question)
    with pytest.raises(RecordError, match="0 marks"):
        tokenizer.decode(question.slice(0, 3))


LINES = "M:4/4\nL:1/8\nK:D\nDEFG ABcd|fdBc [K:G]d4|\nGABc d2d2|gfed c4|\nz8|\nBAGF E2D2|G8|\n"


def test_lines_of_a_tune_are_tunes_in_the_key_that_holds() -> None:
    tune = TranslationTokenizer().canonical(Score("t", 1, text=LINES))
    lines = lines_of(tune.text)
    assert lines[0].startswith("M:4/4\nL:1/8\nK:D\nDEFG")
    assert lines[1].startswith("M:4/4\nL:1/8\nK:D\n[K:G]GABc")
    assert len(lines) == 4
    sung = [TranslationTokenizer().canonical(Score("l", 1, text=line)) for line in lines if "z" not in line]
    pitches = [line.notes[:, PITCH].tolist() for line in sung]
    assert [pitch for line in pitches for pitch in line] == tune.notes[:, PITCH].tolist()


def test_in_training_a_tune_may_be_lines_with_files_of_their_own() -> None:
    """As long as before; what counts is whole files, each behind its line, and the last one ends the window."""
    tokenizer = TranslationTokenizer(TranslationConfig(lengths="derived"))
    tune = tokenizer.encode(Score("t", 1, text=LINES + LINES.split("\n", 3)[3]))
    arrays = {"tokens": tune.arrays["tokens"], "loss_mask/tokens": tune.loss_mask["tokens"]}
    lines = {}
    for line in lines_of(tokenizer.decode(tune).text):
        if "z" not in line:
            one = tokenizer.encode(Score("l", 1, text=line))
            question = len(tokenizer.question(one))
            lines[bytes(one.arrays["tokens"][:question])] = one.arrays["tokens"][question:].tolist()
    views = [tokenizer.view_window(arrays, np.random.default_rng(seed)) for seed in range(8)]
    changed = [view for view in views if view is not arrays]
    assert 0 < len(changed) < len(views)
    for view in changed:
        tokens, counts = view["tokens"], view["loss_mask/tokens"]
        assert len(tokens) == len(counts) == len(tune)
        starts = np.flatnonzero(np.diff(counts.astype(int), prepend=0) == 1)
        stops = np.flatnonzero(np.diff(counts.astype(int), append=0) == -1) + 1
        assert stops[-1] == len(tokens)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            files = [file for line, file in lines.items() if bytes(tokens[:start]).endswith(line)]
            assert files == [tokens[start:stop].tolist()]
    assert (
        tokenizer.view_window({"tokens": tune.arrays["tokens"]}, np.random.default_rng(0))["tokens"] is arrays["tokens"]
    )


def test_bytes_of_a_score_are_a_midi_file_with_its_notes() -> None:
    tokenizer, score = BytesTokenizer(), chorale(0)
    back = tokenizer.decode(tokenizer.encode(score))
    assert back.data[:4] == b"MThd"
    assert (back.notes == score.notes).all()
    assert not len(tokenizer.decode(Sequence({"tokens": np.array([5, 6], np.uint16)}, "x")).notes)


def test_four_voices_become_four_tokens_a_step() -> None:
    """The example: two voices, the second enters a quarter later."""
    tokenizer = GridTokenizer(GridConfig(voices=2))
    score = Score("two", 4, in_order([[0, 8, 72, 80, 0, 0, 0], [4, 4, 60, 80, 0, 1, 0]]))
    found = tokenizer.vocabulary.decode(tokenizer.encode(score).arrays["tokens"])
    assert found[:4] == ["1:C5", "2:rest", "1:hold", "2:rest"]
    assert found[8:12] == ["1:hold", "2:C4", "1:hold", "2:hold"]
    assert len(found) == 16


def test_a_token_is_read_as_the_voice_that_it_names() -> None:
    """The same two voices where some are not named, a hold follows silence, or the piece begins inside a step."""
    tokenizer = GridTokenizer(GridConfig(voices=2))
    ways = (
        "1:C5 2:rest 1:hold 2:C4 1:hold 2:hold",
        "1:C5 2:hold 1:hold 2:C4 1:hold 2:hold",
        "1:C5 2:C4 1:hold 2:hold",
        "1:C5 1:hold 2:C4 1:hold",
        "1:C5 1:hold 2:C4 1:hold 2:hold 1:rest 2:rest",
    )
    found = []
    for way in ways:
        tokens = tokenizer.vocabulary.encode(way.split()).astype(tokenizer.vocabulary.dtype)
        score = tokenizer.decode(Sequence({"tokens": tokens}, "s"))
        found.append(score.notes[:, [ONSET, DURATION, PITCH]].tolist())
        assert tokenizer.same(tokenizer.decode(tokenizer.encode(score)), score)
    usual = [[0, 3, 72], [1, 2, 60]]
    assert found == [usual, usual, [[0, 2, 72], [0, 2, 60]], usual, usual]


def test_the_grid_moves_nothing_by_more_than_half_a_step() -> None:
    tokenizer = GridTokenizer()

    def check(score: Score) -> None:
        kept = tokenizer.canonical(score).notes
        quarters = score.notes[:, ONSET] / score.tpq
        for row in kept.tolist():
            assert np.abs(quarters - row[ONSET] / 4).min() <= 1 / 8 + 1e-9

    for_records(voices(), check)


def test_a_note_that_remi_keeps_is_near_where_it_was() -> None:
    def check(score: Score) -> None:
        kept = RemiTokenizer().canonical(score)
        quarters = score.notes[:, ONSET] / score.tpq
        for row in kept.notes.tolist():
            same = (score.notes[:, PITCH] == row[PITCH]) & (score.notes[:, DRUM] == row[DRUM])
            assert np.abs(quarters[same] - row[ONSET] / 12).min() <= 1 / 24 + 1e-9

    for_records(pieces(), check)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_grammar_allows_every_canonical_record(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    grammar = tokenizer.grammar()

    def check(score: Score) -> None:
        state = grammar.start(1)
        tokens = tokenizer.encode(score).arrays["tokens"].astype(np.int64)
        for place, token in enumerate(tokens.tolist()):
            assert grammar.allowed(state)[0, token], f"token {place}, {tokenizer.vocabulary.symbol(token)}"
            state = grammar.advance(state, torch.tensor([token]))
        assert grammar.allowed(state)[0, EOS]

    for_records(RECORDS[kind], check, examples=15)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_whatever_a_grammar_allows_decodes(kind: str) -> None:
    """Even where the limit of tokens falls into a note, a header or a step."""
    tokenizer = TOKENIZERS[kind]
    for length in (64, 41):
        for sequence in grammar_walk(tokenizer, tokenizer.grammar(max_length=length), 40, length, seed=length):
            assert len(sequence) <= length
            score = tokenizer.decode(sequence)
            assert tokenizer.same(tokenizer.decode(tokenizer.encode(score)), score)


def test_restrictions_hold() -> None:
    remi = RemiTokenizer()
    grammar = remi.grammar(max_length=60, programs=(40, 128), key="Am", low=50, high=70, metres=("3/4",))
    for sequence in grammar_walk(remi, grammar, 20, 60, seed=1):
        score = remi.decode(sequence)
        pitched = score.notes[score.notes[:, DRUM] == 0]
        assert set(score.tracks) <= {"program 40", "drums"}
        assert np.isin(pitched[:, PITCH] % 12, [0, 2, 4, 5, 6, 7, 8, 9, 11]).all()
        assert ((pitched[:, PITCH] >= 50) & (pitched[:, PITCH] <= 70)).all()
        assert (score.metres[:, 1:] == [3, 4]).all()
    grid = GridTokenizer()
    high_low = ((70, 80), (60, 69), (50, 59), (40, 49))
    for sequence in grammar_walk(grid, grid.grammar(max_length=64, ranges=high_low), 10, 64, seed=2):
        for row in grid.decode(sequence).notes.tolist():
            low, high = high_low[row[5]]
            assert low <= row[PITCH] <= high
    abc = AbcTokenizer()
    for sequence in grammar_walk(abc, abc.grammar(max_length=64, key="E minor", metre="6/8"), 10, 64, seed=3):
        assert abc.decode(sequence).text.startswith("M:6/8\n")
        assert "\nK:Em\n" in abc.decode(sequence).text


def test_no_voice_crosses_where_that_is_forbidden() -> None:
    grid = GridTokenizer()
    for sequence in grammar_walk(grid, grid.grammar(max_length=160, crossing=False), 10, 160, seed=5):
        places = grid.places(sequence.arrays["tokens"]).reshape(-1, 4)
        sounding = np.zeros(4, int)
        for step in places:
            for voice, place in enumerate(step.tolist()):
                sounding[voice] = place if place >= 2 else 0 if place == 1 else sounding[voice]
                if place >= 2 and voice and sounding[voice - 1]:
                    assert place <= sounding[voice - 1]


def test_no_voice_falls_silent_where_that_is_forbidden() -> None:
    grid = GridTokenizer()
    for sequence in grammar_walk(grid, grid.grammar(max_length=160, rests=False), 10, 160, seed=7):
        for places in grid.places(sequence.arrays["tokens"]).reshape(-1, 4).T:
            first = int(np.argmax(places >= 2)) if (places >= 2).any() else len(places)
            assert (places[:first] == 1).all()
            assert (places[first:] != 1).all()


def test_a_template_stands_in_what_is_drawn() -> None:
    grid = GridTokenizer()
    tokens = grid.encode(chorale(0, 4)).arrays["tokens"].astype(np.int64)
    template = np.where(np.arange(len(tokens)) % 4 == 0, tokens, 0)
    for sequence in grammar_walk(grid, grid.grammar(template=template), 5, len(tokens), seed=6):
        assert len(sequence) == len(tokens)
        assert (sequence.arrays["tokens"][::4] == tokens[::4]).all()


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("music_remi", {"key": "H"}), ("music_remi", {"metres": ("5/3",)}), ("music_remi", {"low": 60, "high": 50}),
        ("music_remi", {"max_length": 3}), ("music_grid", {"key": "Gx"}), ("music_grid", {"ranges": ((60, 70),)}),
        ("music_abc", {"key": "Q"}), ("music_abc", {"metre": "9/3"}), ("music_abc", {"max_length": 5}),
    ],
)  # fmt: skip
def test_restrictions_that_leave_nothing_are_refused(kind: str, limits: dict[str, Any]) -> None:
    if limits == {"low": 60, "high": 50}:
        limits = {**limits, "programs": (0,)}
    with pytest.raises(ConfigError):
        TOKENIZERS[kind].grammar(**limits)


@pytest.mark.parametrize(
    ("kind", "symbols", "reason"),
    [
        ("music_grid", ["1:rest", "2:rest", "3:rest", "4:rest"], "no_notes"),
        ("music_grid", ["1:hold"], "no_notes"),
        ("music_grid", [], "no_notes"),
        ("music_remi", ["Bar", "Position_0"], "grammar"),
        ("music_remi", ["Bar", "TimeSignature_4/4"], "no_notes"),
        ("music_remi", ["Bar", "TimeSignature_2/4", "Position_24", "Program_0", "Pitch_C4", "Velocity_9",
          "Duration_12"], "grammar"),
        ("music_remi", ["Bar", "TimeSignature_4/4", "Position_0", "Program_drums", "Pitch_C4", "Velocity_9",
          "Duration_1"], "grammar"),
        ("music_remi", ["Bar", "TimeSignature_4/4", "Position_0", "Program_0", "Pitch_C4"], "grammar"),
        ("music_abc", ["K", ":", "C"], "no_notes"),
        ("music_abc", ["<pad>"], "special_symbol"),
    ],
)  # fmt: skip
def test_tokens_that_are_no_music_are_refused(kind: str, symbols: list[str], reason: str) -> None:
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.vocabulary.encode(symbols).astype(tokenizer.vocabulary.dtype)
    with pytest.raises(RecordError) as caught:
        tokenizer.decode(Sequence({"tokens": tokens}, "s"))
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["music_grid", "music_remi", "music_tracks"])
def test_a_view_is_a_transposition(kind: str) -> None:
    """The same rhythm, every pitched note moved by one interval; drums stay."""
    tokenizer = TOKENIZERS[kind]
    score = chorale(3)
    if kind != "music_grid":
        drums = np.array([[0, 120, 36, 90, 0, 4, 1]])
        score = replace(score, notes=in_order(np.concatenate([score.notes, drums])))
    arrays = tokenizer.encode(score).arrays
    plain, seen = tokenizer.canonical(score).notes, set()
    for seed in range(40):
        moved = tokenizer.decode(Sequence(tokenizer.view_window(arrays, np.random.default_rng(seed)), score.id)).notes
        shifts = np.unique((moved - plain)[plain[:, DRUM] == 0, PITCH])
        assert len(shifts) == 1
        assert (moved[:, [ONSET, DURATION]] == plain[:, [ONSET, DURATION]]).all()
        assert (moved[plain[:, DRUM] == 1, PITCH] == 36).all()
        seen.add(int(shifts[0]))
    assert len(seen) >= 8
    assert seen <= set(range(-5, 7))


def test_tracks_come_one_after_the_other_in_each_bar() -> None:
    rows = [[0, 4, 60, 80, 0, 0, 0], [0, 4, 40, 80, 33, 1, 0], [8, 4, 62, 80, 0, 0, 0], [16, 4, 64, 80, 0, 0, 0]]
    score = Score("two", 4, in_order(rows))

    def spelled(tokenizer: Any) -> list[str]:
        kept = ("Bar", "Program_0", "Program_33", "Pitch")
        symbols = tokenizer.vocabulary.decode(tokenizer.encode(score).arrays["tokens"])
        return [s for s in symbols if s.startswith(kept)]

    assert spelled(TracksTokenizer()) == [
        "Bar", "Program_0", "Pitch_C4", "Pitch_D4", "Program_33", "Pitch_E2", "Bar", "Program_0", "Pitch_E4",
    ]  # fmt: skip
    assert spelled(RemiTokenizer()) == [
        "Bar", "Program_0", "Pitch_C4", "Program_33", "Pitch_E2", "Program_0", "Pitch_D4", "Bar", "Pitch_E4",
    ]  # fmt: skip


def test_abc_is_spelled_in_one_way() -> None:
    tokenizer = AbcTokenizer()
    ways = ("X:1\nT:x\nM:C\nL:1/8\nK:A minor\n(AB) \"Am\"c//2 | d2/2 :||", "M:4/4\nK:Am\nABc/4|d:|")  # fmt: skip
    texts = {tokenizer.canonical(Score("t", 1, text=text)).text.replace(" ", "") for text in ways}
    assert texts == {"M:4/4\nL:1/8\nK:Am\nABc/4|d:|"}


def test_a_text_that_is_known_to_be_spelled_is_not_read_again() -> None:
    tokenizer = AbcTokenizer()

    def check(score: Score) -> None:
        spelled = tokenizer.canonical(score)
        assert spelled.spelled
        again = tokenizer.encode(replace(spelled, spelled=False)).arrays["tokens"]
        assert (tokenizer.encode(spelled).arrays["tokens"] == again).all()

    for_records(tunes(), check, examples=20)
    with pytest.raises(RecordError, match="no ABC text"):
        tokenizer.encode(Score("cut", 1, spelled=True))


@pytest.mark.parametrize("kind", ["music_remi", "music_tracks"])
def test_speed(kind: str) -> None:
    """The bars are 100,000 notes/s to tokens and 200,000 back; a tenth of them is asked for on a busy machine."""
    import time

    tokenizer = TOKENIZERS[kind]
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 10**6, 20_000), rng.integers(1, 999, 20_000), rng.integers(20, 100, 20_000),
                     rng.integers(1, 127, 20_000), rng.integers(0, 8, 20_000), np.zeros(20_000, int),
                     np.zeros(20_000, int)], axis=1)  # fmt: skip
    score = Score("long", 480, in_order(rows))
    began = time.process_time()
    sequence = tokenizer.encode(score)
    middle = time.process_time()
    tokenizer.decode(sequence)
    assert 20_000 / (middle - began) > 10_000
    assert 20_000 / (time.process_time() - middle) > 20_000
