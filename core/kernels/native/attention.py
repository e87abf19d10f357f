"""Causal attention by the C++ kernel: attention.cpp with autograd around it.

From the fused projections to the weighted values in one pass: norm of queries and keys, rotation, softmax. What the
backward needs beside its input are the outputs and one number per query, so memory is linear in the length. [8 rows of
512, 4 heads of 64 channels, one thread, forward and backward: 61 ms in float32 and 35 ms in bfloat16, where the torch
path takes 123 ms and 72 ms.]
Of a row's last tile only the strips that hold tokens are worked on: rows of 8 take a third of a whole tile's time.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.kernels.native.layout import DTYPES, address
from core.kernels.native.library import library, wanted


def usable(qkv: Tensor) -> bool:
    """Whether the kernel takes this tensor, is allowed and could be built."""
    return qkv.device.type == "cpu" and qkv.dtype in DTYPES and qkv.is_contiguous() and wanted("attention")


def attend(
    qkv: Tensor,
    q_weight: Tensor | None,
    k_weight: Tensor | None,
    rotation: Tensor,
    *,
    heads: int,
    key_heads: int,
    window: int,
    eps: float,
) -> Tensor:
    """(B, T, H + 2 G, C) -> (B, T, H, C): each position over itself and those before it in its row.

    Args:
        qkv: contiguous float32 or bfloat16, H query heads, G key heads, G of values.
        q_weight, k_weight: (C,) of the norms; both None for no norm.
        rotation: (T, 2, C) or (B, T, 2, C) float32, as `core.nn.rotary.rotations` gives.
        window: positions seen at most, itself included; 0 for all.
    """
    if q_weight is not None and k_weight is not None:
        q_weight, k_weight = q_weight.float(), k_weight.float()
    return _Attention.apply(qkv, q_weight, k_weight, rotation, heads, key_heads, window, eps)


class _Arguments(ctypes.Structure):
    """`Attention` of heads.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("dtype", "batch", "length", "heads", "groups", "channels", "window", "threads")
        ),
        ("eps", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("qkv", "q_weight", "k_weight", "rotation")),
        ("rotation_row", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("y", "logs", "dy", "dqkv", "dq_weight", "dk_weight")),
    ]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        rotation: Tensor,
        heads: int,
        groups: int,
        window: int,
        eps: float,
    ) -> Tensor:
        batch, length, _, channels = qkv.shape
        y = qkv.new_empty(batch, length, heads, channels)
        logs = qkv.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.shape = (batch, length, heads, groups, channels, window)
        ctx.eps = eps
        call = _arguments(ctx, qkv, q_weight, k_weight, rotation, y, logs)
        library("attention").foretell_attention_forward(ctypes.byref(call))
        ctx.save_for_backward(qkv, q_weight, k_weight, rotation, y, logs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        qkv, q_weight, *_ = ctx.saved_tensors
        batch, _, _, groups, channels, _ = ctx.shape
        call = _arguments(ctx, *ctx.saved_tensors)
        dy, dqkv = dy.to(qkv.dtype).contiguous(), torch.empty_like(qkv)
        dweights = qkv.new_zeros(2, batch * groups, channels, dtype=torch.float32)
        call.dy, call.dqkv, call.dq_weight, call.dk_weight = map(address, (dy, dqkv, *dweights))
        library("attention").foretell_attention_backward(ctypes.byref(call))
        dq_weight, dk_weight = (None, None) if q_weight is None else dweights.sum(1)
        return dqkv, dq_weight, dk_weight, None, None, None, None, None


def _arguments(
    ctx: Any,
    qkv: Tensor,
    q_weight: Tensor | None,
    k_weight: Tensor | None,
    rotation: Tensor,
    y: Tensor,
    logs: Tensor,
) -> _Arguments:
    call = _Arguments(DTYPES[qkv.dtype], *ctx.shape, torch.get_num_threads(), ctx.eps)
    call.qkv, call.q_weight, call.k_weight, call.rotation = map(address, (qkv, q_weight, k_weight, rotation))
    call.rotation_row = rotation.stride(0) if rotation.ndim == 4 else 0
    call.y, call.logs = address(y), address(logs)
    return call
