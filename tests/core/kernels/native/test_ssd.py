"""The C++ kernel is held to the sequential definition in float64, in outputs, states and every gradient: within 2e-5 of
the largest value for float32 inputs, 2 % for bfloat16 ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels import Needs, choose
from core.kernels.native.ssd import ssd_cpp
from core.kernels.ssd import ssd_sequential

ROUGH = ("x", "B", "C")
"""What may be bfloat16."""


@pytest.fixture(autouse=True)
def library(needs) -> Iterator[None]:
    needs("ssd")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def draw(batch: int, length: int, heads: int, groups: int, channels: int, states: int, seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {
        "x": torch.randn(batch, length, heads, channels),
        "dt": torch.rand(batch, length, heads) * (torch.rand(batch, length, heads) > 0.1),  # a tenth are 0
        "A": -3 * torch.rand(heads),
        "B": torch.randn(batch, length, groups, states),
        "C": torch.randn(batch, length, groups, states),
        "D": torch.randn(heads),
        "initial_state": torch.randn(batch, heads, channels, states),
    }


def run(ssd: Callable[..., Any], tensors: dict[str, Tensor], dtype: torch.dtype, **fixed: Any) -> dict[str, Tensor]:
    """y, the last state and the gradients of a scalar of both."""
    leaves = {
        name: v.to(dtype if name in ROUGH or dtype == torch.float64 else torch.float32).requires_grad_()
        for name, v in tensors.items()
    }
    y, h = ssd(**leaves, final=True, **fixed)
    weights = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    total = (y.double() * weights).sum() + h.double().square().sum()
    return {"y": y, "h": h} | dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def assert_equal(fast: dict[str, Tensor], definition: dict[str, Tensor], tolerance: float, least: float = 0.1) -> None:
    """Errors are measured in the largest value, or in `least`: smaller values are differences of larger ones."""
    for name, expected in definition.items():
        error = (fast[name].double() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=least)
        assert error < tolerance, name


shapes = {
    "batch": st.integers(1, 3),
    "length": st.sampled_from([1, 2, 17, 31, 32, 33, 70]),
    "heads": st.sampled_from([(1, 1), (4, 1), (6, 2), (3, 3)]),
    "channels": st.sampled_from([1, 3, 16, 20, 33]),
    "states": st.sampled_from([1, 5, 16, 40]),
    "chunk": st.sampled_from([0, 1, 5, 16, 32, 100]),
    "packed": st.booleans(),
    "left_out": st.sets(st.sampled_from(["D", "initial_state"])),
    "threads": st.integers(1, 2),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**shapes)
def test_equals_the_definition(batch, length, heads, channels, states, chunk, packed, left_out, threads, seed) -> None:
    tensors = draw(batch, length, *heads, channels, states, seed)
    tensors = {name: v for name, v in tensors.items() if name not in left_out}
    segments = torch.randint(0, 2, (batch, length)) if packed else None
    torch.set_num_threads(threads)
    fast = run(ssd_cpp, tensors, torch.float32, segments=segments, chunk=chunk)
    assert_equal(fast, run(ssd_sequential, tensors, torch.float64, segments=segments), 2e-5)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(**shapes)
def test_bf16_inputs_stay_near_the_definition(
    batch, length, heads, channels, states, chunk, packed, left_out, threads, seed
) -> None:
    tensors = draw(batch, length, *heads, channels, states, seed)
    tensors = {
        name: v.bfloat16().float() if name in ROUGH else v for name, v in tensors.items() if name not in left_out
    }
    segments = torch.randint(0, 2, (batch, length)) if packed else None
    torch.set_num_threads(threads)
    fast = run(ssd_cpp, tensors, torch.bfloat16, segments=segments, chunk=chunk)
    assert fast["y"].dtype == fast["x"].dtype == fast["B"].dtype == torch.bfloat16
    assert fast["h"].dtype == fast["dt"].dtype == torch.float32
    definition = run(ssd_sequential, tensors, torch.float64, segments=segments)
    fast.pop("A"), definition.pop("A")  # a sum of terms of both signs, which may cancel
    assert_equal(fast, definition, 0.02, least=1)


def test_slices_of_wider_tensors_are_read_in_place() -> None:
    tensors = draw(2, 40, 4, 1, 16, 16, seed=0)
    packed = torch.cat([tensors[name].flatten(2) for name in ("x", "B", "C")], -1)
    x, b, c = packed.split((64, 16, 16), -1)
    slices = tensors | {"x": x.unflatten(-1, (4, 16)), "B": b.unsqueeze(2), "C": c.unsqueeze(2)}
    y, _ = ssd_cpp(**slices)
    torch.testing.assert_close(y, ssd_cpp(**tensors)[0], rtol=0, atol=0)


def test_a_state_handed_on_continues_the_row() -> None:
    tensors = draw(2, 75, 4, 2, 16, 16, seed=0)
    whole, end = ssd_cpp(**tensors, final=True)
    halves, state = [], tensors["initial_state"]
    for part in (slice(0, 31), slice(31, 75)):
        pieces = {name: v[:, part] if name in ("x", "dt", "B", "C") else v for name, v in tensors.items()}
        y, state = ssd_cpp(**(pieces | {"initial_state": state}), final=True)
        halves.append(y)
    torch.testing.assert_close(torch.cat(halves, 1), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state, end, rtol=1e-4, atol=1e-4)


def test_a_gradient_of_the_last_state_alone() -> None:
    tensors = {name: v.requires_grad_() for name, v in draw(1, 10, 2, 1, 3, 4, seed=0).items()}
    used = [tensors[name] for name in ("x", "dt", "A", "B", "initial_state")]
    expected, ours = (
        torch.autograd.grad(ssd(**tensors, final=True)[1].square().sum(), used) for ssd in (ssd_sequential, ssd_cpp)
    )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_all_that_depends_on_it_and_no_other_row(bad: float) -> None:
    tensors = draw(2, 80, 2, 1, 16, 16, seed=0)
    tensors["dt"] += 0.01
    tensors["x"][0, 40, 0, 3] = bad
    y, h = ssd_cpp(**tensors, final=True)
    assert not y[0, 40:, 0, 3].isfinite().any()
    assert not h[0, 0, 3].isfinite().any()
    assert y[0, :40].isfinite().all()
    assert y[0, :, 1].isfinite().all()
    assert y[1].isfinite().all()


def test_strong_decays_give_zeros_and_no_nan() -> None:
    tensors = {name: v.requires_grad_() for name, v in draw(2, 70, 2, 1, 8, 8, seed=0).items()}
    strong = tensors | {"A": (tensors["A"].detach() * 1e4).requires_grad_()}
    y, h = ssd_cpp(**strong, final=True)
    gradients = torch.autograd.grad(y.sum() + h.sum(), list(strong.values()))
    torch.testing.assert_close(y, ssd_sequential(**strong)[0], rtol=1e-4, atol=1e-4)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_dispatch_prefers_it_on_the_cpu_but_for_float64() -> None:
    assert choose("ssd", Needs(resets=True, initial_state=True, final_state=True, gradient=True)).name == "cpp"
    assert choose("ssd", Needs(dtype="bfloat16", gradient=True)).name == "cpp"
    assert choose("ssd", Needs(dtype="float64")).name == "torch"


def test_memory_per_token_does_not_grow_with_the_length() -> None:
    """What is saved for the backward, in bytes a token, at 256 and at 2,048 tokens."""
    per_token = []
    for length in (256, 2048):
        tensors = {name: v.requires_grad_() for name, v in draw(1, length, 2, 1, 16, 16, seed=0).items()}
        saved: dict[int, int] = {}

        def note(x: Tensor, saved: dict[int, int] = saved) -> Tensor:
            saved[x.data_ptr()] = x.numel() * x.element_size()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            y, _ = ssd_cpp(**tensors)
        per_token.append(sum(saved.values()) / length)
        assert y.grad_fn is not None
    assert per_token[1] <= per_token[0]


def test_the_chunk_changes_rounding_only() -> None:
    tensors = draw(2, 100, 4, 1, 16, 16, seed=0)
    expected = run(ssd_cpp, tensors, torch.float32)
    for chunk in (1, 16, 33, 128):
        assert_equal(run(ssd_cpp, tensors, torch.float32, chunk=chunk), expected, 2e-5)
