"""Attention against its formula: by blocks, under a window, with fewer key heads, rotated, normed. float64, 1e-10."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import core.nn.causal as causal
from core.nn.attention import Attention
from core.nn.causal import causal_attention
from core.nn.config import ModelConfig
from core.nn.rotary import NormRotate, norm_and_rotate, rotate, rotation_table, rotations


def by_the_formula(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    behind = torch.arange(q.shape[2])[:, None] - torch.arange(q.shape[2])
    seen = (behind >= 0) & (behind < (window or q.shape[2]))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize("length", [1, 4, 11])
@pytest.mark.parametrize("window", [0, 1, 3, 4, 11, 50])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_blocks_of_queries_equal_the_formula_with_gradients(
    length: int, window: int, key_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causal, "BLOCK", 4)
    torch.manual_seed(0)
    q = torch.randn(2, 4, length, 6, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(2, key_heads, length, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    expected, got = by_the_formula(q, k, v, window), causal_attention(q, k, v, window)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)
    weights = torch.randn_like(expected)
    for a, b in zip(*(torch.autograd.grad(y, (q, k, v), weights) for y in (got, expected)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(causal_attention(q, k, v, window), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("normed", [True, False])
def test_the_fused_rotation_equals_its_definition_with_gradients(normed: bool) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(2, 5, 7, 6, dtype=torch.float64, requires_grad=True)  # 5 heads that turn, 2 of values
    weight = torch.randn(5, 6, dtype=torch.float64, requires_grad=True) if normed else None
    table = rotation_table(5, 6, 100.0, torch.float64, torch.device("cpu"))
    qk, values = NormRotate.apply(qkv, weight, table, 5, 1e-5)
    torch.testing.assert_close(qk, norm_and_rotate(qkv[:, :, :5], weight, table, 1e-5), rtol=0, atol=1e-12)
    assert torch.equal(values, qkv[:, :, 5:])
    leaves = (qkv, weight, table, 5, 1e-5)
    assert torch.autograd.gradcheck(lambda *args: NormRotate.apply(*args), leaves)


def test_a_pair_is_half_a_head_apart_as_in_llama() -> None:
    turned = rotate(torch.eye(4, dtype=torch.float64)[:, None], rotations(torch.tensor(3), 4, 100.0, torch.float64))
    cos, sin = torch.tensor([3.0, 0.3], dtype=torch.float64).cos(), torch.tensor([3.0, 0.3], dtype=torch.float64).sin()
    expected = torch.tensor(
        [[cos[0], 0, sin[0], 0], [0, cos[1], 0, sin[1]], [-sin[0], 0, cos[0], 0], [0, -sin[1], 0, cos[1]]]
    ).double()
    torch.testing.assert_close(turned[:, 0], expected)


def test_queries_share_one_norm_and_keys_another_as_in_qwen() -> None:
    mixer = Attention(ModelConfig(width=24, heads=4, kv_heads=2))
    assert {name: tuple(p.shape) for name, p in mixer.named_parameters() if "norm" in name} == {
        "q_norm.weight": (6,),
        "k_norm.weight": (6,),
    }


def test_scores_depend_on_the_distance_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 8, dtype=torch.float64)
    near, far = (
        norm_and_rotate(q, None, rotations(torch.tensor(at + 3), 8, 100.0, torch.float64), 0.0)
        @ norm_and_rotate(k, None, rotations(torch.tensor(at), 8, 100.0, torch.float64), 0.0).T
        for at in (0, 1000)
    )
    torch.testing.assert_close(near, far, rtol=0, atol=1e-9)


def test_positions_that_are_given_replace_the_count() -> None:
    """A shift of all positions changes nothing; another distance does."""
    torch.manual_seed(0)
    mixer = Attention(ModelConfig(width=16, heads=2)).double()
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    with torch.no_grad():
        mixer.in_proj.weight *= 20
    counted, _ = mixer(x)
    shifted, _ = mixer(x, positions=torch.arange(6)[None] + 17)
    stretched, _ = mixer(x, positions=torch.arange(6)[None] * 3)
    torch.testing.assert_close(counted, shifted, rtol=0, atol=1e-9)
    assert (counted - stretched).abs().max() > 1e-3


def test_a_window_forgets_what_lies_before_it() -> None:
    mixer = Attention(ModelConfig(width=16, heads=2, window=3)).double()
    x = torch.randn(1, 8, 16, dtype=torch.float64, requires_grad=True)
    y, _ = mixer(x)
    (gradient,) = torch.autograd.grad(y[0, 6].sum(), x)
    assert gradient[0].abs().sum(-1).ne(0).nonzero().flatten().tolist() == [4, 5, 6]
