"""Batches of molecules: whole ones, in buckets of similar length."""

from __future__ import annotations

from typing import Any

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule, Stores
from core.tokenizer import Tokenizer

LENGTH = 128
"""Tokens: the longest molecule of MOSES has 57; 98 % of approved drugs fit."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several stores of molecules.

    Args:
        stores: a store or its path, or several as (store, weight).
        batching: None: buckets of whole molecules up to 128 tokens.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(), **options)


def suggest_batching() -> BatchingConfig:
    """Buckets: molecules are short records with a start and an end."""
    return BatchingConfig(kind="buckets", length=LENGTH, batch_size=64)
