"""Samples: a draw depends on its row only, whatever shares the slots; grammars hold; nats are the model's."""

import numpy as np
import pytest
import torch

from core.decoding.generate import Draw, generate
from core.decoding.sampling import SamplingConfig
from core.engine import Engine
from core.errors import ConfigError
from core.kernels import preferred
from core.sequence import Sequence, Symbols
from core.vocabulary import BOS, EOS, MASK, PAD, SPECIALS, Vocabulary
from tests.core.tiny import MIXED, records, tiny_model

A, C, G, T = range(5, 9)


@pytest.fixture(params=["native", "torch"], autouse=True)
def way(request):
    """Both ways of decoding; the C++ one falls back to torch where there is no compiler, as it does in use."""
    with preferred("auto" if request.param == "native" else "torch"):
        yield request.param


class Alternating:
    """Purines and pyrimidines take turns, and a sequence of `length` symbols must end."""

    def __init__(self, length):
        self.length = length

    def start(self, batch):
        return _At(torch.zeros(batch, dtype=torch.int64))

    def allowed(self, state):
        mask = torch.zeros(len(state.at), 9, dtype=torch.bool)
        mask[:, [A, G]] = (state.at % 2 == 0)[:, None]
        mask[:, [C, T]] = (state.at % 2 == 1)[:, None]
        mask[state.at >= self.length] = False
        mask[:, EOS] = (state.at >= self.length) | (state.at == 2)
        return mask

    def advance(self, state, tokens):
        return _At(state.at + (tokens != EOS))


class _At:
    def __init__(self, at):
        self.at = at

    def select(self, rows):
        return _At(self.at[rows])

    def reset(self, rows):
        return _At(self.at.index_fill(0, rows, 0))

    def clone(self):
        return _At(self.at.clone())


def tokens(samples):
    return [s.sequence.arrays["tokens"].tolist() for s in samples]


def test_samples_with_their_likelihood():
    engine = Engine(tiny_model())
    samples = engine.sample(8, max_length=5, seed=1)
    scored = list(engine.score(s.sequence for s in samples))
    assert {s.finished for s in samples} == {True, False}
    for sample, score in zip(samples, scored, strict=True):
        drawn = score.token_nll[: sample.n_tokens]
        assert sample.n_tokens == len(sample.sequence) + sample.finished
        assert sample.nll == pytest.approx(float(drawn.sum()), abs=1e-4)
        assert not np.isin(sample.sequence.arrays["tokens"], (PAD, BOS, EOS, MASK)).any()


@pytest.mark.parametrize("pattern", ["A", "M", "S", "SA"])
def test_a_draw_depends_on_nothing_but_its_row(pattern):
    model = tiny_model(pattern=pattern)
    prefixes = records(0, 3, 3, 7, 0)
    whole = Engine(model).sample(prefixes, max_length=24, seed=3, draws=2)
    one_by_one = Engine(model, batch_tokens=1).sample(prefixes, max_length=24, seed=3, draws=2)
    backwards = Engine(model, batch_tokens=12).sample(
        prefixes[::-1], rows=range(len(prefixes))[::-1], max_length=24, seed=3, draws=2
    )
    backwards = [s for i in reversed(range(len(prefixes))) for s in backwards[2 * i : 2 * i + 2]]
    assert tokens(whole) == tokens(one_by_one) == tokens(backwards)
    for a, b in zip(whole, backwards, strict=True):
        assert a.nll == pytest.approx(b.nll, abs=1e-5 * max(1, a.n_tokens))
    assert tokens(whole) != tokens(Engine(model).sample(prefixes, max_length=24, seed=4, draws=2))
    assert len({str(t) for t in tokens(whole)}) > len(prefixes)  # two draws of one row differ


@pytest.mark.parametrize("pattern", ["A", "S"])
def test_exact_samples_have_equal_bits(pattern):
    model = tiny_model(pattern=pattern)
    prefixes = records(2, 9, 4)
    one = Engine(model, exact=True).sample(prefixes, max_length=20, seed=3)
    other = Engine(model, exact=True, batch_tokens=7).sample(prefixes[::-1], rows=[2, 1, 0], max_length=20, seed=3)
    assert [s.nll for s in one] == [s.nll for s in other[::-1]]
    assert tokens(one) == tokens(other[::-1])


