"""In which precision a recurrence carries its state, and the state that it starts from."""

from __future__ import annotations

import torch
from torch import Tensor


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32, or a wider `dtype` itself: for decays, states and sums, whatever the inputs have."""
    return torch.promote_types(dtype, torch.float32)


def start_state(initial: Tensor | None, like: Tensor, *shape: int) -> Tensor:
    """The state (*shape) before a row: the given one or zeros, wide, on the device of `like`."""
    dtype = wide_dtype(like.dtype)
    return like.new_zeros(shape, dtype=dtype) if initial is None else initial.to(dtype)
