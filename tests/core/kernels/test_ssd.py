"""The chunked form is held to the sequential definition: 1e-10 in float64, in outputs, states and every gradient."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels.ssd import ssd, ssd_chunked, ssd_sequential

B, T, H, P, N = 2, 11, 4, 3, 5
SEGMENTS = torch.tensor([[0] * 4 + [1] * 3 + [0] * 4, [7] * 6 + [2] * 5])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors here are so small that a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def arguments(groups: int = 1, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    draw = {
        "x": torch.randn(B, T, H, P),
        "dt": 2 * torch.rand(B, T, H),
        "A": -3 * torch.rand(H),
        "B": torch.randn(B, T, groups, N),
        "C": torch.randn(B, T, groups, N),
        "D": torch.randn(H),
        "initial_state": torch.randn(B, H, P, N),
    }
    return {name: value.to(dtype).requires_grad_() for name, value in draw.items()}


def test_the_recurrence_by_hand() -> None:
    """One row, one head, one channel, one state number: h = exp(dt A) h + dt x B, y = h C + D x."""
    x, dt, b, c = (torch.tensor(v).view(1, 2, 1, 1) for v in ([1.0, 2.0], [0.5, 1.0], [3.0, 1.0], [1.0, 4.0]))
    y, h = ssd(x, dt[..., 0], torch.tensor([-1.0]), b, c, torch.tensor([10.0]), final=True)
    first = 0.5 * 1 * 3
    second = torch.tensor(-1.0).exp().item() * first + 1 * 2 * 1
    assert y.flatten().tolist() == pytest.approx([first * 1 + 10, second * 4 + 20])
    assert h is not None
    assert h.item() == pytest.approx(second)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 20),
    heads=st.sampled_from([(1, 1), (3, 1), (4, 2), (2, 2)]),
    channels=st.integers(1, 4),
    states=st.integers(1, 5),
    chunk=st.integers(1, 24),
    packed=st.booleans(),
    left_out=st.sets(st.sampled_from(["D", "initial_state"])),
    seed=st.integers(0, 99),
)
def test_chunked_equals_sequential_with_all_gradients(
    batch, length, heads, channels, states, chunk, packed, left_out, seed
) -> None:
    (n_heads, groups), shape = heads, (batch, length)
    torch.manual_seed(seed)
    draw = {
        "x": torch.randn(*shape, n_heads, channels),
        "dt": 2 * torch.rand(*shape, n_heads) + 1e-3,
        "A": -3 * torch.rand(n_heads),
        "B": torch.randn(*shape, groups, states),
        "C": torch.randn(*shape, groups, states),
        "D": torch.randn(n_heads),
        "initial_state": torch.randn(batch, n_heads, channels, states),
    }
    leaves = {name: v.double().requires_grad_() for name, v in draw.items() if name not in left_out}
    segments = torch.randint(0, 2, shape) if packed else None
    results = []
    for run, extra in ((ssd_sequential, {}), (ssd_chunked, {"chunk": chunk})):
        y, h = run(**leaves, segments=segments, final=True, **extra)
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
        total = (y * weights).sum() + (h * h).sum()
        results.append([y, h, *torch.autograd.grad(total, list(leaves.values()))])
    for definition, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, definition, rtol=1e-10, atol=1e-10)


def test_gradients_of_the_chunked_form_are_those_of_differences() -> None:
    given = {name: v[:1, :5] if name in "x dt B C" else v for name, v in arguments().items()}
    given["initial_state"] = given["initial_state"][:1]
    leaves = [v.detach().clone().requires_grad_() for v in given.values()]

    def run(x, dt, A, b, c, d, start):
        return ssd_chunked(x, dt, A, b, c, d, initial_state=start, segments=SEGMENTS[:1, :5], final=True, chunk=2)

    assert torch.autograd.gradcheck(run, leaves)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, T - 1), st.integers(1, 6), st.integers(0, 99))
def test_a_cut_row_with_its_state_handed_on_equals_the_whole(cut: int, chunk: int, seed: int) -> None:
    given = {name: v.detach() for name, v in arguments(seed=seed).items()}
    whole, end = ssd_chunked(**given, final=True, chunk=chunk)
    halves, state = [], given["initial_state"]
    for part in (slice(0, cut), slice(cut, T)):
        pieces = {name: v[:, part] if name in "x dt B C" else v for name, v in given.items()}
        y, state = ssd_chunked(**{**pieces, "initial_state": state}, final=True, chunk=chunk)
        halves.append(y)
    torch.testing.assert_close(torch.cat(halves, 1), whole, rtol=0, atol=1e-11)
    torch.testing.assert_close(state, end, rtol=0, atol=1e-11)


def test_steps_of_size_zero_leave_the_state_as_it_is() -> None:
    given = {name: v.detach() for name, v in arguments().items()}
    given["dt"][:, 6:] = 0
    _, after = ssd_chunked(**given, final=True, chunk=4)
    _, at_6 = ssd_chunked(**{k: v[:, :6] if k in "x dt B C" else v for k, v in given.items()}, final=True, chunk=4)
    torch.testing.assert_close(after, at_6, rtol=0, atol=1e-12)


def test_decays_too_strong_for_float32_give_zeros_and_no_nan() -> None:
    given = arguments(dtype=torch.float32)
    strong = {**given, "A": (given["A"].detach() * 1e4).requires_grad_()}
    y, h = ssd_chunked(**strong, final=True)
    (y.sum() + h.sum()).backward()
    reference, _ = ssd_sequential(**strong)
    torch.testing.assert_close(y, reference, rtol=1e-4, atol=1e-4)
    assert all(v.grad.isfinite().all() for v in strong.values() if v.grad is not None)


def test_bf16_inputs_stay_near_float64() -> None:
    exact, rough = arguments(), arguments(dtype=torch.bfloat16)
    rough |= {name: exact[name].float() for name in ("dt", "A", "D", "initial_state")}
    y, h = ssd_chunked(**rough, final=True)
    reference, end = ssd_sequential(**exact, final=True)
    assert (y.dtype, h.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(y.double(), reference, rtol=0.03, atol=0.15)
    torch.testing.assert_close(h.double(), end, rtol=0.03, atol=0.1)
