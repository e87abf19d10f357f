"""Tunes out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from typing import Any

from core.errors import ConfigError
from core.prediction.input import ArrayRow
from domains.formats.abc import score_of
from domains.formats.abc_text import read_text
from domains.formats.score import Score


def tune_row(row: ArrayRow, tokenizer: object, **options: Any) -> Score:
    """The text of a tune in ABC, header and body, under its id. Raises RecordError as `read_text`, ConfigError for any
    option.
    """
    if options:
        raise ConfigError(f"input.{next(iter(options))}: rows of an array need no such key")
    return score_of(read_text(str(row.value), row.id), row.id)
