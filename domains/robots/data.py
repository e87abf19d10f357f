"""Batches of episodes: overlapping windows, so that every stretch of an episode is read from several beginnings."""

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
"""Tokens of a window where episodes are long enough: in units of control, a second or so. The context of Decision
Transformer (arXiv 2106.01345) is 20 steps."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several stores of episodes.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: of the stores; None for none.
        batching: None takes overlapping windows, as long as the shortest training episode and at most LENGTH steps.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    step = int(getattr(tokenizer, "tokens_per_step", 1)) if tokenizer is not None else 1
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(stores, step), **options)


def suggest_batching(stores: Stores, tokens_per_step: int = 1) -> BatchingConfig:
    """Windows that start every few steps."""
    listed = stores if isinstance(stores, Many) and not isinstance(stores, str) else [(stores, 1.0)]
    opened: list[Tokens] = [TokenStore.open(s) if isinstance(s, str | Path) else s for s, _ in listed]
    lengths = [int(n) for store in opened for n in np.diff(store.spans("train")[:, 1:], axis=1).ravel()]
    length = max(2, min([LENGTH * tokens_per_step, *lengths]))
    return BatchingConfig(kind="windows", length=length, stride=max(1, length // 4), batch_size=64)
