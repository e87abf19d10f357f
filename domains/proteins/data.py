"""Batches of proteins: whole records in buckets of similar length, long ones in windows; read from both ends where the
tokenizer does.
"""

from __future__ import annotations

from typing import Any

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule, Stores
from core.tokenizer import Tokenizer

LENGTH = 512
"""73 % of UniProt's proteins fit, and longer ones are read in windows of it."""


def open_data(
    stores: Stores, tokenizer: Tokenizer[Any] | None = None, batching: BatchingConfig | None = None, **options: Any
) -> SequenceDataModule:
    """The data module of one or several protein stores.

    Args:
        stores: a store or its path, or several as (store, weight).
        tokenizer: whose view (both reading directions) training reads; None for none.
        batching: None: buckets of whole proteins up to 512 residues.
        options: those of `SequenceDataModule` (seed, workers, views, val_tokens).

    Raises ConfigError and InputError as `SequenceDataModule` does.
    """
    return SequenceDataModule(stores, tokenizer, batching or suggest_batching(), **options)


def suggest_batching() -> BatchingConfig:
    """Buckets: proteins are short records with a start and an end."""
    return BatchingConfig(kind="buckets", length=LENGTH, batch_size=16)
