"""The C++ decoder equals the torch step for every kind of model, and its bits do not depend on what it does beside."""

import numpy as np
import pytest
import torch
from torch import nn

from core.decoding import backbone
from core.decoding import generate as module
from core.decoding.backbone import can_advance, good_slots
from core.decoding.generate import Draw, generate
from core.decoding.native import can_draw
from core.decoding.packing import pack
from core.decoding.sampling import SamplingConfig
from core.kernels import native, preferred
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Symbols
from core.vocabulary import Vocabulary
from tests.core.tiny import DNA, MIXED, records

CONFIGS = {
    "attention": {"pattern": "A"},
    "window": {"pattern": "A", "window": 5},
    "grouped_queries": {"pattern": "A", "heads": 4, "kv_heads": 2, "qk_norm": False},
    "odd_width": {"pattern": "A", "width": 30, "heads": 3, "mlp_hidden": 41},
    "mamba": {"pattern": "M"},
    "mamba_odd": {"pattern": "M", "width": 20, "d_state": 5, "d_conv": 3},
    "mamba_no_conv": {"pattern": "M", "d_conv": 1},
    "mamba2": {"pattern": "S", "headdim": 16},
    "mamba2_groups": {"pattern": "S", "headdim": 8, "width": 24, "ngroups": 3, "d_state": 7},
    "mamba2_odd": {"pattern": "S", "headdim": 5, "width": 25, "ngroups": 2},
    "mixed": {"pattern": "SMA", "layers": 3, "headdim": 16, "window": 4},
    "ngrams": {"pattern": "S", "headdim": 16, "ngrams": (1, 3), "ngram_rows": 40},
    "ngrams_of_attention": {"pattern": "A", "ngrams": (2, 4)},
}
SAMPLING = {
    "plain": SamplingConfig(),
    "filtered": SamplingConfig(0.7, 5, 0.8, 0.05),
    "top_p": SamplingConfig(1.3, 0, 0.9),
    "likeliest": SamplingConfig(temperature=0),
}


@pytest.fixture(autouse=True)
def library():
    if native.obstacle("decode"):
        pytest.skip(native.obstacle("decode"))


