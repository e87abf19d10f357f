"""The C++ gate equals value * silu(gate) in float64, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.kernels.native.swiglu import SwiGLU


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("swiglu")
    torch.manual_seed(0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-7), (torch.bfloat16, 2**-8)])
@pytest.mark.parametrize("hidden", [1, 16, 21])
def test_equals_the_formula(hidden: int, dtype: torch.dtype, tolerance: float) -> None:
    x = (4 * torch.randn(3, 5, 2 * hidden)).to(dtype).requires_grad_()
    plain = x.detach().double().requires_grad_()
    value, gate = plain.chunk(2, -1)
    expected, got = value * F.silu(gate), SwiGLU.apply(x)
    grad = torch.randn(3, 5, hidden).to(dtype)
    got.backward(grad)
    expected.backward(grad.double())
    for ours, theirs in ((got, expected), (x.grad, plain.grad)):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * 20)


def test_extremes_are_those_of_the_formula() -> None:
    gate = torch.tensor([-torch.inf, -1e30, -200.0, -0.0, 0.0, 200.0, 1e30, torch.inf, torch.nan])
    y = SwiGLU.apply(torch.cat((torch.ones(9), gate)))
    torch.testing.assert_close(y[1:8], F.silu(gate)[1:8], rtol=1e-6, atol=0)
    assert y[8].isnan()
    assert SwiGLU.apply(torch.full((18,), torch.nan)).isnan().all()


def test_nothing_to_do_is_done() -> None:
    assert SwiGLU.apply(torch.zeros(0, 8)).shape == (0, 4)
