"""The selective scan by the C++ kernel: selective_scan.cpp with autograd around it.

Arguments as in core.kernels.selective_scan; states are float32, inputs and outputs float32 or bfloat16, each its own.
What the backward needs beside its inputs is one state (D, N) every 32 tokens.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import Rows, address, numbers, rows, side_by_side
from core.kernels.native.library import library
from core.kernels.resets import document_starts


def selective_scan_cpp(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    segments: Tensor | None = None,
    lengths: Tensor | None = None,
    final: bool = False,
) -> tuple[Tensor, Tensor | None]:
    starts = None if segments is None else document_starts(segments)
    ends = None if lengths is None else lengths.long()
    return _Scan.apply(u, delta, A, B, C, D, z, delta_bias, initial_state, starts, ends, delta_softplus, final)


class ScanInputs(NamedTuple):
    """What the kernel reads: tensors of tokens by `side_by_side`, the others by `numbers`."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    bias: Tensor | None
    initial: Tensor | None
    starts: Tensor | None
    """(B, T) bool, where documents start."""
    ends: Tensor | None
    """(B,) int64, tokens before the padding."""
    softplus: bool

    def borders(self) -> Tensor:
        """Room for the states that the backward starts from: (B, chunks, N, D)."""
        batch, length, channels = self.u.shape
        chunks = -(-length // library("selective_scan").foretell_scan_chunk())
        return torch.empty(batch, chunks, self.A.shape[1], channels)


class SumsOverTime(NamedTuple):
    """Gradients of what all tokens share, that of the initial state (B, D, N) by row; None where there is none,
    or where nobody wants it."""

    A: Tensor | None
    D: Tensor | None
    bias: Tensor | None
    initial: Tensor | None


def scan_forward(inputs: ScanInputs, y: Tensor, final: Tensor | None, borders: Tensor | None) -> None:
    """Fill y (B, T, D), the last state (B, D, N) and the borders where a backward will follow."""
    call = _arguments(inputs)
    call.y, call.final, call.borders = rows(y), address(final), address(borders)
    _run("forward", call)


def scan_backward(
    inputs: ScanInputs,
    borders: Tensor,
    dy: Tensor,
    dfinal: Tensor | None,
    *,
    du: Tensor,
    ddelta: Tensor,
    dB: Tensor,
    dC: Tensor,
    dz: Tensor | None,
    shared: bool = True,
) -> SumsOverTime:
    """Fill the gradients of the inputs that have a time axis, and return those of the others.

    Args:
        shared: whether those of A, D and the bias are wanted. [Without them the backward takes 3 to 4 % less.]
    """
    call = _arguments(inputs)
    batch, channels, states = len(inputs.u), *inputs.A.shape
    parts = torch.empty(2, -(-channels // call.group), *inputs.B.shape)
    dA = torch.empty(batch, channels, states) if shared else None
    dD, dbias = (torch.empty(batch, channels) if shared and v is not None else None for v in (inputs.D, inputs.bias))
    dinitial = None if inputs.initial is None else torch.empty(batch, channels, states)
    call.borders, call.dfinal, call.dy = address(borders), address(dfinal), rows(dy)
    call.du, call.ddelta, call.dB, call.dC, call.dz = (rows(x) for x in (du, ddelta, dB, dC, dz))
    call.parts_B, call.parts_C = address(parts[0]), address(parts[1])
    call.dA, call.dD, call.dbias, call.dinitial = map(address, (dA, dD, dbias, dinitial))
    _run("backward", call)
    A, D, bias = (None if by_row is None else by_row.sum(0) for by_row in (dA, dD, dbias))
    return SumsOverTime(A, D, bias, dinitial)


class _Arguments(ctypes.Structure):
    """`Scan` of selective_scan.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "channels", "states", "group", "threads", "softplus")),
        *((name, Rows) for name in ("u", "delta", "B", "C", "z")),
        *((name, ctypes.c_void_p) for name in ("A", "D", "bias", "initial", "starts", "ends")),
        ("y", Rows),
        *((name, ctypes.c_void_p) for name in ("final", "borders")),
        ("dy", Rows),
        ("dfinal", ctypes.c_void_p),
        *((name, Rows) for name in ("du", "ddelta", "dB", "dC", "dz")),
        *((name, ctypes.c_void_p) for name in ("parts_B", "parts_C", "dA", "dD", "dbias", "dinitial", "scratch")),
    ]


def _arguments(inputs: ScanInputs) -> _Arguments:
    batch, length, channels = inputs.u.shape
    group, threads = _group(batch, channels), torch.get_num_threads()
    call = _Arguments(batch, length, channels, inputs.A.shape[1], group, threads, inputs.softplus)
    for name in ("u", "delta", "B", "C", "z"):
        setattr(call, name, rows(getattr(inputs, name)))
    for name in ("A", "D", "bias", "initial", "starts", "ends"):
        setattr(call, name, address(getattr(inputs, name)))
    return call


def _group(batch: int, channels: int) -> int:
    """Channels in one piece of work: many share sums over channels, few make more pieces for threads. By the shape
    alone, so that the order of additions is the same with any number of threads."""
    return next((size for size in (128, 64) if batch * channels >= 16 * size), 32)


def _run(direction: str, call: _Arguments) -> None:
    kernels = library("selective_scan")
    kernels.foretell_scan_scratch.restype = ctypes.c_int64
    scratch = torch.empty(call.threads * kernels.foretell_scan_scratch(ctypes.byref(call)))
    call.scratch = scratch.data_ptr()
    getattr(kernels, f"foretell_scan_{direction}")(ctypes.byref(call))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        z: Tensor | None,
        bias: Tensor | None,
        initial: Tensor | None,
        starts: Tensor | None,
        ends: Tensor | None,
        softplus: bool,
        final: bool,
    ) -> tuple[Tensor, Tensor | None]:
        u, delta, B, C = (side_by_side(x) for x in (u, delta, B, C))
        D, bias, initial = (numbers(x) for x in (D, bias, initial))
        inputs = ScanInputs(u, delta, numbers(A), B, C, D, side_by_side(z), bias, initial, starts, ends, softplus)
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        h = torch.empty(len(u), *A.shape) if final else None
        borders = inputs.borders() if any(ctx.needs_input_grad) else None
        scan_forward(inputs, y, h, borders)
        ctx.save_for_backward(*inputs[:-1], borders)
        ctx.softplus = softplus
        ctx.set_materialize_grads(False)
        return y, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        *saved, borders = ctx.saved_tensors
        inputs = ScanInputs._make((*saved, ctx.softplus))
        u, delta, B, C, z = inputs.u, inputs.delta, inputs.B, inputs.C, inputs.z
        dy = torch.zeros_like(u) if dy is None else side_by_side(dy)
        dfinal = None if dfinal is None else numbers(dfinal)
        du, ddelta, dB, dC = (torch.empty(x.shape, dtype=x.dtype) for x in (u, delta, B, C))
        dz = None if z is None else torch.empty(z.shape, dtype=z.dtype)
        shared = any(ctx.needs_input_grad[i] for i in (2, 5, 7))  # A, D, bias
        sums = scan_backward(inputs, borders, dy, dfinal, du=du, ddelta=ddelta, dB=dB, dC=dC, dz=dz, shared=shared)
        return du, ddelta, sums.A, dB, dC, sums.D, dz, sums.bias, sums.initial, None, None, None, None
