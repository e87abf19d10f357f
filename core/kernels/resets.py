"""Where one document ends and the next begins inside a packed row."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def document_runs(segments: Tensor) -> Tensor:
    """(B, T) segment ids -> (B, T) int64 that count the borders so far: equal numbers mean one document."""
    borders = segments[:, 1:] != segments[:, :-1]
    return F.pad(borders.long().cumsum(1), (1, 0))


def document_starts(segments: Tensor) -> Tensor:
    """(B, T) segment ids -> (B, T) bool, True where another document starts; never at 0, whose state is carried in."""
    return F.pad(segments[:, 1:] != segments[:, :-1], (1, 0))
