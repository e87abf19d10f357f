"""DNA out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from typing import Any

from core.errors import ConfigError
from core.prediction.input import ArrayRow
from domains.formats.seq_record import letters_row


def dna_row(row: ArrayRow, tokenizer: Any, **options: Any) -> Any:
    """A record of letters; the text of a cluster where the tokenizer reads clusters.

    Raises RecordError for characters outside ASCII, ConfigError for a tokenizer that reads genes with their proteins.
    """
    kind = getattr(tokenizer, "base", tokenizer).kind
    if kind == "dna_dogma":
        raise ConfigError("rows of an array are no genes with proteins", hint="Prepare a store, or give files.")
    return row.value if kind == "dna_traces" else letters_row(row, tokenizer, **options)
