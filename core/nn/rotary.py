"""Rotary positions (RoPE, arXiv 2104.09864) with RMSNorm of queries and keys, in one pass forward and one backward.

Neighbouring channels form a complex number that is multiplied by exp(i position frequency), as in the paper. The norm
is per head, with one learned gain a head instead of a weight per channel (arXiv 2010.04245).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def rotations(positions: Tensor, channels: int, base: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """positions (...) -> unit complex numbers (..., channels / 2) of the real dtype's precision."""
    exponents = torch.arange(0, channels, 2, device=positions.device, dtype=torch.float64) / channels
    angles = positions.double().unsqueeze(-1) * base**-exponents
    return torch.polar(torch.ones_like(angles), angles).to(
        torch.complex128 if dtype == torch.float64 else torch.complex64
    )


@lru_cache(maxsize=16)
def rotation_table(
    length: int, heads: int, channels: int, base: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(length, heads, channels / 2) for positions 0 .. length - 1, repeated over heads: one contiguous product."""
    with torch.inference_mode(False):
        table = rotations(torch.arange(length, device=device), channels, base, dtype)
        return table.unsqueeze(1).repeat(1, heads, 1)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """(..., heads, C) by complex (..., heads or 1, C / 2) -> (..., heads, C)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation).flatten(-2)


def norm_and_rotate(qk: Tensor, gain: Tensor | None, rotation: Tensor, eps: float) -> Tensor:
    """The definition: queries and keys (..., heads, C), gain (heads,) or None for no norm -> the same shape."""
    if gain is not None:
        qk = F.rms_norm(qk, qk.shape[-1:], None, eps) * gain.unsqueeze(-1)
    return rotate(qk, rotation)


class NormRotate(torch.autograd.Function):
    """`norm_and_rotate` of the first heads of qkv (B, T, heads + G, C); the last G, the values, pass unchanged.

    Returns (qk (B, T, heads, C), values (B, T, G, C)) in the dtype of qkv.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, gain: Tensor | None, rotation: Tensor, heads: int, eps: float
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(qkv.dtype, torch.float32)
        qk = qkv[:, :, :heads].to(wide)
        scale = None
        if gain is not None:
            scale = torch.linalg.vector_norm(qk, dim=-1, keepdim=True).square_()
            scale = scale.div_(qk.shape[-1]).add_(eps).rsqrt_()
            qk = qk * (scale * gain.unsqueeze(-1))
        ctx.save_for_backward(qkv, gain, rotation, scale)
        return rotate(qk, rotation).to(qkv.dtype), qkv[:, :, heads:].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dqk: Tensor, dvalues: Tensor) -> tuple[Tensor | None, ...]:
        qkv, gain, rotation, scale = ctx.saved_tensors
        heads, channels = dqk.shape[2:]
        wide = torch.promote_types(qkv.dtype, torch.float32)
        dqkv = torch.empty_like(qkv)
        dqkv[:, :, heads:] = dvalues
        turned = rotate(dqk.contiguous().to(wide), rotation.conj())
        if gain is None:
            dqkv[:, :, :heads] = turned
            return dqkv, None, None, None, None
        qk = qkv[:, :, :heads].to(wide)
        along = (turned * qk).sum(-1, keepdim=True).mul_(scale)  # the gradient's part along the normed vector
        dgain = along.sum((0, 1)).squeeze(-1)
        factor = scale * gain.unsqueeze(-1)
        turned.mul_(factor)
        dqkv[:, :, :heads] = turned.addcmul_(qk, along.mul_(factor).mul_(scale).div_(-channels))
        return dqkv, dgain, None, None, None
