"""A model whose token grows says of the old channels what it said before, and can learn to look at the new ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.nn.config import ModelConfig
from core.nn.grow import grown_weights
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import Field, Role, TokenSpec, real, symbol
from core.vocabulary import SPECIALS, Vocabulary

ROWS, STEPS = 2, 12
HOURS = symbol("hour", Vocabulary(("a", "b", "c")), Role.KNOWN_AHEAD)
GIVEN = real("valve", 1, Role.GIVEN, Scaling(kind="constant", location=(1.0,), scale=(2.0,)))


def constant(channels: int, patch: int = 1) -> Scaling:
    size = tuple(1.0 + i for i in range(channels))
    return Scaling("constant", size, size, residual=True, residual_scale=size * patch)


def values(channels: int, case: str) -> tuple[Field, int]:
    """The target field of a case, and its patch."""
    if case == "running":
        return real("values", channels, scaling=Scaling(least=1, residual=True)), 1
    if case == "patches":
        return real("values", channels, scaling=constant(channels, 3)), 3
    if case == "delays":
        return real("values", channels, scaling=constant(channels), delays=3, lag=2), 1
    return real("values", channels, scaling=constant(channels)), 1


def both_models(case: str, kind: str, further: tuple[Field, ...] = ()) -> tuple[SequenceModel, SequenceModel]:
    """With two channels, and grown to three; weights of all sizes."""
    config = ModelConfig(pattern="AS", width=16, heads=2, products=2)
    made = []
    for channels, others in ((2, ()), (3, further)):
        field, patch = values(channels, case)
        torch.manual_seed(channels)
        made.append(SequenceModel(TokenSpec((field, *others), patch), config, {"values": kind}).eval())
    old, new = made
    with torch.no_grad():
        for weight in old.parameters():
            weight += 0.1 * torch.randn_like(weight)
    new.load_state_dict({**new.state_dict(), **grown_weights(old.state_dict(), old.spec, new)})
    return old, new


def both_inputs(patch: int) -> tuple[Inputs, Inputs]:
    """Of two channels, and of three beside a given field and an hour. Some values are missing."""
    torch.manual_seed(0)
    steps = 3 * torch.randn(ROWS, STEPS, 3)
    there = torch.rand(ROWS, STEPS, 3) < 0.7
    length = STEPS // patch
    start = torch.zeros(ROWS, length, dtype=torch.bool)
    start[:, 0] = True

    def folded(x: Tensor) -> Tensor:
        return x.reshape(ROWS, length, -1)

    less = Inputs({"values": folded(steps[..., :2])}, {"values": folded(there[..., :2])}, start)
    more = Inputs(
        {
            "values": folded(steps),
            "valve": folded(torch.randn(ROWS, STEPS, 1)),
            "hour": torch.randint(len(SPECIALS), len(SPECIALS) + 3, (ROWS, length)),
        },
        {"values": folded(there)},
        start,
    )
    return less, more


@pytest.mark.parametrize("case", ["plain", "running", "patches", "delays"])
@pytest.mark.parametrize("kind", ["mse", "gaussian", "student_t", "quantile"])
def test_old_channels_are_predicted_as_before(case: str, kind: str) -> None:
    old, new = both_models(case, kind, (GIVEN, HOURS))
    less, more = both_inputs(old.spec.patch)
    with torch.no_grad():
        before, after = (
            model.readings(inputs)["values"].mean(model(inputs)[0]).unflatten(-1, (old.spec.patch, -1))
            for model, inputs in ((old, less), (new, more))
        )
        target = torch.randn_like(after)
        nats = [
            model.readings(inputs)["values"]
            .component_nll(model(inputs)[0], wanted.flatten(-2))
            .unflatten(-1, (old.spec.patch, -1))
            for model, inputs, wanted in ((old, less, target[..., :2]), (new, more, target))
        ]
    torch.testing.assert_close(after[..., :2], before)
    torch.testing.assert_close(nats[1][..., :2], nats[0])
    assert after[..., 2].isfinite().all()


def test_what_is_new_is_read_after_a_step() -> None:
    _, new = both_models("plain", "gaussian", (GIVEN, HOURS))
    _, more = both_inputs(1)
    other = replace(
        more, fields={**more.fields, "valve": more.fields["valve"] + 1, "hour": more.fields["hour"].flip(1)}
    )

    def said(inputs: Inputs) -> Tensor:
        return new.readings(inputs)["values"].mean(new(inputs)[0])

    torch.testing.assert_close(said(other), said(more))
    new.readings(more)["values"].nll(new(more)[0], torch.randn(ROWS, STEPS, 3)).sum().backward()
    with torch.no_grad():
        for weight in new.parameters():
            assert weight.grad is not None
            weight -= 0.01 * weight.grad
    columns = new.embed.fields["values"].proj.weight[:, [2, 5]]
    assert (columns != 0).any(0).all()  # the third channel and where it is missing
    assert (said(other) - said(more)).abs().max() > 1e-4
