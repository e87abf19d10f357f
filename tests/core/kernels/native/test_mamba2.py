"""The mixer in one function of autograd equals the parts that it is composed of, in outputs and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import core.nn.mamba2 as module
from core.kernels import preferred
from core.nn.config import ModelConfig
from core.nn.mamba2 import Mamba2


@pytest.fixture(autouse=True)
def library(needs) -> None:
    for name in ("ssd", "conv", "norm"):
        needs(name)
    torch.manual_seed(0)


def mixer(groups: int = 1) -> Mamba2:
    return Mamba2(ModelConfig(pattern="S", layers=1, width=32, headdim=16, d_state=16, ngroups=groups))


def run(mixer: Mamba2, x: Tensor, segments: Tensor | None, bf16: bool = False) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y, _ = mixer(x, segments=segments)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    return [y, *torch.autograd.grad((y.float() * weights).sum(), [x, *mixer.parameters()])]


def assert_close(ours: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.detach().abs().max()))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [1, 2])  # the heads of one row are divided between two threads
@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 2e-6), (True, 2**-6)])
def test_in_one_equals_in_parts(groups, packed, batch, bf16, tolerance, monkeypatch) -> None:
    model, x = mixer(groups), torch.randn(batch, 70, 32)
    segments = torch.randint(0, 3, (batch, 70)) if packed else None
    assert module.can_mix(torch.randn(1, 1, 8), model.conv1d, model.norm, segments)
    in_one = run(model, x, segments, bf16)
    monkeypatch.setattr(module, "can_mix", lambda *_: False)
    assert_close(in_one, run(model, x, segments, bf16), tolerance)


@pytest.mark.parametrize("kept", [None, "conv1d.weight", "conv1d.bias", "dt_bias", "A_log", "D", "norm.weight"])
def test_gradients_do_not_depend_on_which_others_are_wanted(kept) -> None:
    """Of a frozen mixer they are left out; what remains has the same bits."""
    model, x = mixer(), torch.randn(2, 70, 32)
    _, dx, *full = run(model, x, None)
    everything = dict(zip((name for name, _ in model.named_parameters()), full, strict=True))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == kept)
    x = x.requires_grad_()
    y, _ = model(x)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    assert torch.equal(x.grad, dx)
    changing = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert changing.keys() == ({kept} if kept else set())
    assert all(torch.equal(grad, everything[name]) for name, grad in changing.items())


def test_in_one_equals_plain_torch() -> None:
    model, x = mixer(), torch.randn(2, 70, 32)
    in_one = run(model, x, None)
    with preferred("torch"):
        assert_close(in_one, run(model, x, None), 5e-5)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    model, x = mixer(), torch.randn(1, 9, 32)
    expected = model(x)[0].detach()
    with torch.inference_mode():
        assert torch.equal(model(x)[0], expected)


def test_other_types_and_kernels_go_through_the_parts() -> None:
    model, x = mixer(), torch.zeros(1, 1, 8)
    assert not module.can_mix(x.double(), model.conv1d, model.norm, None)
    with preferred("torch"):
        assert not module.can_mix(x, model.conv1d, model.norm, None)
    assert module.can_mix(x, model.conv1d, model.norm, None)


def test_a_watched_layer_takes_part() -> None:
    model, x = mixer(), torch.randn(1, 9, 32)
    before = model(x)[0]
    seen: list[bool] = []
    model.norm.register_forward_hook(lambda *_: seen.append(True))
    torch.testing.assert_close(model(x)[0], before)
    assert seen


def test_rows_in_two_parts_with_padding_between_equal_the_whole() -> None:
    model, x = mixer(), torch.randn(2, 90, 32)
    whole, _ = model(x)
    lengths = torch.tensor([40, 57])
    before, state = model(x[:, :60], lengths=lengths, state=model.init_state(2, 90))
    for row, n in enumerate(lengths.tolist()):
        after, _ = model(x[row : row + 1, n:], state=state.select(torch.tensor([row])))
        torch.testing.assert_close(torch.cat((before[row, :n], after[0])), whole[row], rtol=1e-4, atol=1e-4)
