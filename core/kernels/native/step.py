"""One token further by the C++ kernels: step.cpp, for tensors of the CPU and without gradients."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from core.kernels import native
from core.kernels.native.conv import MOST_TAPS
from core.kernels.native.layout import DTYPES, Rows, address, numbers, rows, side_by_side

_COUNTS = ctypes.c_int64
_POINTERS = ctypes.c_void_p


class _ScanStep(ctypes.Structure):
    _fields_ = [
        *((name, _COUNTS) for name in ("batch", "channels", "states", "threads")),
        ("state", _POINTERS),
        *((name, Rows) for name in ("u", "delta", "B", "C", "z", "y")),
        *((name, _POINTERS) for name in ("A_log", "D", "bias")),
    ]


class _HeadStep(ctypes.Structure):
    _fields_ = [
        *((name, _COUNTS) for name in ("batch", "heads", "width", "states", "groups", "threads")),
        ("state", _POINTERS),
        *((name, Rows) for name in ("x", "delta", "B", "C", "y")),
        *((name, _POINTERS) for name in ("A_log", "D", "bias")),
    ]


class _ConvStep(ctypes.Structure):
    _fields_ = [
        *((name, _COUNTS) for name in ("batch", "channels", "taps")),
        *((name, Rows) for name in ("x", "state", "y")),
        *((name, _POINTERS) for name in ("weight", "bias")),
    ]


def can_step(state: Tensor, *inputs: Tensor | None) -> bool:
    """Whether the kernels serve these: no gradients are recorded, the state is a float32 block, inputs are readable."""
    return (
        not torch.is_grad_enabled()
        and state.device.type == "cpu"
        and state.dtype == torch.float32
        and state.is_contiguous()
        and all(x is None or x.dtype in DTYPES for x in inputs)
        and native.wanted("step")
    )


def selective_scan_step_cpp(
    state: Tensor,
    u: Tensor,
    delta: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
) -> Tensor:
    batch, channels, states = state.shape
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    u, delta, B, C = (side_by_side(x) for x in (u, delta, B, C))
    A_log, D, z, delta_bias = numbers(A_log), numbers(D), side_by_side(z), numbers(delta_bias)
    lanes = 16  # the most that a vector has
    scratch = torch.empty(-(-channels // lanes) * lanes * states)
    call = _ScanStep(batch, channels, states, torch.get_num_threads(), state.data_ptr())
    call.u, call.delta, call.B, call.C, call.z, call.y = (_lines(x) for x in (u, delta, B, C, z, y))
    call.A_log, call.D, call.bias = address(A_log), address(D), address(delta_bias)
    native.library("step").foretell_selective_scan_step(ctypes.byref(call), ctypes.c_void_p(scratch.data_ptr()))
    return y


def ssd_step_cpp(
    state: Tensor,
    x: Tensor,
    delta: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
) -> Tensor:
    batch, heads, width, states = state.shape
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    x, delta, B, C = (side_by_side(v) for v in (x, delta, B, C))
    A_log, D, delta_bias = numbers(A_log), numbers(D), numbers(delta_bias)
    call = _HeadStep(batch, heads, width, states, B.shape[1], torch.get_num_threads(), state.data_ptr())
    call.x, call.delta, call.B, call.C, call.y = rows(x), _lines(delta), rows(B), rows(C), rows(y)
    call.A_log, call.D, call.bias = address(A_log), address(D), address(delta_bias)
    native.library("step").foretell_ssd_step(ctypes.byref(call))
    return y


def can_step_conv(state: Tensor, x: Tensor, taps: int) -> bool:
    """As `can_step`; the state may be bfloat16, as the weights it belongs to."""
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and state.dtype in DTYPES
        and x.dtype in DTYPES
        and state.stride(-1) == 1
        and taps <= MOST_TAPS
        and native.wanted("step")
    )


def conv_step_cpp(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    x = side_by_side(x)
    weight, bias = numbers(weight), numbers(bias)
    call = _ConvStep(*x.shape, weight.shape[-1], _lines(x), rows(state), _lines(y), address(weight), address(bias))
    native.library("step").foretell_conv_step(ctypes.byref(call))
    return y


def _lines(x: Tensor | None) -> Rows:
    """Of (B, channels)."""
    return Rows() if x is None else Rows(x.data_ptr(), DTYPES[x.dtype], x.stride(0), 0)
