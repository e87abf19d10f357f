"""The mixer in one function of autograd equals the parts that it is composed of, in outputs and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import core.nn.mamba1 as module
from core.kernels import preferred
from core.nn.config import ModelConfig
from core.nn.mamba1 import Mamba1


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("selective_scan")
    needs("conv")
    torch.manual_seed(0)


def run(mixer: Mamba1, x: Tensor, segments: Tensor | None, bf16: bool = False) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y, _ = mixer(x, segments=segments)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    return [y, *torch.autograd.grad((y.float() * weights).sum(), [x, *mixer.parameters()])]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-6), (True, 2**-7)])
def test_in_one_equals_in_parts(packed, bf16, tolerance, monkeypatch) -> None:
    mixer, x = Mamba1(ModelConfig(pattern="M", layers=1, width=24)), torch.randn(2, 70, 24)
    segments = torch.randint(0, 3, (2, 70)) if packed else None
    assert module.can_mix(torch.randn(1, 1, 96), mixer.conv1d, (mixer.x_proj, mixer.dt_proj), segments)
    in_one = run(mixer, x, segments, bf16)
    monkeypatch.setattr(module, "can_mix", lambda *_: False)
    for ours, expected in zip(in_one, run(mixer, x, segments, bf16), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance * float(expected.detach().abs().max()))


@pytest.mark.parametrize(
    "kept", [None, "conv1d.weight", "conv1d.bias", "x_proj.weight", "dt_proj.weight", "dt_proj.bias", "A_log", "D"]
)
def test_gradients_do_not_depend_on_which_others_are_wanted(kept) -> None:
    """Of a frozen mixer they are left out; what remains has the same bits."""
    model, x = Mamba1(ModelConfig(pattern="M", layers=1, width=24)), torch.randn(2, 70, 24)
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
    mixer, x = Mamba1(ModelConfig(pattern="M", layers=1, width=24)), torch.randn(2, 70, 24)
    in_one = run(mixer, x, None)
    with preferred("torch"):
        plain = run(mixer, x, None)
    for ours, expected in zip(in_one, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=2e-5 * float(expected.detach().abs().max()))


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    mixer, x = Mamba1(ModelConfig(pattern="M", layers=1, width=24)), torch.randn(1, 9, 24)
    expected = mixer(x)[0].detach()
    with torch.inference_mode():
        assert torch.equal(mixer(x)[0], expected)


def test_other_types_and_kernels_go_through_the_parts() -> None:
    conv, x = torch.nn.Conv1d(8, 8, 4, groups=8), torch.zeros(1, 1, 16)
    assert not module.can_mix(x.double(), conv, (), None)
    assert not module.can_mix(x, torch.nn.Conv1d(8, 8, 20, groups=8), (), None)
    with preferred("torch"):
        assert not module.can_mix(x, conv, (), None)
    assert module.can_mix(x, conv, (), None)


def test_an_adapted_or_watched_layer_takes_part() -> None:
    class Doubled(torch.nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    mixer, x = Mamba1(ModelConfig(pattern="M", layers=1, width=24)), torch.randn(1, 9, 24)
    before = mixer(x)[0]
    handle = mixer.x_proj.register_forward_hook(lambda *_: seen.append(True))
    seen: list[bool] = []
    torch.testing.assert_close(mixer(x)[0], before)
    assert seen
    handle.remove()
    doubled = Doubled(48, mixer.x_proj.out_features, bias=False)
    doubled.weight = mixer.x_proj.weight
    mixer.x_proj = doubled
    assert not torch.allclose(mixer(x)[0], before)
