"""From logits to one symbol: temperature, top-k, top-p and min-p, then the inverse of the cumulative distribution.

Plain functions of their arguments: the uniform numbers are handed in, so a draw depends on nothing but its own row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.decoding.options import SamplingConfig

__all__ = ["SamplingConfig", "draw", "filtered"]


def filtered(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Weights (B, V) float64 to draw by, not normalised; logits (B, V) float, -inf where a symbol is not allowed."""
    if config.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
    logits = logits.double()
    if config.temperature != 1:
        logits = logits / config.temperature
    weights = torch.softmax(logits, -1)
    if config.top_k and config.top_k < weights.shape[-1]:
        weights = _keep_likeliest(
            weights, (torch.arange(weights.shape[-1], device=weights.device) < config.top_k)[None]
        )
    if config.top_p < 1:
        weights = weights / weights.sum(-1, keepdim=True)
        ordered = weights.sort(dim=-1, descending=True).values
        before = ordered.cumsum(-1) - ordered
        weights = _keep_likeliest(weights, before < config.top_p)
    if config.min_p > 0:
        weights = weights.masked_fill(weights < config.min_p * weights.amax(-1, keepdim=True), 0)
    return weights


def _keep_likeliest(weights: Tensor, keep: Tensor) -> Tensor:
    """Zero where `keep`, a mask over ranks (rank 0 the largest; equals by id), is False."""
    order = weights.argsort(stable=True, dim=-1, descending=True)
    kept = torch.zeros_like(weights, dtype=torch.bool).scatter(-1, order, keep.expand_as(weights))
    return weights.masked_fill(~kept, 0)


def draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """The first symbol at which the cumulative weight exceeds uniform * total: (B, V), (B,) float64 -> (B,) int64.

    Uniforms are at most 1 - 2**-32, so rounding never reaches the total and a symbol of weight 0 is never drawn. Where
    weights are no numbers, it is any symbol.
    """
    cumulative = weights.cumsum(-1)
    return (cumulative <= (uniforms * cumulative[:, -1])[:, None]).sum(-1).clamp(max=weights.shape[-1] - 1)
