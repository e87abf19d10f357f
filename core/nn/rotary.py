"""Rotary positions (RoPE, arXiv 2104.09864) with RMSNorm of queries and keys, in one pass forward and one backward.

Convention, that of transformers' Llama and Qwen3: channel i < C / 2 of a head forms a pair with channel i + C / 2, and
the pair is turned by position * base^(-2 i / C). The paper pairs neighbours; the two differ by a fixed order of the
channels. The norm comes before the rotation, per head, over its C channels in float32, with one weight (C,) that all
query heads share and one that all key heads share, as in Qwen3 (arXiv 2505.09388); eps is that of the model's norms.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.wide import wide_dtype


def rotations(positions: Tensor, channels: int, base: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """positions (...) -> (..., 2, C): row 0 is [cos, cos], row 1 is [-sin, sin]; computed in float64."""
    exponents = torch.arange(0, channels, 2, device=positions.device, dtype=torch.float64) / channels
    angles = positions.double().unsqueeze(-1) * base**-exponents
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)), -2).to(dtype)


@lru_cache(maxsize=16)
def rotation_table(length: int, channels: int, base: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(length, 2, C) for positions 0 .. length - 1."""
    with torch.inference_mode(False):
        return rotations(torch.arange(length, device=device), channels, base, dtype)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """(..., heads, C) by (..., 2, C) -> (..., heads, C)."""
    cos, sin = rotation.split(1, -2)  # (..., 1, C) each
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def rotate_back(x: Tensor, rotation: Tensor) -> Tensor:
    """The inverse of `rotate`, which is also its gradient."""
    cos, sin = rotation.split(1, -2)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin, value=-1)


def norm_and_rotate(qk: Tensor, weight: Tensor | None, rotation: Tensor, eps: float) -> Tensor:
    """The definition: queries and keys (..., heads, C), weight (heads, C) or None for no norm -> the same shape."""
    if weight is not None:
        qk = F.rms_norm(qk, qk.shape[-1:], None, eps) * weight
    return rotate(qk, rotation)


class NormRotate(torch.autograd.Function):
    """`norm_and_rotate` of the first heads of qkv (B, T, heads + G, C); the last G, the values, pass unchanged.

    Returns (qk (B, T, heads, C), values (B, T, G, C)) in the dtype of qkv.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, weight: Tensor | None, rotation: Tensor, heads: int, eps: float
    ) -> tuple[Tensor, Tensor]:
        wide = wide_dtype(qkv.dtype)
        qk = qkv[:, :, :heads].to(wide)
        scale = None
        if weight is not None:
            scale = torch.linalg.vector_norm(qk, dim=-1, keepdim=True).square_()
            scale = scale.div_(qk.shape[-1]).add_(eps).rsqrt_()
            qk = (qk * scale).mul_(weight)
        ctx.save_for_backward(qkv, weight, rotation, scale)
        return rotate(qk, rotation).to(qkv.dtype), qkv[:, :, heads:].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dqk: Tensor, dvalues: Tensor) -> tuple[Tensor | None, ...]:
        qkv, weight, rotation, scale = ctx.saved_tensors
        heads, channels = dqk.shape[2:]
        wide = wide_dtype(qkv.dtype)
        dqkv = torch.empty_like(qkv)
        dqkv[:, :, heads:] = dvalues
        turned = rotate_back(dqk.to(wide), rotation)
        if weight is None:
            dqkv[:, :, :heads] = turned
            return dqkv, None, None, None, None
        normed = qkv[:, :, :heads].to(wide) * scale
        dweight = (turned * normed).sum((0, 1))
        turned.mul_(weight)
        along = (turned * normed).sum(-1, keepdim=True).div_(-channels)  # the gradient's part along the normed vector
        dqkv[:, :, :heads] = turned.addcmul_(normed, along).mul_(scale)
        return dqkv, dweight, None, None, None
