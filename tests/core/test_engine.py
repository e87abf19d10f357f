"""Scores and embeddings: what the definition says, whatever the batch, the order, or how a record is cut."""

import numpy as np
import pytest
import torch

from core.batching.batch import collate, make_row
from core.engine import Engine, content_hash, empty_sequence
from core.errors import ConfigError
from core.sequence import Sequence
from core.vocabulary import EOS
from core.window_policy import Stretch, Window, WindowPolicy, windows
from tests.core.tiny import DNA, MIXED, records, tiny_model, write_store

PATTERNS = ["A", "M", "S", "SA"]
LENGTHS = (3, 0, 16, 17, 40, 100, 1, 16)


def by_definition(model, sequence, eos=True):
    """Nats per position by the plain row of core.batching.batch, in one forward pass."""
    batch = collate([make_row(sequence, model.spec, eos=eos)], model.spec)
    with torch.inference_mode():
        hidden, _ = model(batch.inputs)
        found = {}
        for name, reading in model.readings(batch.inputs).items():
            mask, target = batch.loss_mask[name], batch.targets[name]
            if model.spec[name].is_symbol:
                nats = reading.nll(hidden, target)
            else:  # of the components that are there
                nats, mask = (reading.component_nll(hidden, target) * mask).sum(-1), mask.any(-1)
            found[name] = nats.masked_fill(~mask, torch.nan)[0].numpy()
        return found