@pytest.mark.parametrize("pattern", ["A", "M", "SA"])
def test_prefixes_stay_and_reading_them_in_parallel_changes_nothing(pattern):
    model = tiny_model(pattern=pattern)
    requests = [Draw(p, ("x", i)) for i, p in enumerate(records(5, 20, 27, 9))]
    kwargs = {"max_length": 36, "context": 16}
    together = generate(model, requests, SamplingConfig(), parallel_prefix=True, **kwargs)
    stepped = generate(model, requests, SamplingConfig(), parallel_prefix=False, **kwargs)
    alone = [generate(model, [r], SamplingConfig(), parallel_prefix=True, **kwargs)[0] for r in requests]
    assert tokens(together) == tokens(stepped) == tokens(alone)
    for request, sample in zip(requests, together, strict=True):
        n = len(request.prefix)
        assert np.array_equal(sample.sequence.arrays["tokens"][:n], request.prefix.arrays["tokens"])
        assert sample.n_tokens == len(sample.sequence) - n + sample.finished


def test_beyond_its_context_a_model_reads_the_last_half_of_it():
    model = tiny_model(context=8)
    engine = Engine(model)
    (sample,) = engine.sample(1, max_length=20, min_length=20, seed=5)
    ids = sample.sequence.arrays["tokens"]
    for origin, start, stop in ((0, 0, 8), (4, 8, 12), (8, 12, 16)):  # a window starts anew when it is full
        (score,) = engine.score([Sequence({"tokens": ids[origin:stop]})], mode="windows")
        (whole,) = engine.score([sample.sequence], mode="windows")
        assert np.allclose(score.token_nll[start - origin :], whole.token_nll[start:stop], atol=1e-5)
    assert sample.nll == pytest.approx(whole.nll, abs=1e-4)


def test_every_sample_follows_the_grammar_and_says_what_the_mask_took():
    engine = Engine(tiny_model())
    samples = engine.sample(64, max_length=9, seed=2, grammar=Alternating(6))
    lengths = {len(t) for t in tokens(samples)}
    assert lengths == {2, 6}
    for sample in samples:
        ids = sample.sequence.arrays["tokens"]
        assert sample.finished
        assert set(ids[::2]) <= {A, G}
        assert set(ids[1::2]) <= {C, T}
        assert 0 < sample.masked_mass < 1
    one_by_one = Engine(tiny_model(), batch_tokens=1).sample(9, max_length=9, seed=2, grammar=Alternating(6))
    assert tokens(samples[:9]) == tokens(one_by_one)


def test_a_grammar_reads_the_prefix_too():
    engine = Engine(tiny_model())
    prefixes = [Sequence({"tokens": np.array(ids, np.uint8)}) for ids in ([A], [A, C, G], [])]
    for sample, prefix in zip(
        engine.sample(prefixes, max_length=9, grammar=Alternating(6), seed=0), prefixes, strict=True
    ):
        ids = sample.sequence.arrays["tokens"].tolist()
        assert ids[: len(prefix)] == prefix.arrays["tokens"].tolist()
        assert all((t in (A, G)) == (i % 2 == 0) for i, t in enumerate(ids))


def test_min_length_keeps_samples_going():
    samples = Engine(tiny_model()).sample(32, max_length=10, min_length=4, seed=0)
    lengths = [len(s.sequence) for s in samples]
    assert min(lengths) >= 4
    assert min(lengths) < 10
    with pytest.raises(ConfigError, match="contradict"):
        Engine(tiny_model()).sample(4, max_length=10, min_length=10, grammar=Alternating(6))


@pytest.mark.parametrize("pattern", ["A", "M", "SA"])
@pytest.mark.parametrize("slots", [1, 3, 9])
def test_rows_that_end_are_replaced_and_nothing_else_changes(pattern, slots):
    model = tiny_model(pattern=pattern)
    requests = [Draw(p, ("x", i)) for i, p in enumerate(records(0, 12, 0, 0, 20, 3, 0, 28, 0, 1, 0, 0, 15))]
    kwargs = {"max_length": 28, "context": 16}
    together = generate(model, requests, SamplingConfig(), **kwargs)
    in_turns = generate(model, requests, SamplingConfig(), slots=slots, **kwargs)
    assert tokens(together) == tokens(in_turns)
    assert len({s.n_tokens for s in together}) > 4
    for a, b in zip(together, in_turns, strict=True):
        assert (a.n_tokens, a.finished) == (b.n_tokens, b.finished)
        assert (a.nll, a.masked_mass) == pytest.approx((b.nll, b.masked_mass), abs=1e-5 * (1 + a.n_tokens))


def test_slots_stay_full_while_draws_wait():
    model, alive = tiny_model(pattern="M"), []
    step = type(model).step

    def counted(self, fields, state, **more):
        alive.append(len(fields["tokens"]))
        return step(self, fields, state, **more)

    requests = [Draw(p, ("x", i)) for i, p in enumerate(records(*[0] * 40))]
    with preferred("torch"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "step", counted)
        drawn = generate(model, requests, SamplingConfig(), max_length=12, slots=8)
    assert sum(alive) < 1.25 * sum(s.n_tokens for s in drawn)


