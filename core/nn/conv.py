"""The short depthwise causal convolution of Mamba mixers with its SiLU, carried inputs and resets between documents.

Layout is (B, T, channels), as the projections make it; weights have nn.Conv1d's shape (channels, 1, taps), the last tap
is the present. On the CPU the C++ library computes it where it is there, on CUDA causal-conv1d; without them, in
float32 by shifted products over a few rows at a time, which stay in the cache. [torch's grouped convolution takes 5
times as long as the latter.]
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels import allows, mamba_ssm, native
from core.kernels.native.conv import MOST_TAPS, causal_conv_cpp
from core.kernels.native.layout import DTYPES
from core.kernels.native.step import can_step_conv, conv_step_cpp
from core.kernels.resets import document_runs
from core.kernels.wide import wide_dtype

BLOCK = 512
"""Tokens that are worked on at once."""


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, initial: Tensor | None = None, segments: Tensor | None = None
) -> Tensor:
    """silu(bias + sum_k weight[k] x[t - taps + 1 + k]); inputs before the row or in another document are 0.

    Args:
        x: (B, T, channels).
        weight: (channels, 1, taps); bias (channels,).
        initial: (B, taps - 1, channels), the inputs before the row, oldest first; they belong to its first document.
        segments: (B, T) document ids.

    Returns (B, T, channels) in the dtype of x.
    """
    taps = weight.shape[-1]
    if x.device.type == "cpu" and x.dtype in DTYPES and taps <= MOST_TAPS and native.wanted("conv"):
        return causal_conv_cpp(x, weight, bias, initial=initial, segments=segments)
    if allows("mamba_ssm") and mamba_ssm.convolves(x, taps):
        return mamba_ssm.causal_conv(x, weight, bias, initial=initial, segments=segments)
    if initial is None:
        before = x.new_zeros(len(x), taps - 1, x.shape[2])
    else:
        before = initial.to(x.dtype)
    wide = wide_dtype(x.dtype)
    weight = weight[:, 0].t().to(wide).contiguous()  # (taps, channels)
    bias = torch.zeros_like(weight[0]) if bias is None else bias.to(wide)
    if segments is None:
        return _ConvSiLU.apply(x, weight, bias, before)
    padded = torch.cat((before, x), 1).to(wide)
    runs = F.pad(document_runs(segments), (taps - 1, 0))
    out = bias
    for k in range(taps):
        part = slice(k, k + x.shape[1])
        here = (runs[:, part] == runs[:, taps - 1 :]).unsqueeze(-1)
        out = out + padded[:, part] * here * weight[k]
    return F.silu(out).to(x.dtype)


class _ConvSiLU(torch.autograd.Function):
    """x (B, T, C), weight (taps, C) and bias (C,) in at least float32, before (B, taps - 1, C) -> (B, T, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, before: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias, before)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for rows in _blocks(x):
            out[rows] = F.silu(_convolved(_padded(x[rows], before[rows], weight.dtype), weight, bias), inplace=True)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight, bias, before = ctx.saved_tensors
        length, taps = x.shape[1], len(weight)
        dx = torch.empty_like(x, memory_format=torch.contiguous_format)
        dbefore, dweight, dbias = torch.empty_like(before), torch.zeros_like(weight), torch.zeros_like(bias)
        for rows in _blocks(x):
            padded = _padded(x[rows], before[rows], weight.dtype)
            dsum = torch.ops.aten.silu_backward(grad[rows].to(weight.dtype), _convolved(padded, weight, bias))
            dpadded = torch.zeros_like(padded)
            product = torch.empty_like(dsum)
            for k in range(taps):
                dpadded[:, k : k + length].addcmul_(dsum, weight[k])
                torch.mul(dsum, padded[:, k : k + length], out=product)
                dweight[k] += product.sum((0, 1))
            dbias += dsum.sum((0, 1))
            dbefore[rows], dx[rows] = dpadded[:, : taps - 1], dpadded[:, taps - 1 :]
        return dx, dweight, dbias, dbefore


def _blocks(x: Tensor) -> list[slice]:
    size = max(1, BLOCK // max(1, x.shape[1]))
    return [slice(i, i + size) for i in range(0, len(x), size)]


def _padded(x: Tensor, before: Tensor, dtype: torch.dtype) -> Tensor:
    padded = x.new_empty(len(x), before.shape[1] + x.shape[1], x.shape[2], dtype=dtype)
    padded[:, : before.shape[1]] = before
    padded[:, before.shape[1] :] = x
    return padded


def _convolved(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    length = padded.shape[1] - len(weight) + 1
    out = torch.addcmul(bias, padded[:, :length], weight[0])
    for k in range(1, len(weight)):
        out.addcmul_(padded[:, k : k + length], weight[k])
    return out


def last_inputs(x: Tensor, taps: int, initial: Tensor, lengths: Tensor | None, segments: Tensor | None) -> Tensor:
    """What the convolution needs of the past after each row's last real input: (B, taps - 1, channels), oldest first.

    Args as in `causal_conv`; lengths (B,) real inputs of each row, None for all. Inputs of other documents than that of
    the last real one are 0.
    """
    batch, length, channels = x.shape
    padded = torch.cat((initial.to(x.dtype), x), 1)
    if lengths is None and segments is None:
        return padded[:, length:]
    ends = lengths if lengths is not None else torch.full((batch,), length, device=x.device)
    index = ends[:, None] + torch.arange(taps - 1, device=x.device)  # (B, taps - 1) into padded
    last = padded.gather(1, index[..., None].expand(-1, -1, channels))
    if segments is not None:
        runs = F.pad(document_runs(segments), (taps - 1, 0))
        here = runs.gather(1, (ends + taps - 2)[:, None])
        last = last * (runs.gather(1, index) == here).unsqueeze(-1)
    return last


def conv_step(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor) -> Tensor:
    """One token: x (B, channels) -> silu of the convolution in its dtype; `state` (B, taps - 1, channels) moves on."""
    if can_step_conv(state, x, weight.shape[-1]):
        return conv_step_cpp(x, weight, bias, state)
    window = torch.cat((state, x.unsqueeze(1)), 1)
    state.copy_(window[:, 1:])
    out = (window * weight[:, 0].t()).sum(1)
    return F.silu(out if bias is None else out + bias).to(x.dtype)
