"""How the parameters of a state-space recurrence start, for Mamba-1 and Mamba-2 (arXiv 2312.00752, section 3.6).

Step sizes are spread over two decades, so that from the first step on some channels remember long and some briefly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOG2E = math.log2(math.e)
"""exp(x) = exp2(x LOG2E), which takes a third of the time on the CPU."""


def initial_steps(size: int, low: float = 1e-3, high: float = 0.1, floor: float = 1e-4) -> Tensor:
    """(size,) step sizes, log-uniform in [low, high] and at least `floor`."""
    return torch.empty(size).uniform_(math.log(low), math.log(high)).exp().clamp(min=floor)


def inverse_softplus(x: Tensor) -> Tensor:
    return x + (-(-x).expm1()).log()


def no_weight_decay(*parameters: nn.Parameter) -> None:
    """Mark parameters that an optimiser must not pull towards 0: a decayed A_log is another time scale."""
    for parameter in parameters:
        parameter._no_weight_decay = True  # type: ignore[attr-defined]
