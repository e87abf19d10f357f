"""Batches of graphs: whole ones, in buckets of similar length; in training each is walked anew every time."""

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


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several stores of graphs.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: whose walks training reads; None for the stored ones.
        batching: None: buckets that hold the longest graph whole.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(stores), **options)


def suggest_batching(stores: Stores) -> BatchingConfig:
    """Buckets of whole graphs: a part of a walk refers to nodes that it does not show. What does not fit is left out,
    and counted; by default everything fits."""
    listed = stores if isinstance(stores, Many) and not isinstance(stores, str) else [(stores, 1.0)]
    opened: list[Tokens] = [TokenStore.open(s) if isinstance(s, str | Path) else s for s, _ in listed]
    longest = max(int(np.diff(store.offsets).max(initial=2)) for store in opened)
    return BatchingConfig(kind="buckets", length=max(2, longest), batch_size=32, long="refuse")
