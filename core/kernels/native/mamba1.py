"""All of a Mamba-1 mixer between its two projections in one function of autograd, for training on the CPU.

It is what core.nn.mamba1 composes, without the copies between the parts: the gradients of x and z are written into the
halves of one tensor, those of dt, B and C into slices of another, and that of the convolution's output is added up
inside a matrix product. [Width 256: 2 % of a training step in bfloat16, 4 % in float32.]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.kernels import dispatch
from core.kernels.native.conv import MOST_TAPS, ConvInputs, conv_backward, conv_forward
from core.kernels.native.layout import numbers, side_by_side
from core.kernels.native.library import wanted
from core.kernels.native.selective_scan import ScanInputs, scan_backward, scan_forward, selective_scan_cpp
from core.kernels.resets import document_starts


def can_mix(xz: Tensor, conv: nn.Module, projections: Sequence[nn.Module], segments: Tensor | None) -> bool:
    """Whether the kernels of the parts are the ones to be used, and the layers are plain: an adapter or a hook on one
    of them would not be seen."""
    return (
        dispatch("selective_scan", xz, None, segments) is selective_scan_cpp
        and type(conv) is nn.Conv1d
        and conv.kernel_size[0] <= MOST_TAPS
        and all(type(layer) is nn.Linear for layer in projections)
        and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in (conv, *projections))
        and wanted("conv")
    )


def mamba1_mixing(
    xz: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    segments: Tensor | None,
) -> Tensor:
    """What goes into `out_proj`.

    Args:
        xz: (B, T, 2 E) of `in_proj`, float32 or bfloat16, in whose dtype matrices are multiplied.
        conv_weight: (E, 1, taps), conv_bias (E,).
        x_proj: (R + 2 N, E), dt_proj (E, R), dt_bias (E,): weights.
        A: (E, N), D (E,).
        segments: (B, T) document ids inside a row, or None.

    Returns (B, T, E) in the dtype of xz.
    """
    starts = None if segments is None else document_starts(segments)
    return _Mixing.apply(xz, conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A, D, starts)


class _Mixing(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        xz: Tensor,
        conv_weight: Tensor,
        conv_bias: Tensor | None,
        x_proj: Tensor,
        dt_proj: Tensor,
        dt_bias: Tensor,
        A: Tensor,
        D: Tensor,
        starts: Tensor | None,
    ) -> Tensor:
        xz, x_proj, dt_proj = side_by_side(xz), x_proj.to(xz.dtype), dt_proj.to(xz.dtype)
        x, z = xz.chunk(2, -1)
        conv = ConvInputs(x, numbers(conv_weight), numbers(conv_bias), None, starts)
        u = torch.empty(x.shape, dtype=x.dtype)
        conv_forward(conv, u)
        with torch.autocast("cpu", enabled=False):
            projected = u @ x_proj.t()
            low_rank, B, C = _split(projected, dt_proj, A)
            delta = low_rank @ dt_proj.t()
        scan = ScanInputs(u, delta, numbers(A), B, C, numbers(D), z, numbers(dt_bias), None, starts, None, True)
        y, borders = torch.empty_like(u), scan.borders() if any(ctx.needs_input_grad) else None
        scan_forward(scan, y, None, borders)
        ctx.save_for_backward(
            *(xz, conv.weight, conv.bias, starts, u, projected, delta, borders),
            *(x_proj, dt_proj, scan.bias, scan.A, scan.D),
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        xz, conv_weight, conv_bias, starts, u, projected, delta, borders, *weights = ctx.saved_tensors
        x_proj, dt_proj, dt_bias, A, D = weights
        x, z = xz.chunk(2, -1)
        low_rank, B, C = _split(projected, dt_proj, A)
        scan = ScanInputs(u, delta, A, B, C, D, z, dt_bias, None, starts, None, True)
        dxz, du, ddelta, dprojected = (torch.empty(v.shape, dtype=v.dtype) for v in (xz, u, delta, projected))
        (dx, dz), (dlow_rank, dB, dC) = dxz.chunk(2, -1), _split(dprojected, dt_proj, A)
        _, *wanted = ctx.needs_input_grad  # of a frozen model none but that of xz
        by_conv, by_scan = any(wanted[:2]), any(wanted[4:7])
        sums = scan_backward(
            scan, borders, side_by_side(dy), None, du=du, ddelta=ddelta, dB=dB, dC=dC, dz=dz, shared=by_scan
        )
        dlow_rank.copy_(ddelta @ dt_proj)
        flat = dprojected.flatten(0, 1)
        du.flatten(0, 1).addmm_(flat, x_proj)
        conv = ConvInputs(x, conv_weight, conv_bias, None, starts)
        dweight, dbias = conv_backward(conv, du, dx=dx, dinitial=None, shared=by_conv)
        return (
            *(dxz, dweight, None if conv_bias is None else dbias),
            flat.t() @ u.flatten(0, 1) if wanted[2] else None,
            ddelta.flatten(0, 1).t() @ low_rank.flatten(0, 1) if wanted[3] else None,
            *(sums.bias, sums.A, sums.D, None),
        )


def _split(projected: Tensor, dt_proj: Tensor, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T, R + 2 N) -> dt of low rank, B, C."""
    low_rank, B, C = projected.split((dt_proj.shape[1], A.shape[1], A.shape[1]), -1)
    return low_rank, B, C
