"""The dual recurrence of Mamba-2 by the C++ kernel: ssd.cpp with autograd around it.

Arguments as in core.kernels.ssd. Inputs and outputs are float32 or bfloat16, in which matrices are then multiplied
where the CPU can; decays, states and sums are float32. What the backward needs beside its inputs is one state (P, N)
a head every `chunk` tokens.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import Rows, address, numbers, readable, rows
from core.kernels.native.library import library
from core.kernels.resets import document_starts
from core.kernels.ssd import CHUNK


def ssd_cpp(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    segments: Tensor | None = None,
    final: bool = False,
    chunk: int = 0,
) -> tuple[Tensor, Tensor | None]:
    starts = None if segments is None else document_starts(segments)
    return _SSD.apply(x, dt, A, B, C, D, initial_state, starts, final, chunk or CHUNK)


class SSDInputs(NamedTuple):
    """What the kernel reads: x, B and C by `together` in one dtype, dt by it in float32, the others by `numbers`."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    initial: Tensor | None
    starts: Tensor | None
    """(B, T) bool, where documents start."""
    chunk: int

    def kept(self) -> Tensor:
        """Room for the states that the backward starts from."""
        batch, length, heads, _ = self.x.shape
        return torch.empty(batch, -(-length // self.chunk), heads, _count("kept", _arguments(self)))


class SumsOverTime(NamedTuple):
    """Gradients of what all tokens share, each (B, H, ...) by row of the batch."""

    A: Tensor
    D: Tensor
    initial: Tensor


def ssd_forward(inputs: SSDInputs, y: Tensor, final: Tensor | None, kept: Tensor | None) -> None:
    """Fill y (B, T, H, P), the last state (B, H, P, N), and `kept` where a backward will follow."""
    call = _arguments(inputs)
    call.y, call.final, call.kept = rows(y), address(final), address(kept)
    _run("forward", call)


def ssd_backward(
    inputs: SSDInputs,
    kept: Tensor,
    dy: Tensor,
    dfinal: Tensor | None,
    *,
    dx: Tensor,
    ddt: Tensor,
    dB: Tensor,
    dC: Tensor,
) -> SumsOverTime:
    """Fill the gradients of the inputs that have a time axis, and return those of the others."""
    call = _arguments(inputs)
    batch, length, groups, states = inputs.B.shape
    heads, channels = inputs.x.shape[2:]
    parts = torch.empty(2, batch, length, call.parts, groups * states) if call.parts > 1 else None
    shared = SumsOverTime(
        torch.empty(batch, heads), torch.empty(batch, heads), torch.empty(batch, heads, channels, states)
    )
    call.y, call.final, call.kept = rows(dy), address(dfinal), address(kept)
    call.dx, call.ddt, call.dB, call.dC = (rows(v) for v in (dx, ddt, dB, dC))
    if parts is not None:
        call.parts_B, call.parts_C = address(parts[0]), address(parts[1])
    call.dA, call.dD, call.dinitial = address(shared.A), address(shared.D), address(shared.initial)
    if inputs.initial is None:
        call.dinitial = None
    _run("backward", call)
    return shared


class _Arguments(ctypes.Structure):
    """`Call` of ssd_piece.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "heads", "groups", "channels", "states")),
        *((name, ctypes.c_int64) for name in ("chunk", "parts", "threads")),
        *((name, Rows) for name in ("x", "dt", "B", "C", "y")),
        *((name, ctypes.c_void_p) for name in ("A", "D", "initial", "starts", "final", "kept")),
        *((name, Rows) for name in ("dx", "ddt", "dB", "dC")),
        *((name, ctypes.c_void_p) for name in ("parts_B", "parts_C", "dA", "dD", "dinitial", "scratch")),
    ]


def _arguments(inputs: SSDInputs) -> _Arguments:
    batch, length, heads, channels = inputs.x.shape
    groups, states = inputs.B.shape[2:]
    threads = torch.get_num_threads()
    call = _Arguments(batch, length, heads, groups, channels, states, inputs.chunk)
    call.parts, call.threads = _parts(batch * groups, heads // groups, threads), threads
    for name in ("x", "dt", "B", "C"):
        setattr(call, name, rows(getattr(inputs, name)))
    for name in ("A", "D", "initial", "starts"):
        setattr(call, name, address(getattr(inputs, name)))
    return call


def _run(direction: str, call: _Arguments) -> None:
    scratch = torch.empty(call.threads, _count("scratch", call))
    call.scratch = address(scratch)
    getattr(library("ssd"), f"foretell_ssd_{direction}")(ctypes.byref(call))


def _count(what: str, call: _Arguments) -> int:
    """Floats that the kernel wants for it."""
    function = getattr(library("ssd"), f"foretell_ssd_{what}")
    function.restype = ctypes.c_int64
    return int(function(ctypes.byref(call)))


def _parts(groups: int, heads: int, threads: int) -> int:
    """Into how many pieces of work the heads of each of all rows' groups are divided: as few as keep the threads busy,
    since every piece computes what its heads share."""
    parts = 1
    while groups * parts % threads and groups * parts < 4 * threads and heads % (2 * parts) == 0:
        parts *= 2
    return parts


class _SSD(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        initial: Tensor | None,
        starts: Tensor | None,
        final: bool,
        chunk: int,
    ) -> tuple[Tensor, Tensor | None]:
        x, dt = together(readable(x)), together(dt.float())
        B, C = together(B.to(x.dtype)), together(C.to(x.dtype))
        inputs = SSDInputs(x, dt, numbers(A), B, C, numbers(D), numbers(initial), starts, chunk)
        y = torch.empty(x.shape, dtype=x.dtype)
        h = torch.empty(len(x), *x.shape[2:], B.shape[3]) if final else None
        kept = inputs.kept() if any(ctx.needs_input_grad) else None
        ssd_forward(inputs, y, h, kept)
        ctx.save_for_backward(*inputs[:-1], kept)
        ctx.chunk = chunk
        ctx.set_materialize_grads(False)
        return y, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, initial, starts, kept = ctx.saved_tensors
        inputs = SSDInputs(x, dt, A, B, C, D, initial, starts, ctx.chunk)
        dy = torch.zeros_like(inputs.x) if dy is None else together(dy)
        dx, ddt, dB, dC = (torch.empty(v.shape, dtype=v.dtype) for v in (inputs.x, inputs.dt, inputs.B, inputs.C))
        shared = ssd_backward(inputs, kept, dy, numbers(dfinal), dx=dx, ddt=ddt, dB=dB, dC=dC)
        dD, dinitial = (None if v is None else d for v, d in zip((inputs.D, inputs.initial), shared[1:], strict=True))
        return dx, ddt, shared.A.sum(0), dB, dC, None if dD is None else dD.sum(0), dinitial, None, None, None


def together(x: Tensor) -> Tensor:
    """x (B, T, ...) with all that belongs to a token in neighbouring elements: itself where it is so."""
    expected = 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:]), strict=True):
        if size > 1 and stride != expected:
            return x.contiguous()
        expected *= size
    return x
