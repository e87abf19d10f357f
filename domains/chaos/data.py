"""Batches of trajectories: windows of raw steps, which the batch folds into patches where the tokenizer asks for it."""

from __future__ import annotations

from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import numpy as np

from core.batching.config import BatchingConfig
from core.batching.epoch import Tokens
from core.datamodule import SequenceDataModule, Stores
from core.store import TokenStore
from core.tokenizer import Tokenizer

LENGTH = 32
"""Steps of a window where all are long enough: one Lyapunov time at the usual 30 points. A state of a flow says all of
its future, so more would only help against noise and hidden channels."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several stores of trajectories.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: of the stores; None for none.
        batching: None takes overlapping windows, as long as the shortest training span and at most LENGTH.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(stores), **options)


def suggest_batching(stores: Stores) -> BatchingConfig:
    """Windows that start every few steps, so that one long trajectory is many of them."""
    listed = stores if isinstance(stores, Many) and not isinstance(stores, str) else [(stores, 1.0)]
    opened: list[Tokens] = [TokenStore.open(s) if isinstance(s, str | Path) else s for s, _ in listed]
    lengths = [int(n) for store in opened for n in np.diff(store.spans("train")[:, 1:], axis=1).ravel()]
    patch = opened[0].spec.patch
    length = max(2 * patch, min([LENGTH * patch, *lengths]) // patch * patch)
    return BatchingConfig(kind="windows", length=length, stride=max(1, length // 4), batch_size=64)
