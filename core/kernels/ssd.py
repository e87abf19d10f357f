"""The state-space dual recurrence of Mamba-2 (arXiv 2405.21060): its definition, and the chunked matrix form.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]^T        y[t] = h[t] C[t] + D x[t]        per head, h (P, N)

`ssd_sequential` is that loop. `ssd_chunked` cuts time into chunks: inside a chunk the map from x to y is one lower
triangular matrix, between chunks a state is handed on (section 6). Decays are float32, matrices have the dtype of x.
The C++ kernel, which does the same without writing those matrices to memory, is in core/kernels/native.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels import dispatch
from core.kernels.resets import document_runs
from core.kernels.wide import start_state, wide_dtype


def ssd(
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
    """The recurrence by the best kernel for these inputs; arguments and result as in `ssd_sequential`.

    `chunk` is a chunked kernel's chunk length, which changes nothing but speed; 0 leaves it to the kernel.
    """
    run = dispatch("ssd", x, initial_state, segments, final)
    return run(x, dt, A, B, C, D, initial_state=initial_state, segments=segments, final=final, chunk=chunk)


def ssd_sequential(
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
) -> tuple[Tensor, Tensor | None]:
    """The definition, one token after the other.

    Args:
        x: (B, T, H, P) inputs of H heads of P channels.
        dt: (B, T, H) step sizes, not negative; 0 leaves the state as it is.
        A: (H,) negative.
        B, C: (B, T, G, N); heads h G/H .. share a group.
        D: (H,) or None.
        initial_state: (B, H, P, N), the state before the row; it belongs to the row's first document.
        segments: (B, T) document ids; the state is 0 at each document's start.
        final: whether the last state is wanted.

    Returns y (B, T, H, P) in the dtype of x and the state after the last token (B, H, P, N), or None.
    """
    batch, length, heads, channels = x.shape
    dtype, each = wide_dtype(x.dtype), heads // B.shape[2]
    inputs, dt, A = x.to(dtype), dt.to(dtype), A.to(dtype)
    B, C = (v.to(dtype).repeat_interleave(each, 2) for v in (B, C))
    h = start_state(initial_state, x, batch, heads, channels, B.shape[-1])
    rows = []
    for t in range(length):
        if segments is not None and t > 0:
            h = h * (segments[:, t] == segments[:, t - 1])[:, None, None, None]
        step = dt[:, t, :, None, None]
        h = (step * A[:, None, None]).exp() * h + step * inputs[:, t, :, :, None] * B[:, t, :, None, :]
        rows.append((h * C[:, t, :, None, :]).sum(-1))
    y = torch.stack(rows, 1)
    if D is not None:
        y = y + D.to(dtype)[:, None] * inputs
    return y.to(x.dtype), h if final else None


CHUNK = 64
"""Tokens a chunk. [For 32 or 64 channels, 16 to 128 states and 256 to 2,048 tokens the best of 32, 64 and 128, or
within 12 % of it.]"""


def ssd_chunked(
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
    """The same by matrix products over chunks of `chunk` tokens (0: 64). Arguments and result as in `ssd_sequential`.

    The state is float32 (float64 for such inputs), products have the dtype of x. At a step of size 0 the gradient by dt
    lacks the part that goes through the input.
    """
    batch, length, heads, channels = x.shape
    groups, states = B.shape[2:]
    dtype = wide_dtype(x.dtype)
    size = min(chunk or CHUNK, length)
    pad = -length % size
    runs = None if segments is None else document_runs(segments)
    if pad:  # steps of size 0 change no state
        x, B, C = (F.pad(v, (0, 0, 0, 0, 0, pad)) for v in (x, B, C))
        dt = F.pad(dt, (0, 0, 0, pad))
        runs = None if runs is None else F.pad(runs.float(), (0, pad), mode="replicate")
    start = start_state(initial_state, x, batch, heads, channels, states)
    start = start.reshape(batch, groups, -1, states).transpose(2, 3)
    skip = None if D is None else D.to(dtype)
    with torch.autocast(x.device.type, enabled=False):  # the dtype of x decides
        y, h = _ChunkedSSD.apply(x, dt.to(dtype), A.to(dtype), B.to(x.dtype), C.to(x.dtype), skip, start, runs, size)
    y = y[:, :length] if pad else y
    return y, h.transpose(2, 3).reshape(batch, heads, channels, states) if final else None


class _ChunkedSSD(torch.autograd.Function):
    """Shapes: n chunks of all rows, L tokens a chunk, H heads = G groups of K, P channels, N states.

    Tokens are laid out (n, L, H, P) for products with states, which all heads of a group share, and (n, H, L, P) for
    products with each head's own (L, L) matrix. Gradients of decays are taken by the logarithm of the weights and
    summed in float32, where the sums over later and earlier tokens cancel exactly.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        start: Tensor,
        runs: Tensor | None,
        size: int,
    ) -> tuple[Tensor, Tensor]:
        batch, length, heads, channels = x.shape
        groups = B.shape[2]
        weights, from_start, to_end, keep = _chunk_weights(dt, A, runs, size, x.dtype)
        B, C = (v.reshape(-1, size, groups, v.shape[3]).transpose(1, 2) for v in (B, C))  # (n, G, L, N)
        x = x.reshape(-1, size, heads, channels)
        # inside a chunk: y[i] = sum_j<=i (C[i] . B[j]) weights[i, j] x[j]
        scores = C @ B.transpose(-1, -2)  # (n, G, L, L)
        mixing = _by_group(weights, groups) * scores.unsqueeze(2)
        mixing = mixing.flatten(1, 2)  # (n, H, L, L)
        if D is not None:
            mixing.diagonal(dim1=-2, dim2=-1).add_(D.unsqueeze(-1))
        inside = mixing @ x.transpose(1, 2).contiguous()  # (n, H, L, P)
        # between chunks: a state is added to and handed on
        added = B.transpose(-1, -2) @ _grouped(x * to_end.unsqueeze(-1), groups)  # (n, G, N, K P)
        starts, h = _hand_on(start, added, keep, x.dtype)
        carried = C @ starts.flatten(0, 1)  # (n, G, L, K P)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        torch.addcmul(inside.transpose(1, 2), _ungrouped(carried, channels), from_start.unsqueeze(-1), out=y)
        ctx.save_for_backward(x, dt, A, B, C, weights, from_start, to_end, keep, scores, mixing, starts, carried)
        ctx.skip = D is not None
        return y.view(batch, length, heads, channels), h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, weights, from_start, to_end, keep, scores, mixing, starts, carried = ctx.saved_tensors
        _, size, heads, channels = x.shape
        groups, dtype, sums = B.shape[1], x.dtype, dt.dtype
        shape = dy.shape
        dy = dy.reshape(-1, size, heads, channels)
        dy_head = dy.transpose(1, 2).contiguous()
        dx_head = mixing.transpose(-1, -2) @ dy_head
        dmixing = dy_head @ x.transpose(1, 2).contiguous().transpose(-1, -2)  # (n, H, L, L)
        dD = dmixing.diagonal(dim1=-2, dim2=-1).sum((0, 2), dtype=sums) if ctx.skip else None
        dweighted = _by_group(dmixing.mul_(weights), groups)
        dscores = dweighted.sum(2)
        dlog = dweighted.mul_(scores.unsqueeze(2)).flatten(1, 2)  # by the logarithm of each weight
        dlog = dlog.to(sums)
        by_query, by_key = dlog.sum(-1).transpose(1, 2), dlog.sum(-2).transpose(1, 2)  # (n, L, H)

        dcarried = dy * from_start.unsqueeze(-1)
        by_query += (dcarried * _ungrouped(carried, channels)).sum(-1)
        dcarried = _grouped(dcarried, groups)
        # gradients of the states after each chunk
        ends, dstart = _hand_back(dh, C.transpose(-1, -2) @ dcarried, keep, dtype)
        by_chunk = _per_head_sum(ends * starts, channels) * keep  # (batch, chunks, H)
        starts, ends = starts.flatten(0, 1), ends.flatten(0, 1)
        weighted = _grouped(x * to_end.unsqueeze(-1), groups)
        dC = dscores @ B + dcarried @ starts.transpose(-1, -2)
        dB = dscores.transpose(-1, -2) @ C + weighted @ ends.transpose(-1, -2)
        dx_state = _ungrouped(B @ ends, channels) * to_end.unsqueeze(-1)  # (n, L, H, P)
        by_end = (x * dx_state).sum(-1).to(sums)
        dx = dx_state.add_(dx_head.transpose(1, 2))

        by_gain = by_key + by_end
        by_decay = by_query - by_gain
        by_decay[:, -1] += by_end.sum(1) + by_chunk.flatten(0, 1)
        by_rate = by_decay.flip(1).cumsum(1).flip(1).view(dt.shape)  # by dt A
        ddt = torch.where(dt > 0, by_gain.reshape(dt.shape) / dt, 0.0) + by_rate * A
        dA = (by_rate * dt).sum((0, 1))
        dB, dC = (v.transpose(1, 2).reshape(*shape[:2], groups, -1) for v in (dB, dC))
        return dx.reshape(shape), ddt, dA, dB, dC, dD, dstart, None, None


