"""Averaged weights: an exponential moving average of the parameters, which is validated and bundled in their stead.

The decay grows with the step, min(decay, (1 + step) / (10 + step)), so that a short run is not dragged by its random
start. Buffers are not averaged. Works on parameters that are sharded over processes as on whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The moving average of a module's trainable parameters.

    Args:
        module: its parameters are read at every `update`, never replaced.
        decay: in (0, 1); the average forgets over about 1 / (1 - decay) steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step `step` (0-based): average <- d average + (1 - d) parameter."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averages.values()), list(self.parameters.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the module's parameters hold the averages; afterwards they are bit by bit what they were."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._fill(self.averages)
        try:
            yield
        finally:
            self._fill(kept)

    @torch.no_grad()
    def _fill(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
