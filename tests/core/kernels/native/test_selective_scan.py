"""The C++ scan is held to the sequential definition in float64: 1e-5 of the largest value for float32 inputs, in
outputs, states and every gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels import Needs, choose
from core.kernels.native.selective_scan import selective_scan_cpp
from core.kernels.selective_scan import selective_scan, selective_scan_sequential


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("selective_scan")
    torch.manual_seed(0)


scan = partial(selective_scan_cpp, delta_softplus=True)


def draw(batch: int, length: int, channels: int, states: int) -> dict[str, Tensor]:
    return {
        "u": torch.randn(batch, length, channels),
        "delta": torch.randn(batch, length, channels) - 1,
        "A": -3 * torch.rand(channels, states),
        "B": torch.randn(batch, length, states),
        "C": torch.randn(batch, length, states),
        "D": torch.randn(channels),
        "z": torch.randn(batch, length, channels),
        "delta_bias": torch.randn(channels),
        "initial_state": torch.randn(batch, channels, states),
    }


def run(scan: Any, tensors: dict[str, Tensor], dtypes: dict[str, torch.dtype], **fixed: Any) -> list[Tensor]:
    """y, the last state and all gradients of a scalar of both."""
    fixed.setdefault("delta_softplus", True)
    leaves = {name: value.to(dtypes.get(name, dtypes["*"])).requires_grad_() for name, value in tensors.items()}
    y, h = scan(**leaves, final=True, **fixed)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
    total = (y.double() * weights).sum() + (h.double() * h.double()).sum()
    return [y, h, *torch.autograd.grad(total, list(leaves.values()))]


def assert_equal(fast: list[Tensor], definition: list[Tensor], tolerance: float) -> None:
    for ours, expected in zip(fast, definition, strict=True):
        error = (ours.double() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=1e-3)
        assert error < tolerance


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 2, 31, 32, 33, 70]),
    channels=st.sampled_from([1, 5, 16, 37, 130]),
    states=st.sampled_from([1, 3, 8, 16, 23, 33]),
    left_out=st.sets(st.sampled_from(["D", "z", "delta_bias", "initial_state"])),
    softplus=st.booleans(),
    packed=st.booleans(),
    padded=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_definition(batch, length, channels, states, left_out, softplus, packed, padded, seed) -> None:
    torch.manual_seed(seed)
    tensors = {name: v for name, v in draw(batch, length, channels, states).items() if name not in left_out}
    if not softplus:
        tensors["delta"] = tensors["delta"].abs()
        tensors.pop("delta_bias", None)
    fixed = {
        "delta_softplus": softplus,
        "segments": torch.randint(0, 2, (batch, length)) if packed else None,
        "lengths": torch.randint(1, length + 1, (batch,)) if padded else None,
    }
    fast = run(selective_scan_cpp, tensors, {"*": torch.float32}, **fixed)
    assert_equal(fast, run(selective_scan_sequential, tensors, {"*": torch.float64}, **fixed), 1e-5)


@pytest.mark.parametrize("narrow", [("u", "delta", "B", "C", "z"), ("u",), ("B", "C", "z")])
def test_bfloat16_inputs_keep_a_float32_state(narrow) -> None:
    """Held to the definition on the same rounded numbers: only results are rounded, to 2^-8."""
    tensors = {k: v.bfloat16().float() if k in narrow else v for k, v in draw(2, 70, 37, 16).items()}
    fast = run(selective_scan_cpp, tensors, {"*": torch.float32} | dict.fromkeys(narrow, torch.bfloat16))
    assert fast[0].dtype == (torch.bfloat16 if "u" in narrow else torch.float32)
    assert fast[1].dtype == torch.float32
    definition = run(selective_scan_sequential, tensors, {"*": torch.float64})
    assert_equal(fast, definition, 2**-7)
    assert_equal(fast[1:2], definition[1:2], 1e-5)


def test_slices_of_wider_tensors_are_read_where_they_lie() -> None:
    tensors = draw(2, 9, 5, 3)
    wide = {name: torch.randn(2, 9, 40) for name in ("u", "delta", "B", "C", "z")}
    for name, whole in wide.items():
        whole[:, :, 7 : 7 + tensors[name].shape[2]] = tensors[name]
    sliced = tensors | {name: whole[:, :, 7 : 7 + tensors[name].shape[2]] for name, whole in wide.items()}
    spread = tensors | {"u": tensors["u"].transpose(1, 2).contiguous().transpose(1, 2)}
    expected, _ = scan(**tensors)
    assert torch.equal(scan(**sliced)[0], expected)
    assert torch.equal(scan(**spread)[0], expected)


def test_the_number_of_threads_changes_no_bit() -> None:
    tensors, before = draw(3, 70, 150, 16), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(run(selective_scan_cpp, tensors, {"*": torch.float32}))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_what_follows_it_and_nothing_else(value) -> None:
    tensors = draw(2, 40, 20, 16)
    tensors["u"][0, 10, 3] = value
    segments = torch.zeros(2, 40, dtype=torch.int64)
    segments[:, 30:] = 1
    y, h = scan(**tensors, segments=segments, final=True)
    spoilt = ~y.isfinite()
    assert spoilt[0, 10:30, 3].all()
    spoilt[0, 10:30, 3] = False
    assert not spoilt.any()
    assert h.isfinite().all()
    tensors["u"].requires_grad_()
    y, _ = scan(**tensors)
    assert not torch.autograd.grad(y.sum(), tensors["u"])[0][1].isnan().any()


@pytest.mark.parametrize("kept", [None, "A", "D", "delta_bias"])
@pytest.mark.parametrize("states", [16, 23])
def test_gradients_do_not_depend_on_which_others_are_wanted(kept, states) -> None:
    """Of a frozen model the sums over time are left out; what remains has the same bits."""
    tensors = draw(2, 70, 37, states)
    everything = dict(zip(tensors, run(selective_scan_cpp, tensors, {"*": torch.float32})[2:], strict=True))
    frozen = {"A", "D", "delta_bias"} - {kept}
    leaves = {name: value.detach().clone().requires_grad_(name not in frozen) for name, value in tensors.items()}
    y, h = scan(**leaves, final=True)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
    ((y.double() * weights).sum() + (h.double() * h.double()).sum()).backward()
    for name, leaf in leaves.items():
        assert (leaf.grad is None) == (name in frozen)
        assert leaf.grad is None or torch.equal(leaf.grad, everything[name])


def test_a_gradient_that_is_not_finite_shows() -> None:
    tensors = {name: v.requires_grad_() for name, v in draw(1, 40, 20, 16).items()}
    y, _ = scan(**tensors)
    weights = torch.zeros_like(y)
    weights[0, 20, 4] = float("nan")
    du, dA = torch.autograd.grad((y * weights).sum(), [tensors["u"], tensors["A"]])
    assert du[0, :21, 4].isnan().all()
    assert du[0, :, 5].isfinite().all()
    assert dA[4].isnan().all()


def test_the_dispatch_takes_it_in_float32_and_bfloat16_and_leaves_float64_to_torch() -> None:
    names = {
        dtype: choose("selective_scan", Needs(gradient=True, dtype=dtype)).name
        for dtype in ("float32", "bfloat16", "float64")
    }
    assert names == {"float32": "cpp", "bfloat16": "cpp", "float64": "torch"}
    tensors = draw(1, 5, 3, 2)
    assert torch.equal(selective_scan(**tensors, delta_softplus=True)[0], scan(**tensors)[0])


def test_a_row_without_tokens_hands_its_state_on() -> None:
    tensors = draw(2, 0, 5, 3)
    y, h = scan(**tensors, final=True)
    assert y.shape == (2, 0, 5)
    assert torch.equal(h, tensors["initial_state"])
    assert scan(**draw(0, 4, 5, 3))[0].shape == (0, 4, 5)
