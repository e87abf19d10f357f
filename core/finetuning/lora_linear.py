"""peft's LoRA layer with a cheaper step: the branch is added into the projection's own output.

    y = x W^T + b        y += scale (x A^T) B^T, in place

peft's forward scales the branch and adds it in passes of their own over tensors of y's size, and so does its backward.
[benchmarks/adapters.py, m models in fp32: a step of lora takes 71 to 81 % of one that trains all weights; with peft's
forward, 81 to 92 %.] Merging, saving and loading are peft's. peft is needed to import this file.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class LoraLinear(Linear):
    """A frozen projection with one plain LoRA branch; whatever else peft's layer can do is left to peft's forward."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., K) -> (..., N)."""
        name = None if args or kwargs else self._plain_branch()
        dtype = None if name is None else self._dtype(x, name)
        if name is None or dtype is None:
            return super().forward(x, *args, **kwargs)
        base = self.get_base_layer()
        weights = (base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight)
        weight, bias, down, up = (None if v is None else v.to(dtype) for v in weights)
        y = _LowRank.apply(x.reshape(-1, x.shape[-1]).to(dtype), weight, bias, down, up, self.scaling[name])
        return y.view(*x.shape[:-1], base.out_features)

    def _plain_branch(self) -> str | None:
        """The name of the only branch that is on, where it is without dropout, variant, bias or hooks."""
        on = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(on) != 1 or on[0] in self.lora_variant:
            return None
        base, branch = self.get_base_layer(), (self.lora_A[on[0]], self.lora_B[on[0]])
        plain = (
            type(self.lora_dropout[on[0]]) is nn.Identity
            and all(type(layer) is nn.Linear for layer in (base, *branch))
            and all(layer.bias is None for layer in branch)
            and not any(parameter.requires_grad for parameter in base.parameters())
            and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in (base, *branch))
        )
        return on[0] if plain else None

    def _dtype(self, x: Tensor, name: str) -> torch.dtype | None:
        """In which matrices are multiplied: autocast's, or the one that all of them have."""
        layers = (self.get_base_layer(), self.lora_A[name], self.lora_B[name])
        dtypes = {x.dtype, *(layer.weight.dtype for layer in layers)}
        if torch.is_autocast_enabled(x.device.type) and torch.float64 not in dtypes:
            return torch.get_autocast_dtype(x.device.type)
        return x.dtype if len(dtypes) == 1 else None


class _LowRank(torch.autograd.Function):
    """x (n, K), weight (N, K), bias (N,) or None, down (R, K), up (N, R), all of one dtype -> (n, N). The gradients of
    weight and bias are not computed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        low = x @ down.t()
        y = F.linear(x, weight, bias).addmm_(low, up.t(), alpha=scale)
        ctx.save_for_backward(x, weight, down, up, low)
        ctx.scale = scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, down, up, low = ctx.saved_tensors
        dx = None
        dlow = (dy @ up).mul_(ctx.scale)
        if ctx.needs_input_grad[0]:
            dx = (dy @ weight).addmm_(dlow, down)
        # [low^T dy is made 2 to 4 times faster than dy^T low, which is the same turned]
        return dx, None, None, dlow.t() @ x, (low.t() @ dy).mul_(ctx.scale).t(), None
