"""Embeddings of records: hidden states pooled as they come, so that a long record costs no more memory than its result.

Position i has read the tokens before i, so the state after the last token stands one position further; the record is
read with one missing token behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.sequence import Sequence
from core.window_policy import Stretch


def check_layer(config: ModelConfig, layer: int) -> None:
    """Raises ConfigError for a layer that a model of this shape has not."""
    if not isinstance(layer, int) or not -1 <= layer < len(config.mixers):
        raise ConfigError(
            f"layer: got {layer!r}, allowed: -1 (after the final norm), or a block from 0 to {len(config.mixers) - 1}"
        )


class Pool:
    """Hidden states of one record as they come, pooled. The first position has read nothing, so it is no token's."""

    def __init__(self, pooling: str, positions: int, width: int, patch: int) -> None:
        self.pooling, self.positions, self.patch = pooling, positions, patch
        self.total = np.zeros(width)
        self.tokens = np.empty((max(0, positions - patch) if pooling == "token" else 0, width), np.float32)

    def add(self, start: int, hidden: NDArray[np.float32]) -> None:
        if start == 0 and self.positions > self.patch:
            start, hidden = self.patch, hidden[self.patch :]
        if self.pooling == "token":
            if self.positions > self.patch:
                self.tokens[start - self.patch : start - self.patch + len(hidden)] = hidden
        elif self.pooling == "mean":
            self.total += hidden.sum(0, dtype=np.float64)
        elif start + len(hidden) == self.positions and len(hidden):
            self.total[:] = hidden[-1]

    def result(self, tokens: int) -> NDArray[np.float32]:
        """Of a record of so many tokens."""
        if self.pooling == "token":
            return self.tokens[:tokens]
        read = max(1, self.positions - self.patch) if self.pooling == "mean" else 1
        return (self.total / read).astype(np.float32)


def one_more(record: Stretch, patch: int) -> Stretch:
    """With a token of missing values behind it, so that there is a position that has read the last token."""
    taken = record.source.slice(record.start, record.start + record.tokens)
    more = -record.tokens % patch + patch

    def longer(array: NDArray[Any], fill: int) -> NDArray[Any]:
        return np.concatenate([array, np.full((more, *array.shape[1:]), fill, array.dtype)])

    arrays = {name: longer(array, 0) for name, array in taken.arrays.items()}
    observed = taken.observed
    if more > 1:
        observed = {name: taken.observed.get(name, np.ones(array.shape, bool)) for name, array in taken.arrays.items()}
    return Stretch(
        Sequence(arrays, taken.id, {name: longer(array, more == 1) for name, array in observed.items()}),
        0,
        record.tokens + more,
    )
