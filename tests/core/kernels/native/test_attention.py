"""The C++ attention equals its formula in float64: softmax of normed and turned heads, with all gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.kernels import preferred
from core.kernels.native.attention import attend
from core.nn.attention import Attention
from core.nn.config import ModelConfig
from core.nn.rotary import norm_and_rotate, rotations

EPS = 1e-5


@pytest.fixture(autouse=True)
def library(needs) -> None:
    needs("attention")
    torch.manual_seed(0)


def by_the_formula(
    qkv: Tensor, q: Tensor | None, k: Tensor | None, rotation: Tensor, heads: int, window: int
) -> Tensor:
    groups, channels = (qkv.shape[2] - heads) // 2, qkv.shape[3]
    weight = None if q is None or k is None else torch.cat((q.expand(heads, -1), k.expand(groups, -1)))
    qk = norm_and_rotate(qkv[:, :, : heads + groups], weight, rotation, EPS)
    queries, keys, values = (
        x.transpose(1, 2) for x in (qk[:, :, :heads], qk[:, :, heads:], qkv[:, :, heads + groups :])
    )
    keys, values = (x.repeat_interleave(heads // groups, 1) for x in (keys, values))
    behind = torch.arange(qkv.shape[1])[:, None] - torch.arange(qkv.shape[1])
    seen = (behind >= 0) & (behind < (window or qkv.shape[1]))
    scores = (queries @ keys.mT / channels**0.5).masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1) @ values).transpose(1, 2)


def with_gradients(run, leaves: list[Tensor | None], dtype: torch.dtype) -> list[Tensor]:
    """The output and the gradients by qkv (in dtype) and the weights (float64 or float32)."""
    wide = torch.promote_types(dtype, torch.float32)
    given = [None if x is None else x.to(wide if i else dtype).requires_grad_() for i, x in enumerate(leaves)]
    y = run(*given)
    dy = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y).to(dtype)
    return [y, *torch.autograd.grad(y, [x for x in given if x is not None], dy)]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 2),
    length=st.sampled_from([1, 3, 16, 63, 64, 65, 130, 200]),
    groups=st.integers(1, 2),
    shared=st.integers(1, 3),
    channels=st.sampled_from([2, 6, 16, 32, 50, 64, 96, 128]),
    window=st.sampled_from([0, 0, 1, 5, 64, 100]),
    normed=st.booleans(),
    own_positions=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_equals_the_formula(batch, length, groups, shared, channels, window, normed, own_positions, dtype) -> None:
    heads = groups * shared
    positions = torch.randint(0, 50, (batch, length)) if own_positions else torch.arange(length)
    rotation = rotations(positions, channels, 100.0, torch.float64)
    weights = [torch.randn(channels) + 1 if normed else None for _ in range(2)]
    leaves = [torch.randn(batch, length, heads + 2 * groups, channels).to(dtype), *weights]
    options = {"heads": heads, "key_heads": groups, "window": window, "eps": EPS}
    fast = with_gradients(lambda *given: attend(*given, rotation.float(), **options), leaves, dtype)
    plain = with_gradients(lambda *given: by_the_formula(*given, rotation, heads, window), leaves, torch.float64)
    assert fast[0].dtype == dtype
    for got, expected in zip(fast, plain, strict=True):
        tolerance = (1 + float(expected.detach().abs().max())) * (1e-5 if dtype == torch.float32 else 2e-2)
        torch.testing.assert_close(got.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_changes_no_bit(dtype: torch.dtype) -> None:
    qkv, weight = torch.randn(3, 100, 6, 16), torch.randn(16)
    rotation = rotations(torch.arange(100), 16, 100.0)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            options = {"heads": 2, "key_heads": 2, "window": 0, "eps": EPS}
            found.append(with_gradients(lambda *g, o=options: attend(*g, rotation, **o), [qkv, weight, weight], dtype))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_what_is_not_a_number_stays_in_its_row_and_large_scores_do_not_overflow() -> None:
    qkv, rotation = torch.randn(2, 70, 3, 8), rotations(torch.arange(70), 8, 100.0)
    options = {"heads": 1, "key_heads": 1, "window": 0, "eps": EPS}
    expected = attend(qkv, None, None, rotation, **options)
    broken = qkv.clone()
    broken[0, 20, 1, 3] = torch.nan
    y = attend(broken, None, None, rotation, **options)
    assert y[0, 20:].isnan().all()
    assert torch.equal(y[1], expected[1])
    qkv[:, :, :2] *= 1e4
    large = attend(qkv, None, None, rotation, **options)
    torch.testing.assert_close(large, by_the_formula(qkv.double(), None, None, rotation.double(), 1, 0).float())


@pytest.mark.parametrize("window", [0, 9])
def test_the_mixer_does_the_same_with_and_without_it(window: int) -> None:
    mixer = Attention(ModelConfig(width=48, heads=3, kv_heads=1, window=window))
    x = torch.randn(2, 30, 48, requires_grad=True)
    found = []
    for kernel in ("auto", "torch"):
        with preferred(kernel):
            y, _ = mixer(x)
            found.append([y, *torch.autograd.grad(y.square().sum(), [x, *mixer.parameters()])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
