"""The MLP's gate by the C++ kernel: swiglu.cpp with autograd around it."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import DTYPES, address
from core.kernels.native.library import library, wanted


def usable(x: Tensor) -> bool:
    """Whether the kernel takes this tensor, is allowed and could be built."""
    return x.device.type == "cpu" and x.dtype in DTYPES and x.is_contiguous() and wanted("swiglu")


class SwiGLU(torch.autograd.Function):
    """x (..., 2 h), value then gate, contiguous float32 or bfloat16 -> value * silu(gate) (..., h)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        y = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
        library("swiglu").foretell_swiglu_forward(ctypes.byref(_arguments(x, y)))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        dy, dx = dy.to(x.dtype).contiguous(), torch.empty_like(x)
        call = _arguments(x, dy)
        call.dy, call.dx = address(dy), address(dx)
        library("swiglu").foretell_swiglu_backward(ctypes.byref(call))
        return dx


class _Arguments(ctypes.Structure):
    """`SwiGLU` of swiglu.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("dtype", "rows", "hidden", "threads")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "dy", "dx")),
    ]


def _arguments(x: Tensor, y: Tensor) -> _Arguments:
    hidden = y.shape[-1]
    call = _Arguments(DTYPES[x.dtype], y.numel() // max(hidden, 1), hidden, torch.get_num_threads())
    call.x, call.y = address(x), address(y)
    return call
