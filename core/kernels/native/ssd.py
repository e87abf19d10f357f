"""The dual recurrence of Mamba-2 by the C++ kernel: ssd.cpp with autograd around it.

Arguments as in core.kernels.ssd. Inputs and outputs are float32 or bfloat16, in which matrices are then multiplied
where the CPU can; decays, states and sums are float32. What the backward needs beside its inputs is one state (P, N)
a head every `chunk` tokens.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import Rows, address, readable, rows
from core.kernels.native.library import library
from core.kernels.resets import document_starts

CHUNK = 64
"""Tokens a chunk. [At 64 channels and 64 or 128 states a head 32 and 128 take 0 to 10 % longer.]"""


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
    x = readable(x)
    starts = None if segments is None else document_starts(segments)
    D, initial_state = (None if v is None else v.float() for v in (D, initial_state))
    return _SSD.apply(
        *(x, dt.float(), A.float(), B.to(x.dtype), C.to(x.dtype), D, initial_state), starts, final, chunk or CHUNK
    )


class _Arguments(ctypes.Structure):
    """`Call` of ssd.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "heads", "groups", "channels", "states")),
        *((name, ctypes.c_int64) for name in ("chunk", "parts", "threads")),
        *((name, Rows) for name in ("x", "dt", "B", "C", "y")),
        *((name, ctypes.c_void_p) for name in ("A", "D", "initial", "starts", "final", "kept")),
        *((name, Rows) for name in ("dx", "ddt", "dB", "dC")),
        *((name, ctypes.c_void_p) for name in ("dA", "dD", "dinitial", "scratch")),
    ]


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
        x, dt, B, C = (_tokens_side_by_side(v) for v in (x, dt, B, C))
        A, (D, initial) = A.contiguous(), (None if v is None else v.contiguous() for v in (D, initial))
        call = _arguments(x, dt, A, B, C, D, initial, starts, chunk)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        batch, _, heads, channels = x.shape
        h = A.new_empty(batch, heads, channels, B.shape[3]) if final else None
        call.y, call.final = rows(y), address(h)
        kept = None
        if any(ctx.needs_input_grad):
            kept = A.new_empty(batch, -(-x.shape[1] // chunk), heads, _count("kept", call))
            call.kept = address(kept)
        _run("forward", call)
        ctx.save_for_backward(x, dt, A, B, C, D, initial, starts, kept)
        ctx.chunk = chunk
        ctx.set_materialize_grads(False)
        return y, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, initial, starts, kept = ctx.saved_tensors
        call = _arguments(x, dt, A, B, C, D, initial, starts, ctx.chunk)
        dy = torch.zeros_like(x) if dy is None else _tokens_side_by_side(dy)
        dh = None if dh is None else dh.contiguous()
        dx, ddt = (torch.empty_like(v, memory_format=torch.contiguous_format) for v in (x, dt))
        batch, length, groups, states = B.shape
        shared = B.dtype if call.parts == 1 else torch.float32
        dB, dC = (B.new_empty(batch, length, call.parts, groups, states, dtype=shared) for _ in range(2))
        dA, dD = (A.new_empty(batch, len(A)) for _ in range(2))
        dinitial = None if initial is None else torch.empty_like(initial)
        call.y, call.final, call.kept = rows(dy), address(dh), address(kept)
        call.dx, call.ddt, call.dB, call.dC = (rows(v) for v in (dx, ddt, dB, dC))
        call.dA, call.dD, call.dinitial = address(dA), None if D is None else address(dD), address(dinitial)
        _run("backward", call)
        dB, dC = (v.squeeze(2) if call.parts == 1 else v.sum(2).to(B.dtype) for v in (dB, dC))
        return dx, ddt, dA.sum(0), dB, dC, None if D is None else dD.sum(0), dinitial, None, None, None


def _arguments(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    initial: Tensor | None,
    starts: Tensor | None,
    chunk: int,
) -> _Arguments:
    batch, length, heads, channels = x.shape
    groups, states = B.shape[2:]
    threads = torch.get_num_threads()
    call = _Arguments(batch, length, heads, groups, channels, states, chunk)
    call.parts, call.threads = _parts(batch * groups, heads // groups, threads), threads
    call.x, call.dt, call.B, call.C = (rows(v) for v in (x, dt, B, C))
    call.A, call.D, call.initial, call.starts = (address(v) for v in (A, D, initial, starts))
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
    """Into how many pieces of work the heads of each of all rows' groups are divided.

    One where that keeps the threads busy, since every piece computes what its heads share.
    """
    parts = 1
    while groups % threads and groups * parts < 4 * threads and heads % (2 * parts) == 0:
        parts *= 2
    return parts


def _tokens_side_by_side(x: Tensor) -> Tensor:
    """x (B, T, ...) with all that belongs to a token in neighbouring elements: itself where it is so."""
    expected = 1
    for size, stride in zip(reversed(x.shape[2:]), reversed(x.stride()[2:]), strict=True):
        if size > 1 and stride != expected:
            return x.contiguous()
        expected *= size
    return x
