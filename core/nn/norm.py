"""RMSNorm (arXiv 1910.07467) with a backward of its own: torch composes it of a dozen passes over memory on the CPU.

`rms_norm` is the definition, `RMSNorm` and `GatedRMSNorm` are the modules with mamba-ssm's parameter name `weight`. On
the CPU the C++ library computes both where it is there; without it, torch in few passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import DTYPES
from core.kernels.native.norm import rms_norm_cpp, usable

BLOCK = 512
"""Rows that are worked on at once by what makes several passes over them."""


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in the precision of x."""
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _inverse_rms(x, eps)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        return *_rms_norm_backward(grad.contiguous(), x, weight, scale), None


class RMSNorm(nn.Module):
    """RMSNorm over the last axis.

    Args:
        autocast: under autocast the output has autocast's dtype, to which a matrix product behind it would cast it.
    """

    def __init__(self, width: int, eps: float, *, autocast: bool = False) -> None:
        super().__init__()
        self.eps, self.autocast = eps, autocast
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        if usable(self.weight, x):
            lower = self.autocast and torch.is_autocast_enabled("cpu")
            dtype = torch.get_autocast_dtype("cpu") if lower else x.dtype
            return rms_norm_cpp(x, self.weight, self.eps, dtype=dtype if dtype in DTYPES else x.dtype)
        if torch.is_grad_enabled() and x.dtype == self.weight.dtype:
            return _RMSNorm.apply(x, self.weight, self.eps)
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class _GatedRMSNorm(torch.autograd.Function):
    """y, z (..., D) and weight (D,) -> rms_norm(y * silu(z)), a few rows at a time, which stay in the cache."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, z: Tensor, weight: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(y, z, weight)
        ctx.eps = eps
        out = torch.empty_like(y, memory_format=torch.contiguous_format)
        flat = out.view(-1, y.shape[-1])
        for rows, y_rows, z_rows in _row_blocks(y, z):
            gated = F.silu(z_rows.to(weight.dtype)).mul_(y_rows)
            flat[rows] = gated.mul_(_inverse_rms(gated, eps)).mul_(weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, z, weight = ctx.saved_tensors
        dy, dz = (torch.empty_like(v, memory_format=torch.contiguous_format) for v in (y, z))
        dy_flat, dz_flat, dweight = dy.view(-1, y.shape[-1]), dz.view(-1, y.shape[-1]), torch.zeros_like(weight)
        grad = grad.reshape(-1, y.shape[-1])
        for rows, y_rows, z_rows in _row_blocks(y, z):
            wide = z_rows.to(weight.dtype)
            gate = F.silu(wide)
            gated = gate * y_rows
            dgated, dw = _rms_norm_backward(grad[rows].to(weight.dtype), gated, weight, _inverse_rms(gated, ctx.eps))
            dweight += dw
            torch.mul(dgated, gate, out=gate)
            dy_flat[rows] = gate
            dz_flat[rows] = torch.ops.aten.silu_backward(dgated.mul_(y_rows), wide)
        return dy, dz, dweight, None


class NoNorm(nn.Module):
    """In place of a norm where a model has none; a class of its own, so that fused paths see that it is missing."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def make_norm(kind: str, width: int, eps: float, *, autocast: bool = False) -> RMSNorm | NoNorm:
    """`rms` or `none`, of the residual stream."""
    return RMSNorm(width, eps, autocast=autocast) if kind == "rms" else NoNorm()


class GatedRMSNorm(nn.Module):
    """RMSNorm of y * silu(z) over each of `groups` equal parts of the width (Mamba-2, arXiv 2405.21060 section 7.1)."""

    def __init__(self, width: int, eps: float, groups: int = 1) -> None:
        super().__init__()
        self.eps, self.groups = eps, groups
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, y: Tensor, z: Tensor) -> Tensor:
        """y and z (..., width) -> (..., width) in the dtype of y, computed in that of the weight."""
        if usable(self.weight, y, z):
            return rms_norm_cpp(y, self.weight, self.eps, z=z, groups=self.groups)
        if self.groups == 1 and torch.is_grad_enabled():
            return _GatedRMSNorm.apply(y, z, self.weight, self.eps)
        gated = (F.silu(z).to(self.weight.dtype) * y).unflatten(-1, (self.groups, -1))
        normed = F.rms_norm(gated, gated.shape[-1:], None, self.eps).flatten(-2)
        return (normed * self.weight).to(y.dtype)


def _row_blocks(y: Tensor, z: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    y, z = y.reshape(-1, y.shape[-1]), z.reshape(-1, z.shape[-1])
    for i in range(0, len(y), BLOCK):
        rows = slice(i, i + BLOCK)
        yield rows, y[rows], z[rows]


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


def _rms_norm_backward(grad: Tensor, x: Tensor, weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients by x and weight of x * scale * weight, scale being the inverse root mean square of x (n, D)."""
    # LayerNorm's kernel at mean 0 is RMSNorm's gradient but for the term of the mean, which is added back
    dx, dweight, _ = torch.ops.aten.native_layer_norm_backward(
        grad, x, weight.shape, torch.zeros_like(scale), scale, weight, None, [True, True, False]
    )
    return dx.add_((grad @ weight).unsqueeze(-1).mul_(scale).div_(x.shape[-1])), dweight
