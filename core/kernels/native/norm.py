"""RMSNorm, plain and gated, by the C++ kernel: norm.cpp with autograd around it."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import DTYPES, Rows, address, rows, side_by_side
from core.kernels.native.library import library, wanted

BLOCK = 64
"""Rows whose gradients of the weight are summed at once."""


def usable(weight: Tensor, *inputs: Tensor) -> bool:
    """Whether the kernel takes these, is allowed and could be built."""
    fit = all(x.device.type == "cpu" and x.dtype in DTYPES for x in inputs)
    return fit and weight.dtype == torch.float32 and wanted("norm")


def rms_norm_cpp(
    x: Tensor, weight: Tensor, eps: float, *, z: Tensor | None = None, groups: int = 1, dtype: torch.dtype | None = None
) -> Tensor:
    """RMSNorm of x, or of x * silu(z), over each of `groups` equal parts of the last axis, times the weight.

    x and z (..., D) float32 or bfloat16, weight (D,) float32 -> (..., D) in `dtype` (None: that of x).
    """
    return _RMSNorm.apply(x, z, weight, eps, groups, dtype or x.dtype)


class _Arguments(ctypes.Structure):
    """`Norm` of norm.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "width", "groups", "block", "threads")),
        ("eps", ctypes.c_double),
        *((name, Rows) for name in ("x", "z", "y")),
        ("weight", ctypes.c_void_p),
        *((name, Rows) for name in ("dy", "dx", "dz")),
        *((name, ctypes.c_void_p) for name in ("dweight", "scratch")),
    ]


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor | None, weight: Tensor, eps: float, groups: int, dtype: torch.dtype
    ) -> Tensor:
        weight = weight.contiguous()
        y = torch.empty(x.shape, dtype=dtype)
        x, z = _flat(x), None if z is None else _flat(z)
        call = _arguments(x, z, weight, eps, groups)
        call.y = rows(_flat(y))
        _run("forward", call)
        ctx.save_for_backward(x, z, weight)
        ctx.eps, ctx.groups, ctx.shape = eps, groups, y.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, z, weight = ctx.saved_tensors
        dx, dz = (None if v is None else torch.empty(v.shape, dtype=v.dtype) for v in (x, z))
        call = _arguments(x, z, weight, ctx.eps, ctx.groups)
        dweight = weight.new_empty(-(-call.rows // BLOCK), call.width)
        dy = _flat(dy)
        call.dy, call.dx, call.dz, call.dweight = rows(dy), rows(dx), rows(dz), address(dweight)
        _run("backward", call)
        dx, dz = (None if v is None else v.view(ctx.shape) for v in (dx, dz))
        return dx, dz, dweight.sum(0), None, None, None


def _arguments(x: Tensor, z: Tensor | None, weight: Tensor, eps: float, groups: int) -> _Arguments:
    call = _Arguments(*x.shape[1:], groups, BLOCK, torch.get_num_threads(), eps, rows(x), rows(z))
    call.weight = address(weight)
    return call


def _run(direction: str, call: _Arguments) -> None:
    count = library("norm").foretell_norm_scratch
    count.restype = ctypes.c_int64
    scratch = torch.empty(count(ctypes.byref(call)))
    call.scratch = address(scratch)
    getattr(library("norm"), f"foretell_norm_{direction}")(ctypes.byref(call))


def _flat(x: Tensor) -> Tensor:
    """(..., D) -> (1, rows, D), without a copy where the rows are evenly spaced."""
    return side_by_side(x.reshape(1, -1, x.shape[-1]))
