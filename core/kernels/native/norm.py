"""RMSNorm, plain and gated, by the C++ kernel: norm.cpp with autograd around it."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import DTYPES, Rows, address, numbers, rows, side_by_side
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


class NormInputs(NamedTuple):
    """What the kernel reads: x and z by `flat`, the weight by `numbers`."""

    x: Tensor
    z: Tensor | None
    weight: Tensor
    eps: float
    groups: int


def norm_forward(inputs: NormInputs, y: Tensor) -> None:
    """Fill y (1, rows, D)."""
    call = _arguments(inputs)
    call.y = rows(y)
    _run("forward", call)


def norm_backward(
    inputs: NormInputs, dy: Tensor, *, dx: Tensor, dz: Tensor | None, weight: bool = True
) -> Tensor | None:
    """Fill the gradients of x and z (1, rows, D), and return that of the weight where it is asked for."""
    call = _arguments(inputs)
    dweight = torch.empty(-(-call.rows // BLOCK), call.width) if weight else None
    call.dy, call.dx, call.dz, call.dweight = rows(dy), rows(dx), rows(dz), address(dweight)
    _run("backward", call)
    return None if dweight is None else dweight.sum(0)


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


def _arguments(inputs: NormInputs) -> _Arguments:
    call = _Arguments(*inputs.x.shape[1:], inputs.groups, BLOCK, torch.get_num_threads(), inputs.eps)
    call.x, call.z, call.weight = rows(inputs.x), rows(inputs.z), address(inputs.weight)
    return call


def _run(direction: str, call: _Arguments) -> None:
    count = library("norm").foretell_norm_scratch
    count.restype = ctypes.c_int64
    scratch = torch.empty(count(ctypes.byref(call)))
    call.scratch = address(scratch)
    getattr(library("norm"), f"foretell_norm_{direction}")(ctypes.byref(call))


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor | None, weight: Tensor, eps: float, groups: int, dtype: torch.dtype
    ) -> Tensor:
        inputs = NormInputs(flat(x), None if z is None else flat(z), numbers(weight), eps, groups)
        y = torch.empty(x.shape, dtype=dtype)
        norm_forward(inputs, flat(y))
        ctx.save_for_backward(inputs.x, inputs.z, inputs.weight)
        ctx.eps, ctx.groups = eps, groups
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, z, weight = ctx.saved_tensors
        dx, dz = (None if v is None else torch.empty(dy.shape, dtype=v.dtype) for v in (x, z))
        assert dx is not None
        inputs = NormInputs(x, z, weight, ctx.eps, ctx.groups)
        flat_dz = None if dz is None else flat(dz)
        dweight = norm_backward(inputs, flat(dy), dx=flat(dx), dz=flat_dz, weight=ctx.needs_input_grad[2])
        return dx, dz, dweight, None, None, None


def flat(x: Tensor) -> Tensor:
    """(..., D) -> (1, rows, D), without a copy where the rows are evenly spaced."""
    return side_by_side(x.reshape(1, -1, x.shape[-1]))
