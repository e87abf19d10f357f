"""One token further: the recurrences of Mamba-1 and Mamba-2 for a batch of rows, in place, for decoding.

Everything between two matrix products is one call: the step size's softplus, the decay, the state, its reading, the
skip and the gate. The torch functions are the definition; on the CPU without gradients the C++ library does the same.
State and A are at least float32; u, delta, B, C and z may be bfloat16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels.native.step import can_step, selective_scan_step_cpp, ssd_step_cpp
from core.kernels.selective_scan import step_sizes
from core.kernels.wide import wide_dtype


def selective_scan_step(
    state: Tensor,
    u: Tensor,
    delta: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
) -> Tensor:
    """h <- exp(dt A) h + dt u B, y = (h . C + D u) silu(z), with dt = softplus(delta + delta_bias), A = -exp(A_log).

    Args:
        state: h (B, D, N), changed in place.
        u: (B, D) inputs after the convolution.
        delta: (B, D) step sizes before bias and softplus.
        A_log: (D, N).
        B, C: (B, N).
        D: (D,) or None.
        z: (B, D) gate, or None for none.
        delta_bias: (D,) or None.

    The rows of u, delta, B, C and z may be slices of wider ones. Returns y (B, D) in the dtype of u.
    """
    if can_step(state, u, delta, B, C, z):
        return selective_scan_step_cpp(state, u, delta, A_log, B, C, D, z, delta_bias)
    wide = wide_dtype(state.dtype)
    inputs, steps = u.to(wide), step_sizes(delta, delta_bias, True, None, wide)
    state.mul_((steps.unsqueeze(-1) * -A_log.to(wide).exp()).exp())
    state.addcmul_((steps * inputs).unsqueeze(-1), B.to(wide).unsqueeze(1))
    y = torch.bmm(state, C.to(state.dtype).unsqueeze(-1)).squeeze(-1)
    return _gated(y if D is None else y + D * inputs, z).to(u.dtype)


def ssd_step(
    state: Tensor,
    x: Tensor,
    delta: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    delta_bias: Tensor | None = None,
) -> Tensor:
    """h <- exp(dt A) h + dt x B, y = h . C + D x per head, with dt = softplus(delta + delta_bias), A = -exp(A_log).

    Args:
        state: h (B, H, P, N), changed in place.
        x: (B, H, P) inputs after the convolution.
        delta: (B, H) step sizes before bias and softplus.
        A_log: (H,).
        B, C: (B, G, N); H / G neighbouring heads share a group.
        D: (H,) or None.
        delta_bias: (H,) or None.

    Returns y (B, H, P) in the dtype of x.
    """
    if can_step(state, x, delta, B, C):
        return ssd_step_cpp(state, x, delta, A_log, B, C, D, delta_bias)
    wide = wide_dtype(state.dtype)
    batch, _, _, states = state.shape
    rows = batch * B.shape[1]
    inputs, steps = x.to(wide), step_sizes(delta, delta_bias, True, None, wide)
    state.mul_((steps * -A_log.to(wide).exp()).exp()[..., None, None])
    grouped = state.view(rows, -1, states)  # (B G, K P, N): K heads of a group share B and C
    scaled = (inputs * steps.unsqueeze(-1)).reshape(rows, -1, 1)
    grouped.addcmul_(scaled, B.to(wide).reshape(rows, 1, states))
    y = torch.bmm(grouped, C.to(state.dtype).reshape(rows, states, 1)).view_as(inputs)
    return (y if D is None else torch.addcmul(y, inputs, D.to(wide).unsqueeze(-1))).to(x.dtype)


def _gated(y: Tensor, z: Tensor | None) -> Tensor:
    return y if z is None else y * F.silu(z.to(y.dtype))
