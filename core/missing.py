"""How tables write that a value is not known. Readers of tables, reports and fine-tuning agree on it."""

from __future__ import annotations

MISSING = ("", "na", "n/a", "nan", "null")
"""In small letters."""


def is_unknown(cell: str) -> bool:
    """Whether a cell says nothing; spaces around it and capitals do not count."""
    return cell.strip().lower() in MISSING
