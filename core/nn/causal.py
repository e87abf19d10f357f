"""Causal attention by blocks of queries, with a backward of its own: for training on a CPU without the C++ kernel.

Each block of queries meets only the keys that it may see, so the work is that of the triangle, and it is done by large
matrix products in the dtype of the inputs. [torch's CPU kernel takes 2 to 3 times as long in bfloat16: 105 to 150 ms,
against 46 ms forward and backward, 8 x 4 heads x 512 x 64, one thread.]
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.wide import wide_dtype

BLOCK = 128
"""Queries in a block: as fast as 64 and 256 or faster at lengths 256 to 1024."""
LONGEST = 2048
"""Probabilities are kept for the backward, half a square per head: beyond this length torch's kernel keeps less."""


class BlockAttention(torch.autograd.Function):
    """softmax(q k^T) v over keys j with i - window < j <= i.

    q, k, v (B, H, T, C), q scaled already; window 0 for all before. Returns (B, H, T, C).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
        batch, heads, length, channels = q.shape
        q, k, v = (x.reshape(-1, length, channels) for x in (q, k, v))
        out = q.new_empty(batch, length, heads, channels)
        probabilities = []
        for first, stop, low in _blocks(length, window):
            scores = q[:, first:stop] @ k[:, low:stop].transpose(1, 2)
            seen_by_all = 0 if 0 < window < stop else first  # keys that need no mask
            hidden = _hidden(first, stop, max(low, seen_by_all), window, q.device)
            scores[:, :, -hidden.shape[1] :] += torch.zeros_like(hidden, dtype=q.dtype).masked_fill_(hidden, -torch.inf)
            p = scores.softmax(-1)
            probabilities.append(p)
            out[:, first:stop] = (p @ v[:, low:stop]).view(batch, heads, -1, channels).transpose(1, 2)
        ctx.save_for_backward(q, k, v, *probabilities)
        ctx.window = window
        return out.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *probabilities = ctx.saved_tensors
        wide = wide_dtype(q.dtype)
        dout = grad.reshape(q.shape)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
        for p, (first, stop, low) in zip(probabilities, _blocks(q.shape[1], ctx.window), strict=True):
            d = dout[:, first:stop]
            dv[:, low:stop] += p.transpose(1, 2) @ d
            dp = d @ v[:, low:stop].transpose(1, 2)
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dq[:, first:stop] = ds @ k[:, low:stop]
            dk[:, low:stop] += ds.transpose(1, 2) @ q[:, first:stop]
        shape = grad.shape
        return dq.view(shape), dk.to(k.dtype).view(shape), dv.to(v.dtype).view(shape), None


def causal_attention(q: Tensor, k: Tensor, v: Tensor, window: int = 0) -> Tensor:
    """softmax(q k^T / sqrt(C)) v of q (B, H, T, C), k and v (B, G, T, C): each position over itself and all before.

    window: how many positions it sees at most, itself included; 0 for all.
    """
    grouped = q.shape[1] // k.shape[1]
    training = torch.is_grad_enabled() and q.requires_grad
    if training and q.device.type == "cpu" and q.shape[2] <= LONGEST:
        if grouped > 1:
            k, v = k.repeat_interleave(grouped, 1), v.repeat_interleave(grouped, 1)
        return BlockAttention.apply(q * q.shape[-1] ** -0.5, k, v, window)
    if 0 < window < q.shape[2]:
        mask = ~_hidden(0, q.shape[2], 0, window, q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped > 1)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped > 1)


def _blocks(length: int, window: int) -> list[tuple[int, int, int]]:
    """First query, query after the last, first key, for each block."""
    firsts = range(0, length, BLOCK)
    return [(a, min(a + BLOCK, length), max(0, a - window + 1) if window else 0) for a in firsts]


def _hidden(first: int, stop: int, low: int, window: int, device: torch.device) -> Tensor:
    """(stop - first, stop - low) bool, True where query i must not see key j."""
    behind = torch.arange(first, stop, device=device)[:, None] - torch.arange(low, stop, device=device)
    return (behind < 0) | (behind >= window) if window else behind < 0
