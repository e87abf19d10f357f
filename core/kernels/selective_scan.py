"""The selective scan of Mamba-1 (arXiv 2312.00752): its definition, and a loop that saves memory and Python.

    dt = softplus(delta + bias)        h[t] = exp(dt[t] A) h[t-1] + dt[t] u[t] B[t]        per channel, h (N)
    y[t] = (h[t] . C[t] + D u[t]) silu(z[t])

`selective_scan_sequential` is that, differentiated by autograd. `selective_scan_chunked` keeps states at the borders of
chunks only and computes the others again in its backward, so that memory per token does not grow with N. The C++ kernel
is in core/kernels/native.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels import dispatch
from core.kernels.wide import wide_dtype


def selective_scan(
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
    """The recurrence by the best kernel for these inputs; arguments and result as in `selective_scan_sequential`."""
    run = dispatch("selective_scan", u, initial_state, segments, final)
    return run(
        *(u, delta, A, B, C, D),
        z=z,
        delta_bias=delta_bias,
        delta_softplus=delta_softplus,
        initial_state=initial_state,
        segments=segments,
        lengths=lengths,
        final=final,
    )


def selective_scan_sequential(
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
    """The definition, one token after the other.

    Args:
        u: (B, T, D) inputs of D channels.
        delta: (B, T, D) step sizes, before bias and softplus; one of 0 leaves the state as it is.
        A: (D, N) negative.
        B, C: (B, T, N).
        D: (D,) or None.
        z: (B, T, D), the gate before its SiLU, or None for none.
        delta_bias: (D,) or None.
        delta_softplus: whether step sizes are softplus(delta + delta_bias), or the sum itself.
        initial_state: (B, D, N), the state before the row; it belongs to the row's first document.
        segments: (B, T) document ids; the state is 0 at each document's start.
        lengths: (B,) int64, tokens before the padding, which leaves the state as it is; None for all.
        final: whether the last state is wanted.

    Returns y (B, T, D) in the dtype of u and the state after the last token (B, D, N), or None.
    """
    wide = wide_dtype(u.dtype)
    steps = step_sizes(delta, delta_bias, delta_softplus, lengths, wide)
    inputs, A, B, C = (v.to(wide) for v in (u, A, B, C))
    h = inputs.new_zeros(len(u), *A.shape) if initial_state is None else initial_state.to(wide)
    rows = []
    for t in range(u.shape[1]):
        if segments is not None and t > 0:
            h = h * (segments[:, t] == segments[:, t - 1])[:, None, None]
        step = steps[:, t].unsqueeze(-1)  # (B, D, 1)
        h = (step * A).exp() * h + step * inputs[:, t].unsqueeze(-1) * B[:, t].unsqueeze(1)
        rows.append((h * C[:, t].unsqueeze(1)).sum(-1))
    y = torch.stack(rows, 1)
    if D is not None:
        y = y + D.to(wide) * inputs
    return _gated(y, z).to(u.dtype), h if final else None


def step_sizes(
    delta: Tensor, bias: Tensor | None, softplus: bool, lengths: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """softplus(delta + bias) in `dtype`, 0 for padding; delta (B, T, D), or (B, D) without lengths."""
    steps = delta.to(dtype)
    if bias is not None:
        steps = steps + bias.to(dtype)
    if softplus:
        steps = F.softplus(steps)
    if lengths is not None:
        steps = steps * (torch.arange(delta.shape[1], device=delta.device) < lengths[:, None]).unsqueeze(-1)
    return steps


def _gated(y: Tensor, z: Tensor | None) -> Tensor:
    return y if z is None else y * F.silu(z).to(y.dtype)


CHUNK = 8
"""Tokens whose states are held at once: (B, 8, N, D) float32 stays in the cache at training widths."""


def selective_scan_chunked(
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
    """The same with an own backward; arguments and result as above."""
    wide = wide_dtype(u.dtype)
    keep = None
    if segments is not None:
        keep = F.pad((segments[:, 1:] == segments[:, :-1]), (1, 0), value=True).to(wide)  # (B, T)
    start = u.new_zeros(len(u), *A.shape, dtype=wide) if initial_state is None else initial_state.to(wide)
    inputs = u.to(wide)
    with torch.autocast(u.device.type, enabled=False):  # the scan's own products stay wide
        y, h = _Scan.apply(
            inputs,
            step_sizes(delta, delta_bias, delta_softplus, lengths, wide),
            A.t().to(wide).contiguous(),
            B.to(wide),
            C.to(wide),
            start.transpose(1, 2).contiguous(),
            keep,
        )
    if D is not None:
        y = torch.addcmul(y, inputs, D.to(wide))
    return _gated(y, z).to(u.dtype), h.transpose(1, 2) if final else None


class _Scan(torch.autograd.Function):
    """States are (B, N, D) in here: the long axis D is the innermost, which vectorises."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, start: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        h, borders, outputs = start, [], []
        for at in range(0, u.shape[1], CHUNK):
            part = slice(at, at + CHUNK)
            borders.append(h)
            _, states = _chunk_states(
                h, u[:, part], delta[:, part], A, B[:, part], None if keep is None else keep[:, part]
            )
            outputs.append((C[:, part].unsqueeze(2) @ states).squeeze(2))
            h = states[:, -1].clone()
        ctx.save_for_backward(u, delta, A, B, C, torch.stack(borders), keep)
        return torch.cat(outputs, 1), h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, borders, keep = ctx.saved_tensors
        du, ddelta, dB, dC = (torch.empty_like(v) for v in (u, delta, B, C))
        dA = torch.zeros_like(A)
        g = dh  # gradient that reaches the state after the chunk
        for i in range(len(borders) - 1, -1, -1):
            part = slice(i * CHUNK, (i + 1) * CHUNK)
            u_i, delta_i, B_i, C_i, dy_i = u[:, part], delta[:, part], B[:, part], C[:, part], dy[:, part]
            decay, states = _chunk_states(borders[i], u_i, delta_i, A, B_i, None if keep is None else keep[:, part])
            dC[:, part] = (states @ dy_i.unsqueeze(-1)).squeeze(-1)
            grads = C_i.unsqueeze(-1) * dy_i.unsqueeze(2)  # (B, L, N, D), to become the states' gradients
            grads[:, -1] += g
            for t in range(grads.shape[1] - 1, 0, -1):
                grads[:, t - 1].addcmul_(decay[:, t], grads[:, t])
            g = decay[:, 0] * grads[:, 0]
            through_input = (B_i.unsqueeze(2) @ grads).squeeze(2)  # (B, L, D)
            dB[:, part] = (grads @ (delta_i * u_i).unsqueeze(-1)).squeeze(-1)
            du[:, part] = through_input * delta_i
            # d/d(delta A) = grads * decay * (the state before)
            decay.mul_(grads)
            decay[:, 1:].mul_(states[:, :-1])
            decay[:, 0].mul_(borders[i])
            ddelta[:, part] = (decay * A).sum(2).addcmul_(through_input, u_i)
            dA += decay.mul_(delta_i.unsqueeze(2)).sum((0, 1))
        return du, ddelta, dA, dB, dC, g, None


def _chunk_states(
    h: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Decays and states (B, L, N, D) of one chunk that starts from h (B, N, D)."""
    decay = (delta.unsqueeze(2) * (A * math.log2(math.e))).exp2_()  # a third of exp's time on the CPU
    if keep is not None:
        decay.mul_(keep[:, :, None, None])
    states = (delta * u).unsqueeze(2) * B.unsqueeze(-1)
    for t in range(states.shape[1]):
        states[:, t].addcmul_(decay[:, t], h)
        h = states[:, t]
    return decay, states