def test_a_record_counts_its_end_and_a_window_does_not():
    model = tiny_model()
    engine, (record,) = Engine(model), records(10)
    (score,) = engine.score([record])
    (window,) = engine.score([record], mode="windows")
    expected = by_definition(model, record)["tokens"]
    assert np.allclose(score.token_nll, expected, atol=1e-5)
    assert score.n_tokens == 11
    assert window.n_tokens == 10
    assert score.nll == pytest.approx(float(expected.sum()), abs=1e-4)
    assert score.mean == score.nll / 11
    assert window.nll == pytest.approx(float(expected[:10].sum()), abs=1e-4)
    assert np.allclose(window.token_nll, expected[:10], atol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_batch_size_and_order_change_nothing(pattern):
    model, sequences = tiny_model(pattern=pattern), records(*LENGTHS)
    one = list(Engine(model).score(sequences))
    assert [len(s.token_nll) for s in one] == [n + 1 for n in LENGTHS]
    for size in (1, 50, 10_000):
        other = list(Engine(model, batch_tokens=size).score(reversed(sequences)))[::-1]
        for a, b in zip(one, other, strict=True):
            assert np.abs(a.token_nll - b.token_nll).max() < 1e-5
            assert a.nll == pytest.approx(b.nll, rel=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_exact_scores_and_embeddings_have_equal_bits(pattern):
    model, sequences = tiny_model(pattern=pattern), records(*LENGTHS)
    one, other = Engine(model, exact=True), Engine(model, exact=True, batch_tokens=20)
    for a, b in zip(one.score(sequences), list(other.score(sequences[::-1]))[::-1], strict=True):
        assert a.nll == b.nll
        assert np.array_equal(a.token_nll, b.token_nll)
    for a, b in zip(one.embed(sequences), list(other.embed(sequences[::-1]))[::-1], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("positions", [1, 7, 8, 9, 10, 12, 13, 50])
@pytest.mark.parametrize("look_back", [0, 3, 4, 7])
@pytest.mark.parametrize("eos", [True, False])
def test_windows_tile_a_record(positions, look_back, eos):
    policy = WindowPolicy(8, look_back)
    cut = list(windows(positions, policy, eos=eos))
    counted = [i for w in cut for i in range(w.begin + w.context, w.stop)]
    assert counted == list(range(positions))
    assert all(w.stop - w.begin == 8 and w.context >= look_back for w in cut[1:])
    assert cut[0] == Window(0, min(positions, 8 + eos if len(cut) == 1 else 8), 0)


def test_a_long_record_is_scored_in_windows_that_look_back():
    model, (record,) = tiny_model(), records(30)
    (score,) = Engine(model).score([record], window=WindowPolicy(12, 5))
    for window in windows(31, WindowPolicy(12, 5), eos=True):
        part = record.slice(window.begin, window.stop)
        expected = by_definition(model, part, eos=window.stop == 31)["tokens"][window.context :]
        assert np.allclose(score.token_nll[window.begin + window.context : window.stop], expected, atol=1e-5)
    (whole,) = Engine(model).score([record], window=WindowPolicy(30))
    assert np.allclose(whole.token_nll, by_definition(model, record)["tokens"], atol=1e-5)


def test_an_engine_has_a_policy_of_its_own():
    model, (record,) = tiny_model(), records(30)
    own = Engine(model, window=WindowPolicy(12, 5))
    (asked,) = Engine(model).score([record], window=WindowPolicy(12, 5))
    (default,) = Engine(model).score([record], window=WindowPolicy(12, 0))
    assert np.array_equal(next(own.score([record])).token_nll, asked.token_nll, equal_nan=True)
    assert np.abs(next(own.score([record])).token_nll - default.token_nll).max() > 1e-5


@pytest.mark.parametrize("pattern", ["M", "S", "MS"])
def test_carried_state_scores_a_long_record_as_if_it_were_whole(pattern, monkeypatch):
    monkeypatch.setattr("core.scoring.CARRIED_CHUNK", 7)
    model, sequences = tiny_model(pattern=pattern), records(3, 50, 28, 20)
    engine = Engine(model)
    carried = engine.score(sequences, window=WindowPolicy(carry=True))
    whole = engine.score(sequences, window=WindowPolicy(length=50))
    for a, b in zip(carried, whole, strict=True):
        assert np.abs(a.token_nll - b.token_nll).max() < 1e-5


def test_the_policy_is_said_in_a_line():
    model = tiny_model(context=16)
    text = Engine(model).policy().describe()
    assert text == (
        "records of up to 16 tokens are scored whole; longer ones in windows of 16 tokens, "
        "each after the first looking back over at least 8"
    )
    with pytest.raises(ConfigError, match=r"window\.carry"):
        Engine(model).policy(WindowPolicy(carry=True))
    with pytest.raises(ConfigError, match=r"window\.look_back"):
        Engine(model).policy(WindowPolicy(look_back=16))
    with pytest.raises(ConfigError, match="'r0' has 17 tokens"):
        list(Engine(model).score(records(17), window=WindowPolicy(long="refuse")))


def test_spans_of_a_store_are_scored_without_what_lies_around_them(tmp_path):
    model, sequences = tiny_model(), records(300, 5, 40, 700)
    store = write_store(tmp_path / "s.zarr", sequences)
    spans = np.array([(0, 200, 300), (1, 0, 5), (3, 0, 0), (3, 100, 700), (2, 7, 9)])
    found = list(Engine(model).score_spans(store, spans))
    pieces = [sequences[row].slice(start, stop) for row, start, stop in spans]
    for nats, score in zip(found, Engine(model).score(pieces, mode="windows"), strict=True):
        assert nats.dtype == np.float32
        assert np.allclose(nats, score.token_nll, atol=1e-5)


def test_records_stream_with_bounded_memory():
    seen = []

    def stream():
        for i, record in enumerate(records(*[10] * 5000)):
            seen.append(i)
            yield record

    scores = Engine(tiny_model(), batch_tokens=100).score(stream())
    next(scores)
    assert len(seen) < 1000
    assert sum(1 for _ in scores) == 4999


@pytest.mark.parametrize("pattern", PATTERNS)
def test_embeddings_are_the_states_that_have_read_each_token(pattern):
    model, sequences = tiny_model(pattern=pattern), records(*LENGTHS[:4], 16)
    engine = Engine(model)
    per_token = list(engine.embed(sequences, pooling="token"))
    for record, tokens, mean, last in zip(
        sequences, per_token, engine.embed(sequences), engine.embed(sequences, pooling="last"), strict=True
    ):
        batch = collate([make_row(record, DNA, eos=True)], DNA)
        with torch.inference_mode():
            hidden = model(batch.inputs)[0][0].numpy()
        if len(record) <= 16:
            assert np.allclose(tokens, hidden[1:], atol=1e-4)
        assert tokens.shape == (len(record), 32)
        assert np.allclose(mean, tokens.mean(0) if len(record) else hidden[0], atol=1e-5)
        assert np.allclose(last, tokens[-1] if len(record) else hidden[0], atol=1e-5)
        assert mean.dtype == np.float32


@pytest.mark.parametrize(("pattern", "carry"), [("A", False), ("SA", False), ("S", False), ("S", True)])
def test_embeddings_of_a_block_are_what_it_hands_on(pattern, carry):
    model, sequences = tiny_model(pattern=pattern), records(*LENGTHS[:4], 40)
    engine, window = Engine(model), WindowPolicy(carry=True) if carry else None
    last = len(model.config.mixers) - 1
    first = list(engine.embed(sequences, pooling="token", layer=0, window=window))
    ends = list(engine.embed(sequences, pooling="token", layer=last, window=window))
    normed = list(engine.embed(sequences, pooling="token", window=window))
    for early, late, after in zip(first, ends, normed, strict=True):
        assert early.shape == late.shape == after.shape
        with torch.inference_mode():
            assert np.allclose(model.backbone.norm_f(torch.from_numpy(late)).numpy(), after, atol=1e-4)
        assert last == 0 or not len(early) or not np.allclose(early, late)
    for bad in (-2, last + 1, 0.5):
        with pytest.raises(ConfigError, match=f"a block from 0 to {last}"):
            next(engine.embed(sequences, layer=bad))


def test_every_kind_and_role_of_field(tmp_path):
    model, sequences = tiny_model(MIXED, pattern="SA", context=32), records(6, 0, 20, 11, spec=MIXED)
    sequences[2].observed["values"] = np.random.default_rng(0).random((20, 2)) < 0.8
    sequences[3].loss_mask["action"] = np.arange(11) > 4
    store = write_store(tmp_path / "s.zarr", sequences, spec=MIXED)
    scores = list(Engine(model, batch_tokens=30).score(store))
    for score, record in zip(scores, sequences, strict=True):
        expected = by_definition(model, record)
        for name, nats in score.field_nll.items():
            assert nats == pytest.approx(float(np.nansum(expected[name])), rel=1e-4, abs=1e-4)
        assert score.nll == pytest.approx(sum(score.field_nll.values()))
        assert score.n_tokens == int((~np.isnan(expected["values"]) | ~np.isnan(expected["action"])).sum())
        assert len(score.token_nll) == len(record) + 1
    tokens = list(Engine(model).embed(sequences, pooling="token"))
    assert [t.shape for t in tokens] == [(len(s), 32) for s in sequences]


def test_real_values_alone_have_no_end_and_yet_an_embedding_of_the_last():
    from core.sequence import Vectors

    spec = Vectors(2)
    model, sequences = tiny_model(spec, context=32), records(5, 1, 0, 9, spec=spec)
    engine = Engine(model)
    assert [s.n_tokens for s in engine.score(sequences)] == [5, 1, 0, 9]
    tokens = list(engine.embed(sequences, pooling="token"))
    changed = records(5, spec=spec)
    changed[0].arrays["values"][-1] += 1
    (other,) = engine.embed(changed, pooling="token")
    assert np.allclose(tokens[0][:-1], other[:-1], atol=1e-5)
    assert not np.allclose(tokens[0][-1], other[-1], atol=1e-3)
    assert [np.isfinite(e).all() for e in engine.embed(sequences)] == [True] * 4


def test_bf16_is_near_fp32_and_does_not_leak():
    model, sequences = tiny_model(), records(16, 9)
    full, half = Engine(model), Engine(model, precision="bf16")
    for a, b in zip(full.score(sequences), half.score(sequences), strict=True):
        assert 0 < np.abs(a.token_nll - b.token_nll).max() < 0.3
        assert b.token_nll.dtype == np.float32
    assert next(iter(full.embed(sequences))).dtype == np.float32


def test_part_of_a_larger_array_is_scored_without_a_copy():
    (record,) = records(40)
    engine = Engine(tiny_model())
    (part,) = engine.score([Stretch(record, 10, 12)])
    (copy,) = engine.score([record.slice(10, 22)])
    assert np.array_equal(part.token_nll, copy.token_nll)


def test_content_hash_sees_values_not_types():
    ids = np.array([5, 6, 7], np.uint8)
    same = [Sequence({"tokens": ids.astype(kind)}) for kind in (np.uint8, np.uint16, np.int64)]
    assert len({content_hash(s) for s in same}) == 1
    assert content_hash(same[0]) != content_hash(same[0].slice(0, 2)) != content_hash(empty_sequence(DNA))


@pytest.mark.parametrize(
    "arguments, key",
    [
        ({"precision": "fp8"}, "precision"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"threads": 0}, "threads"),
        ({"device": "gpu"}, "device"),
    ],
)
def test_settings_that_are_not_allowed_are_named(arguments, key):
    with pytest.raises(ConfigError, match=key):
        Engine(tiny_model(), **arguments)


def test_unknown_words_are_named():
    engine = Engine(tiny_model())
    with pytest.raises(ConfigError, match="mode"):
        next(engine.score(records(3), mode="record"))
    with pytest.raises(ConfigError, match="pooling"):
        next(engine.embed(records(3), pooling="max"))
    with pytest.raises(ConfigError, match="layer"):
        next(engine.embed(records(3), layer=9))


@pytest.mark.parametrize("length", [0, 12, 60])
def test_next_symbols_are_what_scores_are_made_of(length):
    """Shares sum to one, and that of the symbol which came is its likelihood, whatever the windows."""
    engine, (record,) = Engine(tiny_model()), records(length)
    logs = engine.next_symbols(record)
    (score,) = engine.score([record])
    assert logs.shape == (length + 1, len(DNA.targets[0].vocabulary))
    assert np.allclose(np.exp(logs).sum(1), 1, atol=1e-5)
    came = np.append(record.arrays["tokens"], EOS).astype(int)
    assert np.allclose(-logs[np.arange(length + 1), came], score.token_nll, atol=1e-5)


def test_next_symbols_are_of_a_field_that_is_predicted():
    with pytest.raises(ConfigError, match="allowed: tokens"):
        Engine(tiny_model()).next_symbols(records(4)[0], field="letters")
