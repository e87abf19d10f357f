"""The depthwise causal convolution with SiLU by the C++ kernel: conv.cpp with autograd around it."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import Rows, address, numbers, rows, side_by_side
from core.kernels.native.library import library
from core.kernels.resets import document_starts

MOST_TAPS = 16


def causal_conv_cpp(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, initial: Tensor | None = None, segments: Tensor | None = None
) -> Tensor:
    """As `core.nn.conv.causal_conv`, for x in float32 or bfloat16 and at most MOST_TAPS taps."""
    starts = None if segments is None else document_starts(segments)
    return _Conv.apply(x, weight, bias, initial, starts)


class ConvInputs(NamedTuple):
    """What the kernel reads: tensors of tokens by `side_by_side`, the others by `numbers`."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    initial: Tensor | None
    starts: Tensor | None
    """(B, T) bool, where documents start."""


def conv_forward(inputs: ConvInputs, y: Tensor) -> None:
    call = _arguments(inputs)
    call.y = rows(y)
    library("conv").foretell_conv_forward(ctypes.byref(call))


def conv_backward(
    inputs: ConvInputs, dy: Tensor, *, dx: Tensor, dinitial: Tensor | None, shared: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Fill the gradients of x and of what came before, and return those of the weight and the bias; None for both where
    they are not `shared`, which saves their sums."""
    call = _arguments(inputs)
    batch, channels = len(dy), dy.shape[2]
    call.dy, call.dx, call.dinitial = rows(dy), rows(dx), rows(dinitial)
    if not shared:
        library("conv").foretell_conv_backward(ctypes.byref(call))
        return None, None
    dweight, dbias = torch.empty(batch, *inputs.weight.shape), torch.empty(batch, channels)
    call.dweight, call.dbias = address(dweight), address(dbias)
    library("conv").foretell_conv_backward(ctypes.byref(call))
    return dweight.sum(0), dbias.sum(0)


class _Arguments(ctypes.Structure):
    """`Convolution` of conv.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "channels", "taps", "threads")),
        *((name, Rows) for name in ("x", "initial", "y")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "starts")),
        *((name, Rows) for name in ("dy", "dx", "dinitial")),
        *((name, ctypes.c_void_p) for name in ("dweight", "dbias")),
    ]


def _arguments(inputs: ConvInputs) -> _Arguments:
    call = _Arguments(*inputs.x.shape, inputs.weight.shape[-1], torch.get_num_threads())
    call.x, call.initial = rows(inputs.x), rows(inputs.initial)
    call.weight, call.bias, call.starts = (address(x) for x in (inputs.weight, inputs.bias, inputs.starts))
    return call


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, initial: Tensor | None, starts: Tensor | None
    ) -> Tensor:
        inputs = ConvInputs(side_by_side(x), numbers(weight), numbers(bias), side_by_side(initial), starts)
        y = torch.empty_like(inputs.x, memory_format=torch.contiguous_format)
        conv_forward(inputs, y)
        ctx.save_for_backward(*inputs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ConvInputs(*ctx.saved_tensors)
        x, initial = inputs.x, inputs.initial
        dx = torch.empty(x.shape, dtype=x.dtype)
        dinitial = None if initial is None else torch.empty(initial.shape, dtype=initial.dtype)
        shared = any(ctx.needs_input_grad[1:3])
        dweight, dbias = conv_backward(inputs, side_by_side(dy), dx=dx, dinitial=dinitial, shared=shared)
        return dx, dweight, None if inputs.bias is None else dbias, dinitial, None
