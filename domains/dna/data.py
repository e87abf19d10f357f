"""Batches of DNA: genomes in windows, short records (reads, promoters) whole; the other strand half the time."""

from __future__ import annotations

from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

from core.batching.config import BatchingConfig
from core.batching.epoch import Tokens
from core.datamodule import SequenceDataModule, Stores
from core.store import TokenStore
from core.tokenizer import Tokenizer

_LONG = 4
"""Records of on average this many windows are cut into windows; of shorter ones too much would be left over."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several DNA stores.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: whose strand view training reads; None for none.
        batching: None chooses windows or buckets by the records' mean length.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(stores), **options)


def suggest_batching(stores: Stores) -> BatchingConfig:
    """Windows where the mean record has at least four of them, else buckets."""
    listed = stores if isinstance(stores, Many) and not isinstance(stores, str) else [(stores, 1.0)]
    opened: list[Tokens] = [TokenStore.open(s) if isinstance(s, str | Path) else s for s, _ in listed]
    records = sum(len(store.offsets) - 1 for store in opened)
    tokens = sum(int(store.offsets[-1]) for store in opened)
    windows = BatchingConfig(kind="windows")
    return windows if tokens >= _LONG * windows.length * max(records, 1) else BatchingConfig(kind="buckets")
