"""The evaluation of music: n-grams that are distributions, statistics with known answers, and the whole of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import ConfigError
from core.evaluation import MetricTable
from core.ingest import prepare_store
from core.sequence import Sequence
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import PITCH, Score, in_order
from domains.music.data import open_data, suggest_batching
from domains.music.evaluation import evaluate
from domains.music.evaluation.likelihood import fit_ngrams, from_plain, plain, xz_bits_per_char
from domains.music.evaluation.ngrams import NGrams
from domains.music.evaluation.statistics import distance, durations, features, groove, pitch_classes
from domains.music.evaluation.translation import count_right_notes, lines_apart, measure_translation
from domains.music.evaluation.voices import count_voices
from domains.music.source import open_source
from domains.music.tokenizer import AbcTokenizer, GridTokenizer, RemiTokenizer, TranslationConfig, TranslationTokenizer
from tests.domains.music.scores import TUNE, chorale


def brute_force(train: list[list[int]], piece: list[int], order: int, size: int) -> list[float]:
    """Witten-Bell straight from the formula, contexts as tuples with zeros before the beginning."""
    out = []
    for t, symbol in enumerate(piece):
        p = 1 / size
        for k in range(order + 1):

            def context(text: list[int], at: int, k: int = k) -> tuple[int, ...]:
                return tuple(text[at - j] if at >= j else 0 for j in range(1, k + 1))

            seen = [text[i] for text in train for i in range(len(text)) if context(text, i) == context(piece, t)]
            if seen:
                p = (seen.count(symbol) + len(set(seen)) * p) / (len(seen) + len(set(seen)))
        out.append(-np.log(p))
    return out


def test_ngrams_are_witten_bell() -> None:
    rng = np.random.default_rng(0)
    train = [rng.integers(1, 4, n).tolist() for n in (30, 20)]
    piece = rng.integers(1, 5, 25).tolist()
    table = NGrams(3, 6).fit(np.array(t) for t in train)
    nats, right = table.nll(np.array(piece))
    for order in range(4):
        assert nats[order] == pytest.approx(brute_force(train, piece, order, 6))
    assert table.probabilities(np.array(piece)).sum(axis=2) == pytest.approx(1.0)
    assert right.shape == nats.shape


def test_voices_have_contexts_of_their_own() -> None:
    """Two voices that alternate between fixed symbols: with a period, order 0 knows whose turn it is."""
    piece = np.tile([1, 2], 50)
    with_voices = NGrams(0, 4, period=2).fit([piece]).nll(piece)[0].sum()
    assert with_voices < 0.2 * NGrams(0, 4).fit([piece]).nll(piece)[0].sum()


def test_samples_of_a_table_are_what_it_saw() -> None:
    drawn = NGrams(2, 4).fit([np.tile([1, 2, 3], 200)]).sample(4, 30, np.random.default_rng(0))
    follows = drawn[:, 1:] == drawn[:, :-1] % 3 + 1
    assert follows.mean() > 0.9


def test_plain_tokens_come_back() -> None:
    for tokenizer, score in ((GridTokenizer(), chorale(0)), (RemiTokenizer(), chorale(0))):
        tokens = tokenizer.encode(score).arrays["tokens"].astype(np.int64)  # type: ignore[attr-defined]
        assert (from_plain(tokenizer, plain(tokenizer, tokens)) == tokens).all()


def test_xz_knows_what_it_has_read() -> None:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdefgh"), 4000))
    assert xz_bits_per_char([text], [text]) < 0.3
    assert 2.5 < xz_bits_per_char(["".join(rng.choice(list("abcdefgh"), 4000))], [text]) < 4.5


def test_statistics_of_a_scale() -> None:
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    score = Score("c", 4, in_order([[i * 4, 4, p, 80, 0, 0, 0] for i, p in enumerate(scale)]))
    found = features(score)
    assert found["scale_consistency"] == 1.0
    assert found["polyphony"] == 1.0
    assert found["pitch_range"] == 12
    assert found["groove_consistency"] == 1.0
    assert found["pitch_class_entropy"] == pytest.approx(-(6 * 0.125 * np.log2(0.125) + 0.25 * np.log2(0.25)))
    assert pitch_classes(score)[0] == 2
    assert durations(score)[5] == 8


def test_transposition_changes_no_feature_but_pitch_classes() -> None:
    score = chorale(0)
    moved = Score("m", score.tpq, score.notes + np.array([0, 0, 3, 0, 0, 0, 0]))
    assert features(score) == pytest.approx(features(moved))


def test_groove_is_the_share_of_equal_sixteenths() -> None:
    score = Score("g", 4, in_order([[0, 1, 60, 80, 0, 0, 0], [4, 1, 60, 80, 0, 0, 0], [16, 1, 60, 80, 0, 0, 0]]))
    assert groove(score) == pytest.approx(15 / 16)


def test_distance_is_in_standard_deviations() -> None:
    values = np.array([0.0, 2.0])
    assert distance(values + 3, values) == pytest.approx(3.0)
    assert distance(values, values) == 0
    assert np.isnan(distance(np.array([np.nan]), values))
    assert np.isnan(distance(values, np.ones(3)))
    assert distance(np.ones(2), np.ones(3)) == 0


def test_voices_that_cross_and_parallel_fifths() -> None:
    rows = [[0, 4, 67, 80, 0, 0, 0], [4, 4, 69, 80, 0, 0, 0], [0, 4, 60, 80, 0, 1, 0], [4, 4, 62, 80, 0, 1, 0],
            [8, 4, 60, 80, 0, 0, 0], [8, 4, 64, 80, 0, 1, 0]]  # fmt: skip
    found = count_voices(Score("v", 4, in_order(rows)), voices=2)
    assert (found.parallels, found.moves) == (1, 2 - 0)
    assert (found.crossings, found.steps) == (1, 3)
    assert found.notes == 6


class Uniform:
    """A model for which every data symbol is as likely; it samples pieces of the store."""

    def __init__(self, tokenizer: Any, store: TokenStore) -> None:
        self.tokenizer, self.store = tokenizer, store

    def score_spans(self, store: TokenStore, spans: np.ndarray) -> Any:
        for start, stop in spans[:, 1:].tolist():
            yield np.full(stop - start, np.log(self.tokenizer.size - 5), np.float32)

    def embed(self, sequences: Any, *, pooling: str) -> Any:
        raise AssertionError("there is no model to ask")

    def sample(self, prefixes: int, *, max_length: int, **options: Any) -> list[Any]:
        from core.decoding.slots import Sample

        rows = [self.store[i % len(self.store)] for i in range(prefixes)]
        whole = getattr(self.tokenizer, "whole", lambda sequence, length: length)
        cut = [row.slice(0, whole(row, min(max_length, len(row)))) for row in rows]
        return [Sample(s, 2.0 * len(s), len(s), True, 0.1) for s in cut]


def store_of(folder: Path, tokenizer: Any) -> TokenStore:
    folder.mkdir()
    if tokenizer.kind in ("music_abc", "music_abc_to_midi"):
        rng = np.random.default_rng(0)
        tunes = [TUNE.replace("X:1", f"X:{n}") + "".join(rng.choice(list("ABcde|"), 30)) + "\n" for n in range(30)]
        (folder / "t.abc").write_text("\n".join(tunes))
    else:
        for seed in range(20):
            (folder / f"{seed}.mid").write_bytes(midi_bytes([chorale(seed, 8)]))
    split = SplitConfig("random", validation=0.1, test=0.3, k=8)
    prepare_store(open_source(path=folder), tokenizer, folder / "s.zarr", split=split, domain="music")
    return TokenStore.open(folder / "s.zarr")


@pytest.mark.parametrize("tokenizer", [GridTokenizer(), RemiTokenizer(), AbcTokenizer()], ids=lambda t: t.kind)
def test_the_whole_evaluation(tmp_path: Path, tokenizer: Any) -> None:
    store = store_of(tmp_path / "music", tokenizer)
    options = {
        "order": 3,
        "samples": 3,
        "sample_length": 400,
        "resamples": 100,
        "figures": tokenizer.kind == "music_grid",
    }
    out = tmp_path / "out"
    table = evaluate(Uniform(tokenizer, store), store, tokenizer, out=out, training={"seed": 3}, **options)
    nats = table.find("nats_per_token")
    assert nats is not None
    assert nats.value == pytest.approx(np.log(tokenizer.size - 5), rel=1e-5)
    best = table.find("nats_per_token", model="order_3")
    assert best is not None
    assert best.value is not None
    assert best.value < nats.value
    assert table.find("accuracy") is None
    assert table.find("valid_unmasked").value == 1.0  # type: ignore[union-attr]
    assert table.find("canonical_unmasked").value == 1.0  # type: ignore[union-attr]
    assert (table.find("nats_per_beat") is not None) == (tokenizer.kind == "music_grid")
    unit = "bits_per_char" if tokenizer.kind == "music_abc" else "nats_per_note"
    assert table.find(unit) is not None
    assert (table.find("bits_per_char", model="xz") is not None) == (tokenizer.kind == "music_abc")
    assert (table.find("voice_crossing_share", model="test") is not None) == (tokenizer.kind == "music_grid")
    assert (table.find("full_bar_share", model="test") is not None) == (tokenizer.kind == "music_abc")
    for metric in ("onsets_on_beat_w1_sd", "notes_over_bar_line_w1_sd"):
        assert table.find(metric) is not None
        assert table.find(metric, model="train") is not None
    assert table.find("longest_copy_notes_mean") is not None
    assert json.loads((out / "metrics.json").read_text())
    assert len((out / "per_piece.csv").read_text().splitlines()) == 1 + len(store.spans("test"))
    if options["figures"]:
        assert {f["file"] for f in json.loads((out / "figures.json").read_text())} == {
            "nats_per_token.svg", "piano_rolls.svg", "pitch_classes.svg", "note_lengths.svg",
            *(f"{name}.wav" for name in ("sample_1", "sample_2", "test_1")),
        }  # fmt: skip
        assert (out / "sample_1.wav").stat().st_size > 10_000


class Silent(Uniform):
    """Its samples are one token, which is no piece."""

    def sample(self, prefixes: int, **options: Any) -> list[Any]:
        return [replace(sample, sequence=sample.sequence.slice(0, 1)) for sample in super().sample(prefixes, **options)]


def test_samples_that_are_no_pieces_are_no_rows(tmp_path: Path) -> None:
    tokenizer = RemiTokenizer()
    store = store_of(tmp_path / "music", tokenizer)
    options: dict[str, Any] = {"order": 1, "samples": 2, "sample_length": 60, "resamples": 100, "figures": False}
    table = evaluate(Silent(tokenizer, store), store, tokenizer, out=tmp_path / "out", **options)
    assert table.find("valid_unmasked").value == 0  # type: ignore[union-attr]
    assert table.find("onsets_on_beat_mean") is None
    assert table.find("onsets_on_beat_mean", model="test") is not None


TRANSLATION = ("exact_file_rate", "readable_file_rate", "note_f1", "right_prefix_share")


@pytest.mark.parametrize("lengths", ["told", "derived"])
def test_a_wrong_byte_costs_what_it_changes(lengths: str) -> None:
    """A pitch that is wrong is one note of a readable file; a length that is wrong is the file, where it is a token."""
    from core.decoding.slots import Sample

    tokenizer = TranslationTokenizer(TranslationConfig(lengths=lengths))
    truth = tokenizer.encode(Score("t", 1, text="M:4/4\nL:1/4\nK:C\nCDEF|GABc|"))
    tokens = truth.arrays["tokens"].astype(np.int64)

    def with_change(at: int, value: int) -> Sequence:
        changed = tokens.copy()
        changed[at] = value + 5
        return Sequence({"tokens": changed.astype(truth.arrays["tokens"].dtype)}, "t")

    file = tokens[len(tokenizer.question(truth)) :] - 5
    first = int(np.flatnonzero((file[:-1] == 0x90) & (file[1:] == 60))[0]) + len(tokenizer.question(truth)) + 1
    chunk = bytes(file.astype(np.uint8)).rindex(b"MTrk") + len(tokenizer.question(truth)) + 4

    def measured(made: Sequence) -> list[float]:
        class Drawn:
            def sample(self, asked: Any, **how: Any) -> list[Any]:
                return [Sample(made, 0.0, 1, True, 0.0)]

        table = MetricTable()
        measure_translation(Drawn(), tokenizer, [truth], table, {"split": "t", "seed": 0, "resamples": 100})
        return [table.find(name).value for name in TRANSLATION[:3]]

    assert measured(with_change(first, 61)) == [0, 1, pytest.approx(7 / 8)]
    if lengths == "told":
        assert measured(with_change(chunk, 1)) == [0, 0, 0]
    else:
        assert (file[-4:] == [0, 0xFF, 0x2F, 0]).all()
        assert measured(Sequence({"tokens": truth.arrays["tokens"][:-4]}, "t"))[:2] == [0, 1]


def test_lines_are_asked_for_in_turn() -> None:
    tokenizer = TranslationTokenizer()
    tune = tokenizer.encode(Score("t", 1, text="M:4/4\nL:1/4\nK:C\nCDEF|\nz4|\nGABc|\n"))
    lines = lines_apart(tokenizer, [tune, tune, tune])
    assert [line.id for line in lines] == ["t, line 1", "t, line 3"]  # the second is silent
    assert tokenizer.decode(lines[1]).notes[:, PITCH].tolist() == [67, 69, 71, 72]


def test_notes_are_right_once() -> None:
    real = Score("r", 2, in_order([[0, 2, 60, 80, 0, 0, 0], [2, 2, 62, 80, 0, 0, 0]]))
    heard = Score("h", 4, in_order([[0, 4, 60, 1, 5, 0, 0], [0, 4, 60, 1, 5, 1, 0], [4, 2, 62, 80, 0, 0, 0]]))
    assert count_right_notes(heard, real) == 1


def test_translations_are_compared_to_the_byte(tmp_path: Path) -> None:
    from core.decoding.slots import Sample
    from core.engine import Engine
    from core.nn.config import ModelConfig
    from core.nn.model import SequenceModel

    tokenizer = TranslationTokenizer()
    store = store_of(tmp_path / "music", tokenizer)
    torch.manual_seed(0)
    engine = Engine(SequenceModel(tokenizer.spec, ModelConfig(pattern="S", width=16, layers=1, heads=2, context=64)))
    options: dict[str, Any] = {"order": 1, "samples": 2, "resamples": 100, "figures": False}
    table = evaluate(engine, store, tokenizer, out=tmp_path / "out", **options)
    assert table.find("exact_file_rate").value == 0
    assert table.find("right_prefix_share").value < 0.1
    assert all(table.find(f"{name}_lines") is not None for name in TRANSLATION)
    row = store.spans("test")[:2, 0].tolist()
    told = [store[i] for i in row]

    class Right:
        def sample(self, asked: Any, **how: Any) -> list[Any]:
            assert [len(a) for a in asked] == [len(tokenizer.question(t)) for t in told]
            return [Sample(t, 0.0, 1, True, 0.0) for t in told]

    right = MetricTable()
    measure_translation(Right(), tokenizer, told, right, {"split": "t", "seed": 0, "resamples": 100})
    assert [right.find(n).value for n in TRANSLATION] == [1, 1, 1, 1]


def test_accuracy_asks_the_model(tmp_path: Path) -> None:
    from core.engine import Engine
    from core.nn.config import ModelConfig
    from core.nn.model import SequenceModel

    tokenizer = GridTokenizer()
    store = store_of(tmp_path / "music", tokenizer)
    torch.manual_seed(0)
    engine = Engine(SequenceModel(tokenizer.spec, ModelConfig(pattern="A", width=16, layers=1, heads=2, context=512)))
    table = evaluate(engine, store, tokenizer, out=tmp_path / "out", order=2, samples=0, resamples=100, figures=False)
    row = table.find("accuracy")
    assert row is not None
    assert row.value is not None
    assert 0 <= row.value < 0.3


def test_the_best_order_is_chosen_on_validation(tmp_path: Path) -> None:
    tokenizer = GridTokenizer()
    baselines = fit_ngrams(store_of(tmp_path / "music", tokenizer), tokenizer, 2)
    assert baselines.chosen in baselines.names()
    assert set(baselines.tables) == {"", "_all_keys"}


@pytest.mark.parametrize("wrong", [{"order": -1}, {"samples": 1.5}, {"sample_length": 2}, {"sampels": 3}])
def test_wrong_settings_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    tokenizer = GridTokenizer()
    with pytest.raises(ConfigError):
        evaluate(Uniform(tokenizer, None), None, tokenizer, out=tmp_path, **wrong)  # type: ignore[arg-type]


def test_training_reads_transposed_windows(tmp_path: Path) -> None:
    tokenizer = GridTokenizer()
    store = store_of(tmp_path / "music", tokenizer)
    assert suggest_batching().kind == "buckets"
    assert open_data(store, tokenizer).tokenizer is tokenizer