def _chunk_weights(
    dt: Tensor, A: Tensor, runs: Tensor | None, size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From steps (batch, T, H), for chunks of `size` tokens:

    weights (n, H, L, L) exp(decay from j to i) dt[j], 0 for j > i; to_end (n, L, H) exp(decay to the last token) dt[j];
    from_start (n, L, H) exp(decay from the chunk's start); keep (batch, chunks, H) exp(decay over the chunk), float32.
    0 where a document's border lies between. Logarithms are to base 2: exp2 takes a third of exp's time on the CPU.
    """
    batch, _, heads = dt.shape
    steps = dt.reshape(-1, size, heads)
    # what a stronger decay leaves is lost in rounding anyway, and large sums would lose the weak decays beside it
    least = 2 * math.log2(torch.finfo(dt.dtype).eps)
    decay = (steps * (A * math.log2(math.e))).clamp(min=least).cumsum(1)  # (n, L, H), up to and with the token
    gain = steps.clamp(min=torch.finfo(dt.dtype).tiny).log2() - decay
    by_head = [v.transpose(1, 2).contiguous() for v in (decay, gain)]  # else the sum is laid out heads innermost
    logs = by_head[0].unsqueeze(-1) + by_head[1].unsqueeze(-2)
    later = torch.full((size, size), -torch.inf, device=dt.device, dtype=dt.dtype).triu(1)
    from_start, to_end, keep = decay, decay[:, -1:] + gain, decay[:, -1]
    if runs is None:
        logs += later
    else:
        runs = runs.view(batch, -1, size)
        before = torch.cat((runs[:, :1, 0], runs[:, :-1, -1]), 1).view(-1, 1)  # whose state is handed on to the chunk
        runs = runs.view(-1, size)
        logs += later.masked_fill(runs.unsqueeze(-1) != runs.unsqueeze(-2), -torch.inf).unsqueeze(1)
        from_start = from_start.masked_fill((runs != before).unsqueeze(-1), -torch.inf)
        to_end = to_end.masked_fill((runs != runs[:, -1:]).unsqueeze(-1), -torch.inf)
        keep = keep.masked_fill(runs[:, -1:] != before, -torch.inf)
    weights = logs.exp2_().to(dtype)
    return weights, from_start.exp2().to(dtype), to_end.exp2().to(dtype), keep.exp2().view(batch, -1, heads)


def _hand_on(start: Tensor, added: Tensor, keep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """States (batch, chunks, G, N, K P) at the start of each chunk in `dtype`, and the last one."""
    batch, chunks, _ = keep.shape
    added = added.view(batch, chunks, *start.shape[1:])
    factors = _per_channel(keep, start)
    states = start.new_empty(batch, chunks + 1, *start.shape[1:])
    states[:, 0] = start
    for c in range(chunks):
        torch.mul(factors[:, c], states[:, c], out=states[:, c + 1])
        states[:, c + 1] += added[:, c]
    return states[:, :-1].to(dtype, memory_format=torch.contiguous_format), states[:, -1].clone()


def _hand_back(dh: Tensor, dstarts: Tensor, keep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Gradients of the states after each chunk (batch, chunks, G, N, K P) in `dtype`, and of that before the first."""
    batch, chunks, _ = keep.shape
    dstarts = dstarts.view(batch, chunks, *dh.shape[1:])
    factors = _per_channel(keep, dh)
    states = dh.new_empty(batch, chunks + 1, *dh.shape[1:])
    states[:, -1] = dh
    for c in range(chunks - 1, -1, -1):
        torch.mul(factors[:, c], states[:, c + 1], out=states[:, c])
        states[:, c] += dstarts[:, c]
    return states[:, 1:].to(dtype, memory_format=torch.contiguous_format), states[:, 0]


def _per_channel(keep: Tensor, h: Tensor) -> Tensor:
    """(batch, chunks, H) -> (batch, chunks, G, 1, K P) for states h (batch, G, N, K P)."""
    channels = h.shape[1] * h.shape[3] // keep.shape[2]
    return keep.repeat_interleave(channels, -1).view(*keep.shape[:2], h.shape[1], 1, h.shape[3])


def _per_head_sum(states: Tensor, channels: int) -> Tensor:
    """(batch, chunks, G, N, K P) -> (batch, chunks, H)."""
    return states.sum(-2).unflatten(-1, (-1, channels)).sum(-1).flatten(2)


def _by_group(matrices: Tensor, groups: int) -> Tensor:
    """(n, H, L, L) -> (n, G, K, L, L)."""
    return matrices.unflatten(1, (groups, -1))


def _grouped(x: Tensor, groups: int) -> Tensor:
    """(n, L, H, P) -> (n, G, L, K P)."""
    return x.flatten(2).unflatten(-1, (groups, -1)).transpose(1, 2)


def _ungrouped(x: Tensor, channels: int) -> Tensor:
    """(n, G, L, K P) -> (n, L, H, P)."""
    return x.transpose(1, 2).flatten(2).unflatten(-1, (-1, channels))
