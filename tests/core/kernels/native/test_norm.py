"""The C++ norm is held to its plain definition in float64: within 1e-5 of the largest value, 1 % for bfloat16."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels import preferred
from core.kernels.native.norm import rms_norm_cpp
from core.nn.norm import GatedRMSNorm, RMSNorm, rms_norm


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("norm")
    torch.manual_seed(0)


def definition(x: Tensor, weight: Tensor, z: Tensor | None, groups: int) -> Tensor:
    v = (x if z is None else x * F.silu(z)).unflatten(-1, (groups, -1))
    return rms_norm(v, v.new_ones(v.shape[-1]), 1e-5).flatten(-2) * weight


def assert_close(ours: Tensor, expected: Tensor, tolerance: float) -> None:
    error = (ours.double() - expected).abs().max() / expected.abs().max().clamp(min=1)
    assert error < tolerance


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.sampled_from([(1,), (3, 5), (2, 70), (129,)]),
    width=st.sampled_from([(3, 1), (7, 1), (16, 1), (36, 3), (130, 2)]),
    gated=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 99),
)
def test_equals_the_definition_with_all_gradients(rows, width, gated, dtype, seed) -> None:
    torch.manual_seed(seed)
    channels, groups = width
    wide = torch.randn(*rows, 2 * channels + 3).to(dtype)
    x, z = wide[..., :channels], wide[..., channels + 1 : 2 * channels + 1]  # slices, as of a projection
    weight, grad = torch.randn(channels), torch.randn(*rows, channels)
    ours = [x.detach().requires_grad_(), weight.clone().requires_grad_()] + ([z.detach().requires_grad_()] * gated)
    y = rms_norm_cpp(ours[0], ours[1], 1e-5, z=ours[2] if gated else None, groups=groups)
    exact = [v.detach().double().requires_grad_() for v in ours]
    expected = definition(exact[0], exact[1], exact[2] if gated else None, groups)
    assert y.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.01
    assert_close(y, expected, tolerance)
    gradients = torch.autograd.grad(y, ours, grad.to(dtype))
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, exact, grad.to(dtype).double()), strict=True):
        assert_close(mine, theirs, tolerance)


@pytest.mark.parametrize("gated", [False, True])
def test_gradients_of_inputs_do_not_depend_on_that_of_the_weight(gated) -> None:
    x, z, weight, grad = torch.randn(70, 37), torch.randn(70, 37), torch.randn(37), torch.randn(70, 37)
    inputs = [x.requires_grad_(), *([z.requires_grad_()] * gated)]
    found = [
        torch.autograd.grad(rms_norm_cpp(x, w, 1e-5, z=z if gated else None), inputs, grad)
        for w in (weight, weight.clone().requires_grad_())
    ]
    assert all(torch.equal(frozen, full) for frozen, full in zip(*found, strict=True))


def test_sums_do_not_depend_on_the_number_of_threads() -> None:
    x, weight = torch.randn(300, 40), torch.randn(40)
    threads, results = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
            results.append(torch.autograd.grad(rms_norm_cpp(*leaves, 1e-5).square().sum(), leaves))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_what_is_not_finite_stays_in_its_row() -> None:
    x = torch.randn(3, 20)
    x[1, 4] = float("nan")
    y = rms_norm_cpp(x, torch.ones(20), 1e-5)
    assert y[1].isnan().all()
    assert y[::2].isfinite().all()


def test_under_autocast_a_norm_before_a_product_has_its_dtype() -> None:
    x = torch.randn(2, 5, 16)
    before_product, last = RMSNorm(16, 1e-5, autocast=True), RMSNorm(16, 1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert before_product(x).dtype == torch.bfloat16
        assert last(x).dtype == torch.float32
    assert before_product(x).dtype == torch.float32
    before_product(x).sum().backward()
    assert before_product.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("groups", [1, 2])
def test_modules_compute_the_same_with_and_without_the_library(groups: int) -> None:
    plain, gated = RMSNorm(24, 1e-5), GatedRMSNorm(24, 1e-5, groups)
    x, z = torch.randn(2, 9, 24), torch.randn(2, 9, 24)
    fast = plain(x), gated(x, z)
    with preferred("torch"):
        slow = plain(x), gated(x, z)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    assert all(type(a.grad_fn) is not type(b.grad_fn) for a, b in zip(fast, slow, strict=True))
