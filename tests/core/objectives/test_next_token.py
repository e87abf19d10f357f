"""The loss is the sum of the fields' nats over the positions that count, divided by the number of those."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.batching.batch import Batch, Inputs, collate, make_row
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.nn.readout import Reading
from core.objectives import OBJECTIVES
from core.objectives.next_token import NextToken
from core.scaling import Scaling
from core.sequence import Sequence, Symbols, TokenSpec, real, symbol
from core.vocabulary import Vocabulary

LETTERS = Vocabulary(("A", "B"))


def plain(model: SequenceModel) -> dict[str, Reading]:
    """Readings of values that are not scaled."""
    return {f.name: Reading(model.readouts[f.name]) for f in model.spec.targets}


def test_the_loss_of_a_batch_of_two_records() -> None:
    spec = Symbols(LETTERS)
    model = SequenceModel(spec, ModelConfig(width=32, layers=1))
    records = [Sequence({"tokens": np.array(ids, np.uint8)}) for ids in ([5, 6, 6], [6])]
    batch = collate([make_row(record, spec, eos=True) for record in records], spec)
    hidden, _ = model(batch.inputs)
    losses = NextToken(spec).loss(hidden, plain(model), batch)
    nats = model.readouts["tokens"].nll(hidden, batch.targets["tokens"])
    assert losses["n"] == 6  # A B B EOS, B EOS
    assert losses["nll/tokens"].item() == pytest.approx((nats[0].sum() + nats[1, :2].sum()).item())
    assert losses["loss"].item() == pytest.approx(losses["nll/tokens"].item() / 6)


def test_fields_are_added_and_a_position_counts_once() -> None:
    spec = TokenSpec((real("x", 2), symbol("s", LETTERS)))
    model = SequenceModel(spec, ModelConfig(width=32, layers=1), {"x": "mse"})
    hidden = torch.randn(1, 3, 32)
    batch = Batch(
        Inputs({}),
        {"x": torch.randn(1, 3, 2), "s": torch.tensor([[5, 6, 2]])},
        {
            "x": torch.tensor([[True, False, False]])[..., None].expand(1, 3, 2),
            "s": torch.tensor([[True, True, False]]),
        },
        np.zeros((1, 3), np.int64),
    )
    losses = NextToken(spec).loss(hidden, plain(model), batch)
    x = model.readouts["x"].nll(hidden, batch.targets["x"])[0, 0]
    s = model.readouts["s"].nll(hidden, batch.targets["s"])[0, :2].sum()
    assert losses["n"] == 2
    assert losses["loss"].item() == pytest.approx(((x + s) / 2).item())


def test_a_missing_value_does_not_poison_the_gradient() -> None:
    spec = TokenSpec((real("x", 2),))
    model = SequenceModel(spec, ModelConfig(width=32, layers=1))
    batch = Batch(
        Inputs({}),
        {"x": torch.tensor([[[0.0, 1.0], [float("nan"), 1.0]]])},
        {"x": torch.tensor([[[True, True], [False, False]]])},
        np.zeros((1, 3), np.int64),
    )
    hidden = torch.randn(1, 2, 32, requires_grad=True)
    NextToken(spec).loss(hidden, plain(model), batch)["loss"].backward()
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()
    assert hidden.grad[0, 1].eq(0).all()


def test_a_batch_that_predicts_nothing_has_loss_zero() -> None:
    spec = Symbols(LETTERS)
    model = SequenceModel(spec, ModelConfig(width=32, layers=1))
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    targets = torch.zeros(1, 2, dtype=torch.int64)
    batch = Batch(Inputs({}), {"tokens": targets}, {"tokens": nothing}, np.zeros((1, 3), np.int64))
    losses = NextToken(spec).loss(torch.randn(1, 2, 32), plain(model), batch)
    assert (losses["loss"], losses["n"]) == (0, 0)


def test_sums_are_float32_under_autocast() -> None:
    spec = Symbols(LETTERS)
    model = SequenceModel(spec, ModelConfig(width=32, layers=1))
    targets = torch.randint(5, 7, (4, 50))
    batch = Batch(
        Inputs({"tokens": targets}),
        {"tokens": targets},
        {"tokens": torch.ones(4, 50, dtype=torch.bool)},
        np.zeros((4, 3), np.int64),
    )
    with torch.autocast("cpu", torch.bfloat16):
        hidden, _ = model(batch.inputs)
        losses = NextToken(spec).loss(hidden, plain(model), batch)
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_objectives_are_found_by_name() -> None:
    assert OBJECTIVES.get("next_token") is NextToken
    with pytest.raises(ConfigError, match="did you mean 'next_token'"):
        OBJECTIVES.get("next_tokens")


def test_the_loss_of_a_mean_keeps_its_digits_whatever_the_units_are() -> None:
    scaling = Scaling("constant", (1e4,), (1e3,), residual=True, residual_scale=(50.0,))
    spec = TokenSpec((real("x", 1, scaling=scaling),))
    model = SequenceModel(spec, ModelConfig(width=32, layers=1), {"x": "mse"})
    torch.nn.init.zeros_(model.readouts["x"].proj.weight)
    values = np.array([[1e4], [1e4], [1e4 + 0.005]])  # a change of 1e-4 of its usual size
    batch = collate([make_row(Sequence({"x": values}), spec, eos=False)], spec)
    batch = batch.map(lambda t: t.double() if t.is_floating_point() else t)
    model = model.double()
    loss = NextToken(spec).loss(model(batch.inputs)[0], model.readings(batch.inputs), batch)["loss"]
    assert loss.item() == pytest.approx(0.5 * 1e-8 / 2, rel=0.3)  # values are float32 in a batch
