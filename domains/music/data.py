"""Batches of music: whole pieces in buckets of similar length, long ones in windows; transposed where it can be."""

from __future__ import annotations

from typing import Any

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule, Stores
from core.tokenizer import Tokenizer

LENGTH = 1024
"""Two in three chorales fit as a whole: 64 bars of 4/4 would be 4,096 tokens of four voices on a 16th grid, but a
chorale has 10 to 20."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several stores of music.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: whose view (transposition) training reads; None for none.
        batching: None: buckets of whole pieces up to 1,024 tokens.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(), **options)


def suggest_batching() -> BatchingConfig:
    """Buckets: pieces have a start and an end."""
    return BatchingConfig(kind="buckets", length=LENGTH, batch_size=8)