def test_a_grammar_follows_rows_that_take_turns():
    model = tiny_model()
    prefixes = [Sequence({"tokens": np.array(ids, np.uint8)}) for ids in ([A], [A, C, G], [], [G], [], [A, T], [])]
    requests = [Draw(p, ("x", i)) for i, p in enumerate(prefixes)]
    kwargs = {"max_length": 9, "grammar": Alternating(6)}
    together = generate(model, requests, SamplingConfig(), **kwargs)
    for slots in (1, 2, 3):
        in_turns = generate(model, requests, SamplingConfig(), slots=slots, **kwargs)
        assert tokens(in_turns) == tokens(together)
    for sample, prefix in zip(together, prefixes, strict=True):
        ids = sample.sequence.arrays["tokens"].tolist()
        assert ids[: len(prefix)] == prefix.arrays["tokens"].tolist()
        assert all((t in (A, G)) == (i % 2 == 0) for i, t in enumerate(ids))


def test_work_can_be_stopped_between_steps():
    class Stopped(Exception):
        pass

    calls = iter(range(100))

    def between():
        if next(calls) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        generate(
            tiny_model(),
            [Draw(p, ("x", i)) for i, p in enumerate(records(*[0] * 50))],
            SamplingConfig(),
            max_length=30,
            slots=2,
            between=between,
        )


def test_no_draws_give_no_samples():
    assert generate(tiny_model(), [], SamplingConfig(), max_length=5) == []


def test_a_model_of_numbers_that_are_none_gives_none_and_ends():
    model = tiny_model()
    with torch.no_grad():
        model.backbone.norm_f.weight.fill_(float("nan"))
    for config in (SamplingConfig(), SamplingConfig(temperature=0.0), SamplingConfig(0.7, 3, 0.9, 0.1)):
        (sample,) = generate(model, [Draw(records(0)[0], ("x",))], config, max_length=5)
        assert np.isnan(sample.nll)


def test_temperature_zero_takes_the_likeliest_symbol():
    engine = Engine(tiny_model())
    one, two = engine.sample(1, max_length=8, temperature=0.0, draws=2)
    assert tokens([one]) == tokens([two])


def test_real_and_symbol_targets_are_drawn_together():
    model = tiny_model(MIXED, pattern="SA")
    ahead = records(10, 10, 10, spec=MIXED, seed=4)
    prefixes = [s.slice(0, n) for s, n in zip(ahead, (0, 2, 5), strict=True)]
    samples = Engine(model).sample(prefixes, max_length=10, min_length=10, seed=1, ahead=ahead)
    one_by_one = Engine(model, batch_tokens=1).sample(prefixes, max_length=10, min_length=10, seed=1, ahead=ahead)
    scores = list(Engine(model).score(s.sequence for s in samples))
    for i, (sample, other, score) in enumerate(zip(samples, one_by_one, scores, strict=True)):
        n = len(prefixes[i])
        assert sample.sequence.arrays["values"].shape == (10, 2)
        assert np.array_equal(sample.sequence.arrays["goal"], ahead[i].arrays["goal"])
        assert np.array_equal(sample.sequence.arrays["values"][:n], prefixes[i].arrays["values"])
        assert np.allclose(sample.sequence.arrays["values"], other.sequence.arrays["values"], atol=1e-4)
        assert sample.nll == pytest.approx(float(score.token_nll[n:10].sum()), rel=1e-4, abs=1e-3)
        assert sum(sample.field_nll.values()) == pytest.approx(sample.nll)
    with pytest.raises(ConfigError, match="goal"):
        Engine(model).sample(2, max_length=4)


def test_a_prefix_beyond_the_length_limit_is_refused():
    with pytest.raises(ConfigError, match="max_length is 4"):
        Engine(tiny_model()).sample(records(5), max_length=4)
    (sample,) = Engine(tiny_model()).sample(records(4), max_length=4)
    assert (sample.n_tokens, sample.nll, sample.finished) == (0, 0.0, False)


def test_a_large_vocabulary_is_sampled_under_top_p():
    spec = Symbols(Vocabulary(tuple(f"w{i}" for i in range(1000))))
    samples = Engine(tiny_model(spec)).sample(4, max_length=6, top_p=0.5, seed=0)
    assert all((s.sequence.arrays["tokens"] >= len(SPECIALS)).all() for s in samples)
    assert samples[0].sequence.arrays["tokens"].dtype == np.uint16