def make(spec=DNA, **changes):
    torch.manual_seed(0)
    config = ModelConfig(**({"layers": 2, "width": 32} | changes))
    model = SequenceModel(spec, config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model


def requests(*lengths):
    return [Draw(p, ("x", i)) for i, p in enumerate(records(*lengths))]


def tokens(samples):
    return [s.sequence.arrays["tokens"].tolist() for s in samples]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sampling", SAMPLING)
def test_it_draws_what_torch_draws(name, sampling):
    model, draws = make(**CONFIGS[name]), requests(0, 3, 20, 27, 9, 0, 30, 12)
    assert can_draw(model)
    for more in ({}, {"slots": 3, "context": 11, "min_length": 5}):
        ours = generate(model, draws, SAMPLING[sampling], max_length=36, **more)
        with preferred("torch"):
            assert not can_draw(model)
            expected = generate(model, draws, SAMPLING[sampling], max_length=36, **more)
        assert tokens(ours) == tokens(expected)
        for a, b in zip(ours, expected, strict=True):
            assert (a.n_tokens, a.finished) == (b.n_tokens, b.finished)
            assert a.nll == pytest.approx(b.nll, abs=1e-5 * (1 + a.n_tokens))
            assert a.masked_mass == pytest.approx(b.masked_mass, abs=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_its_bits_depend_neither_on_the_batch_nor_on_threads(name, monkeypatch):
    model, draws = make(**CONFIGS[name]), requests(*[0] * 14)
    found = []
    threads = torch.get_num_threads()
    try:
        for slots, count, large in (
            (0, 1, False),
            (1, 1, False),
            (5, 1, False),
            (0, 2, False),
            (1, 2, True),
            (2, 2, True),
        ):
            torch.set_num_threads(count)
            monkeypatch.setattr(backbone, "LARGE", 0 if large else 2**40)
            monkeypatch.setattr(module, "good_slots", lambda *_: 100)
            found.append(generate(model, draws, SamplingConfig(), max_length=20, slots=slots))
    finally:
        torch.set_num_threads(threads)
    assert len({s.nll for s in found[0]}) > 5
    for other in found[1:]:
        assert tokens(other) == tokens(found[0])
        assert [s.nll for s in other] == [s.nll for s in found[0]]


def test_a_large_vocabulary_is_drawn_from_as_torch_does():
    model = make(Symbols(Vocabulary(tuple(f"w{i}" for i in range(1000)))), pattern="M")
    draws = requests(*[0] * 20)
    for sampling in SAMPLING.values():
        ours = generate(model, draws, sampling, max_length=12)
        with preferred("torch"):
            expected = generate(model, draws, sampling, max_length=12)
        assert tokens(ours) == tokens(expected)
        assert [s.nll for s in ours] == pytest.approx([s.nll for s in expected], abs=2e-4)


def test_weights_that_change_are_packed_anew_and_others_are_not():
    model = make()
    draws = requests(0, 0)
    packed = pack(model, 16)
    assert pack(model, 16) is packed
    before = generate(model, draws, SamplingConfig(), max_length=12)
    with torch.no_grad():
        model.backbone.blocks[1].mixer.in_proj.weight.mul_(-1)
    assert pack(model, 16) is not packed
    after = generate(model, draws, SamplingConfig(), max_length=12)
    with preferred("torch"):
        expected = generate(model, draws, SamplingConfig(), max_length=12)
    assert tokens(after) == tokens(expected)
    assert [s.nll for s in after] != [s.nll for s in before]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("slots", [0, 2])
def test_tokens_of_several_fields_go_through_its_layers(name, slots):
    model = make(spec=MIXED, **CONFIGS[name])
    assert can_advance(model)
    assert not can_draw(model)
    ahead = records(*[24] * 6, spec=MIXED, seed=4)
    draws = [Draw(s.slice(0, n), ("x", i), s) for i, (s, n) in enumerate(zip(ahead, (0, 2, 15, 0, 9, 20), strict=True))]
    kwargs = {"max_length": 24, "min_length": 12, "context": 11, "slots": slots}
    ours = generate(model, draws, SamplingConfig(), **kwargs)
    with preferred("torch"):
        assert not can_advance(model)
        expected = generate(model, draws, SamplingConfig(), **kwargs)
    for a, b in zip(ours, expected, strict=True):
        assert a.sequence.arrays["action"].tolist() == b.sequence.arrays["action"].tolist()
        assert np.allclose(a.sequence.arrays["values"], b.sequence.arrays["values"], atol=1e-4)
        for field, nats in a.field_nll.items():
            assert nats == pytest.approx(b.field_nll[field], abs=1e-4 * (1 + a.n_tokens))


class Adapted(nn.Linear):
    """As fine-tuning puts in the place of a projection."""


def test_what_it_does_not_know_goes_the_torch_way():
    assert not can_advance(make().double())
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_advance(model)
    model.backbone.blocks[0].mixer.out_proj.__class__ = Adapted
    assert not can_advance(model)
    model = make()
    hook = model.backbone.blocks[0].register_forward_hook(lambda *_: None)
    assert not can_advance(model)
    hook.remove()
    model.readouts["tokens"].proj.__class__ = Adapted
    assert can_advance(model)
    assert not can_draw(model)


def test_fewer_rows_are_worked_on_where_each_holds_more():
    config = {"layers": 4, "width": 256}
    rows = [good_slots(make(**config), context) for context in (64, 256, 4096)]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > rows[1] > rows[2] >= 8
    assert good_slots(make(**config, pattern="M"), 64) == good_slots(make(**config, pattern="M"), 10**6)


def test_a_row_that_knows_no_end_is_as_long_as_allowed():
    (sample,) = generate(make(pattern="M"), requests(0), SamplingConfig(), max_length=700, min_length=700)
    assert (sample.n_tokens, sample.finished) == (700, False)
    assert np.isfinite(sample.nll)
