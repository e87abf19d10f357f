"""The stated errors of the vectorised functions, and that what is not finite is handed on."""

from __future__ import annotations

import ctypes
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels import native


def apply(name: str, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    getattr(native.library("elementary"), f"foretell_{name}")(
        ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr()), ctypes.c_int64(len(x))
    )
    return y


@pytest.mark.parametrize(
    ("name", "definition", "low", "high", "error"),
    [
        ("exp2", torch.exp2, -126, 127, 2.5e-7),
        ("exp", torch.exp, -87, 88, 2.5e-7),
        ("sigmoid", torch.sigmoid, -87, 87, 3.5e-7),
        ("softplus", lambda x: F.softplus(x, threshold=50), -87, 87, 4e-7),
    ],
)
def test_relative_errors_are_as_stated(needs, name, definition, low, high, error) -> None:
    needs("elementary")
    torch.manual_seed(0)
    x = torch.cat((torch.empty(1_000_003).uniform_(low, high), torch.randn(1000) * 1e-3))
    expected = definition(x.double())
    assert ((apply(name, x) - expected) / expected).abs().max() < error


def test_what_is_not_finite_is_handed_on(needs) -> None:
    needs("elementary")
    inf, nan = math.inf, math.nan
    x = torch.tensor([nan, inf, -inf, 1000.0, -1000.0, 0.0])
    for name, expected in {
        "exp2": [nan, inf, 0, inf, 0, 1],
        "exp": [nan, inf, 0, inf, 0, 1],
        "sigmoid": [nan, 1, 0, 1, 0, 0.5],
        "softplus": [nan, inf, 0, 1000, 0, math.log(2)],
    }.items():
        torch.testing.assert_close(apply(name, x), torch.tensor(expected), equal_nan=True, rtol=1e-6, atol=0)
    payloads = torch.tensor([0x7F800001, 0x7FFFFFFF, -1]).to(torch.int32).view(torch.float32)  # NaNs of other bits
    assert apply("exp2", payloads).isnan().all()
