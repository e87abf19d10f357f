"""The C++ convolution equals the torch one in float64, which is itself held to nn.Conv1d."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels import preferred
from core.kernels.native.conv import causal_conv_cpp
from core.nn.conv import causal_conv


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("conv")
    torch.manual_seed(0)


def run(conv, x: Tensor, weight: Tensor, bias: Tensor, initial: Tensor | None, dtype, segments) -> list[Tensor]:
    leaves = [v.to(dtype).requires_grad_() for v in (x, weight, bias, initial) if v is not None]
    y = conv(*leaves[:3], initial=leaves[3] if initial is not None else None, segments=segments)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
    return [y, *torch.autograd.grad((y * weights).sum(), leaves)]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.sampled_from([0, 1, 2, 5, 63, 64, 65, 130]),
    channels=st.sampled_from([1, 7, 16, 140]),
    taps=st.sampled_from([1, 2, 4, 7]),
    carried=st.booleans(),
    packed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_torch_form(batch, length, channels, taps, carried, packed, seed) -> None:
    torch.manual_seed(seed)
    given = [torch.randn(batch, length, channels), torch.randn(channels, 1, taps), torch.randn(channels)]
    initial = torch.randn(batch, taps - 1, channels) if carried else None
    segments = torch.randint(0, 2, (batch, length)) if packed else None
    fast = run(causal_conv_cpp, *given, initial, torch.float32, segments)
    for ours, expected in zip(fast, run(causal_conv, *given, initial, torch.float64, segments), strict=True):
        if ours.numel():
            torch.testing.assert_close(
                ours.double(), expected, rtol=0, atol=5e-5 * float(expected.detach().abs().max() + 1)
            )


@pytest.mark.parametrize("taps", [4, 7])
def test_gradients_of_inputs_do_not_depend_on_those_of_the_weights(taps) -> None:
    x, initial, weight, bias = (
        torch.randn(2, 70, 37),
        torch.randn(2, taps - 1, 37),
        torch.randn(37, 1, taps),
        torch.randn(37),
    )
    _, dx, _, _, dinitial = run(causal_conv_cpp, x, weight, bias, initial, torch.float32, None)
    x, initial = x.requires_grad_(), initial.requires_grad_()
    y = causal_conv_cpp(x, weight, bias, initial=initial)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
    (y * weights).sum().backward()
    assert torch.equal(x.grad, dx)
    assert torch.equal(initial.grad, dinitial)


def test_bfloat16_is_rounded_once_at_the_end() -> None:
    x, weight, bias = torch.randn(2, 9, 20).bfloat16(), torch.randn(20, 1, 4), torch.randn(20)
    y = causal_conv(x, weight, bias)
    assert y.dtype == torch.bfloat16
    expected = causal_conv(x.double(), weight.double(), bias.double())
    torch.testing.assert_close(y.double(), expected, rtol=2**-8, atol=1e-6)


def test_slices_of_wider_tensors_are_read_where_they_lie() -> None:
    whole, weight, bias = torch.randn(2, 9, 50), torch.randn(20, 1, 4), torch.randn(20)
    part = whole[:, :, 3:23]
    assert torch.equal(causal_conv_cpp(part, weight, bias), causal_conv_cpp(part.contiguous(), weight, bias))


def test_kernel_torch_leaves_it_alone(monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("the C++ convolution was called")

    x, weight, bias = torch.randn(1, 5, 3), torch.randn(3, 1, 4), torch.randn(3)
    expected = causal_conv(x, weight, bias)
    monkeypatch.setattr("core.nn.conv.causal_conv_cpp", refuse)
    with preferred("torch"):
        torch.testing.assert_close(causal_conv(x, weight, bias), expected)
    with pytest.raises(AssertionError, match="was called"):
        causal_conv(x, weight, bias)
