"""Parts with a backward of their own, each against its plain definition in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import core.nn.conv as conv
import core.nn.norm as norm
from core.nn.conv import causal_conv
from core.nn.mlp import GatedMLP, swiglu
from core.nn.norm import GatedRMSNorm, RMSNorm, rms_norm


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(norm, "BLOCK", 4)
    monkeypatch.setattr(conv, "BLOCK", 8)


def test_rms_norm() -> None:
    module, x = RMSNorm(6, 1e-5).double(), draw(3, 2, 6)
    with torch.no_grad():
        module.weight.copy_(torch.randn(6))
    expected = rms_norm(x, module.weight, 1e-5)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x, w: norm._RMSNorm.apply(x, w, 1e-5), (x, module.weight))


@pytest.mark.parametrize("groups", [1, 2])
def test_gated_rms_norm(groups: int) -> None:
    module, y, z = GatedRMSNorm(6, 1e-5, groups).double(), draw(3, 2, 6), draw(3, 2, 6)
    with torch.no_grad():
        module.weight.copy_(torch.randn(6))
    gated = (y * F.silu(z)).unflatten(-1, (groups, -1))
    expected = rms_norm(gated, torch.ones_like(gated[0, 0]), 1e-5).flatten(-2) * module.weight
    torch.testing.assert_close(module(y, z), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda y, z, _: module(y, z), (y, z, module.weight))


def test_swiglu_has_the_value_first_and_the_gate_second() -> None:
    x = draw(2, 3, 8)
    torch.testing.assert_close(swiglu(x), x[..., :4] * F.silu(x[..., 4:]), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(swiglu, (x,))
    assert GatedMLP(4, 8)(torch.randn(2, 4)).shape == (2, 4)


@pytest.mark.parametrize("rows", [1, 5])
def test_the_convolution_is_torchs_with_a_silu(rows: int) -> None:
    x, weight, bias, before = draw(rows, 7, 3), draw(3, 1, 4), draw(3), draw(rows, 3, 3)
    padded = torch.cat((before, x), 1).transpose(1, 2)
    expected = F.silu(F.conv1d(padded, weight, bias, groups=3)).transpose(1, 2)
    torch.testing.assert_close(causal_conv(x, weight, bias, initial=before), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x, w, b, i: causal_conv(x, w, b, initial=i), (x, weight, bias, before))


def test_taps_do_not_reach_over_a_border_between_documents() -> None:
    x, weight, bias = draw(1, 7, 3), draw(3, 1, 4), draw(3)
    out = causal_conv(x, weight, bias, segments=torch.tensor([[4, 4, 4, 2, 2, 4, 4]]))
    apart = [causal_conv(part, weight, bias) for part in x.split((3, 2, 2), 1)]
    torch.testing.assert_close(out, torch.cat(apart, 1), rtol=0, atol=1e-12)
