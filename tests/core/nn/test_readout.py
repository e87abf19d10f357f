"""A readout of symbols is a likelihood over the whole vocabulary; kinds are found by name and fit their field."""

from __future__ import annotations

import pytest
import torch

from core.errors import ConfigError
from core.nn.readout import Categorical, make_readout, readout_kinds
from core.nn.real_readout import PointEstimate
from core.sequence import TokenSpec, real, symbol
from core.vocabulary import Vocabulary

LETTERS = symbol("s", Vocabulary(("A", "B")))
VECTOR = real("x", 2)


def test_a_categorical_sums_to_one_over_the_whole_vocabulary() -> None:
    readout, hidden = Categorical(8, LETTERS), torch.randn(3, 5, 8)
    nats = torch.stack([readout.nll(hidden, torch.full((3, 5), i)) for i in range(7)])
    torch.testing.assert_close((-nats).exp().sum(0), torch.ones(3, 5))
    torch.testing.assert_close(nats[6], -readout.logits(hidden).log_softmax(-1)[..., 6])
    assert readout.nll(hidden[0, 0], torch.tensor(6)).shape == ()


def test_a_small_vocabulary_is_read_out_in_float32_under_autocast() -> None:
    readout, hidden = Categorical(64, LETTERS), torch.randn(50, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = readout.logits(hidden)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, readout.logits(hidden))


def test_kinds_have_defaults_and_must_fit_their_field() -> None:
    spec = TokenSpec((LETTERS, VECTOR))
    assert readout_kinds(spec) == {"s": "categorical", "x": "gaussian"}
    assert isinstance(make_readout(readout_kinds(spec, {"x": "mse"})["x"], 8, VECTOR), PointEstimate)
    with pytest.raises(ConfigError, match="unknown readout of a symbol field 'gaussian'"):
        readout_kinds(spec, {"s": "gaussian"})
    with pytest.raises(ConfigError, match="unknown readout of a real field 'gausian'; did you mean 'gaussian'"):
        readout_kinds(spec, {"x": "gausian"})
    with pytest.raises(ConfigError, match="'y': that is not a target field"):
        readout_kinds(spec, {"y": "mse"})
