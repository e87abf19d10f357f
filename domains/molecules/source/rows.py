"""Molecules out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from typing import Any

from core.errors import ConfigError
from core.prediction.input import ArrayRow
from domains.molecules.molecule import Molecule


def molecule_row(row: ArrayRow, tokenizer: object, **options: Any) -> Molecule:
    """A SMILES under its id. Raises ConfigError for any option."""
    if options:
        raise ConfigError(f"input.{next(iter(options))}: rows of an array need no such key")
    return Molecule(str(row.value), row.id)
