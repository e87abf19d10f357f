"""Variables side by side: the channels of one real field as tokens that share all weights (Timer-XL, arXiv 2410.04803).

A position holds C tokens. What is per channel outside, (..., P C) with the channels of a step together, is (..., C, P)
inside; what tells a variable from the others is a learned vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.nn.readout import RealReadout


class VariableEmbedding(nn.Module):
    """Readings of one field to a token for each of its C channels.

    Args:
        one: the embedding of a single channel's readings.
        variables: C.
        width: D.
    """

    def __init__(self, one: nn.Module, variables: int, width: int) -> None:
        super().__init__()
        self.variables = variables
        self.one = one
        self.which = nn.Parameter(torch.empty(variables, width).normal_(std=0.02))

    def forward(self, values: Tensor, missing: Tensor, start: Tensor | None, drift: Tensor | None) -> Tensor:
        """values, missing (..., F C), start (...), drift (..., 2 C) -> (..., C, D)."""
        starts = None if start is None else start.unsqueeze(-1).expand(*start.shape, self.variables)
        drifts = None if drift is None else each(drift, self.variables)
        x: Tensor = self.one(each(values, self.variables), each(missing, self.variables), starts, drifts)
        return x + self.which


class EachVariable(RealReadout):
    """A readout of one channel's patch, used for each of C: hidden (..., C D), components (..., P C)."""

    def __init__(self, one: nn.Module, variables: int) -> None:
        super().__init__()
        assert isinstance(one, RealReadout)
        self.one, self.variables = one, variables

    @property
    def loss_is_nats(self) -> bool:
        return self.one.loss_is_nats

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        return self._together(self.one.component_nll(self._apart(hidden), each(target, self.variables)))

    def component_loss(self, hidden: Tensor, target: Tensor) -> Tensor:
        return self._together(self.one.component_loss(self._apart(hidden), each(target, self.variables)))

    def mean(self, hidden: Tensor) -> Tensor:
        return self._together(self.one.mean(self._apart(hidden)))

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        level = level.unsqueeze(-2) if level.shape[-1] == 1 else each(level, self.variables)
        return self._together(self.one.icdf(self._apart(hidden), level))

    def _apart(self, hidden: Tensor) -> Tensor:
        """(..., C D) -> (..., C, D)."""
        return hidden.unflatten(-1, (self.variables, -1))

    def _together(self, components: Tensor) -> Tensor:
        """(..., C, P) -> (..., P C)."""
        return components.transpose(-1, -2).flatten(-2)


def each(values: Tensor, variables: int) -> Tensor:
    """(..., F C), the channels of each of F together -> (..., C, F)."""
    return values.unflatten(-1, (-1, variables)).transpose(-1, -2)
