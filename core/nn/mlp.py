"""The gated MLP of attention blocks (SwiGLU, arXiv 2002.05202): value and gate come from one matrix.

It knows nothing of time: every token is worked on alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.kernels.native import swiglu as native


class _SwiGLU(torch.autograd.Function):
    """Keeps only its input and writes both gradients into one buffer; autograd would keep three and concatenate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        value, gate = x.chunk(2, -1)
        return F.silu(gate).mul_(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        value, gate = x.chunk(2, -1)
        dx = torch.empty_like(x)
        dvalue, dgate = dx.chunk(2, -1)
        torch.ops.aten.silu.out(gate, out=dvalue)
        dvalue.mul_(grad)
        torch.mul(grad, value, out=dgate)
        torch.ops.aten.silu_backward.grad_input(dgate, gate, grad_input=dgate)
        return dx


def swiglu(x: Tensor) -> Tensor:
    """(..., 2 h), value then gate -> (..., h)."""
    return (native.SwiGLU if native.usable(x) else _SwiGLU).apply(x)


class GatedMLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * hidden, bias=False)  # [value, gate]
        self.fc2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.fc2(swiglu(self.fc1(x)))
