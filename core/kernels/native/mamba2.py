"""All of a Mamba-2 mixer between its two projections in one function of autograd, for training on the CPU.

It is what core.nn.mamba2 composes, without the copies between the parts: the gradients of z, [x, B, C] and dt are
written into slices of one tensor, those of x, B and C after the convolution into slices of another. [Width 256 in
bfloat16: those copies were 3 % of a training step.]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.kernels import dispatch
from core.kernels.native.conv import MOST_TAPS, ConvInputs, conv_backward, conv_forward
from core.kernels.native.layout import numbers, side_by_side
from core.kernels.native.library import wanted
from core.kernels.native.norm import NormInputs, flat, norm_backward, norm_forward
from core.kernels.native.ssd import SSDInputs, ssd_backward, ssd_cpp, ssd_forward
from core.kernels.resets import document_starts
from core.kernels.ssd import CHUNK


class Sizes(NamedTuple):
    """Of a mixer: H heads of P channels, G groups of N states, tokens a chunk (0: the kernel chooses)."""

    heads: int
    channels: int
    groups: int
    states: int
    chunk: int

    @property
    def inner(self) -> int:
        return self.heads * self.channels


def can_mix(projected: Tensor, conv: nn.Module, norm: nn.Module, segments: Tensor | None) -> bool:
    """Whether the kernels of the parts are the ones to be used, and the convolution is a plain one and no hook waits
    for its or the norm's output: neither would be seen."""
    return (
        dispatch("ssd", projected, None, segments) is ssd_cpp
        and type(conv) is nn.Conv1d
        and conv.kernel_size[0] <= MOST_TAPS
        and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in (conv, norm))
        and wanted("conv")
        and wanted("norm")
    )


def mamba2_mixing(
    projected: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    *,
    eps: float,
    sizes: Sizes,
    segments: Tensor | None,
) -> Tensor:
    """What goes into `out_proj`.

    Args:
        projected: (B, T, 2 H P + 2 G N + H) of `in_proj`: z, x, B, C, dt; float32 or bfloat16.
        conv_weight: (H P + 2 G N, 1, taps), conv_bias (H P + 2 G N,).
        dt_bias, A, D: (H,).
        norm_weight: (H P,) of the gated norm, eps its own.
        segments: (B, T) document ids inside a row, or None.

    Returns (B, T, H P) in the dtype of `projected`.
    """
    starts = None if segments is None else document_starts(segments)
    return _Mixing.apply(projected, conv_weight, conv_bias, dt_bias, A, D, norm_weight, eps, sizes, starts)


class _Mixing(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        conv_weight: Tensor,
        conv_bias: Tensor | None,
        dt_bias: Tensor,
        A: Tensor,
        D: Tensor,
        norm_weight: Tensor,
        eps: float,
        sizes: Sizes,
        starts: Tensor | None,
    ) -> Tensor:
        projected = side_by_side(projected)
        z, xBC, dt = _split(projected, sizes)
        conv = ConvInputs(xBC, numbers(conv_weight), numbers(conv_bias), None, starts)
        convolved = torch.empty(xBC.shape, dtype=xBC.dtype)
        conv_forward(conv, convolved)
        steps = F.softplus(dt.float() + dt_bias.float())
        ssd = _ssd_inputs(convolved, steps, numbers(A), numbers(D), starts, sizes)
        y = torch.empty(ssd.x.shape, dtype=ssd.x.dtype)
        kept = ssd.kept() if any(ctx.needs_input_grad) else None
        ssd_forward(ssd, y, None, kept)
        out = torch.empty(z.shape, dtype=z.dtype)
        y = y.flatten(2)
        norm = NormInputs(flat(y), flat(z), numbers(norm_weight), eps, sizes.groups)
        norm_forward(norm, flat(out))
        ctx.save_for_backward(
            *(projected, conv.weight, conv.bias, starts, convolved, steps, ssd.A, ssd.D, kept, y, norm.weight)
        )
        ctx.eps, ctx.sizes = eps, sizes
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        projected, conv_weight, conv_bias, starts, convolved, steps, A, D, kept, y, norm_weight = ctx.saved_tensors
        sizes = ctx.sizes
        z, xBC, _ = _split(projected, sizes)
        dprojected, dconvolved, dsteps, dy = (
            torch.empty(v.shape, dtype=v.dtype) for v in (projected, convolved, steps, y)
        )
        dz, dxBC, ddt = _split(dprojected, sizes)
        norm = NormInputs(flat(y), flat(z), norm_weight, ctx.eps, sizes.groups)
        _, *wanted = ctx.needs_input_grad  # of a frozen model none but that of `projected`
        dnorm_weight = norm_backward(norm, flat(dout), dx=flat(dy), dz=flat(dz), weight=wanted[5])
        ssd = _ssd_inputs(convolved, steps, A, D, starts, sizes)
        into = _ssd_inputs(dconvolved, dsteps, A, D, starts, sizes)
        shared = ssd_backward(ssd, kept, dy.view(ssd.x.shape), None, dx=into.x, ddt=dsteps, dB=into.B, dC=into.C)
        dsteps *= -torch.expm1(-steps)  # the derivative of softplus, by its value
        ddt.copy_(dsteps)
        conv = ConvInputs(xBC, conv_weight, conv_bias, None, starts)
        by_conv = any(wanted[:2])
        dconv_weight, dconv_bias = conv_backward(conv, dconvolved, dx=dxBC, dinitial=None, shared=by_conv)
        return (
            *(dprojected, dconv_weight, None if conv_bias is None else dconv_bias),
            dsteps.sum((0, 1)) if wanted[2] else None,
            *(shared.A.sum(0), shared.D.sum(0), dnorm_weight, None, None, None),
        )


def _split(projected: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T, ...) -> z, [x, B, C], dt."""
    convolved = sizes.inner + 2 * sizes.groups * sizes.states
    z, xBC, dt = projected.split((sizes.inner, convolved, sizes.heads), -1)
    return z, xBC, dt


def _ssd_inputs(
    convolved: Tensor, steps: Tensor, A: Tensor, D: Tensor, starts: Tensor | None, sizes: Sizes
) -> SSDInputs:
    """From [x, B, C] (B, T, H P + 2 G N)."""
    shared = sizes.groups * sizes.states
    x, B, C = convolved.split((sizes.inner, shared, shared), -1)
    B, C = (v.unflatten(-1, (sizes.groups, sizes.states)) for v in (B, C))
    x = x.unflatten(-1, (sizes.heads, sizes.channels))
    return SSDInputs(x, steps, A, B, C, D, None, starts, sizes.chunk or CHUNK)
