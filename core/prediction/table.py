"""Columns as a table for people: .csv, or .parquet where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ConfigError

ENDINGS = (".csv", ".parquet")


def check_table(path: Path) -> Path:
    """Raises ConfigError for another ending."""
    if path.suffix not in ENDINGS:
        raise ConfigError(f"a table is written as .csv or .parquet, not as '{path.suffix}'")
    return path


def write_table(path: Path, columns: Mapping[str, Any]) -> Path:
    """Raises as `check_table`, and ConfigError where pyarrow is missing."""
    import pandas as pd

    frame = pd.DataFrame(dict(columns))
    if check_table(path).suffix == ".csv":
        frame.to_csv(path, index=False)
        return path
    try:
        frame.to_parquet(path, index=False)
    except ImportError as error:
        raise ConfigError(".parquet needs pyarrow", hint="pip install pyarrow, or write .csv.") from error
    return path
