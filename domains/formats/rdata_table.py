"""Tables inside R's .rda files, as published R packages ship their data; read with `rdata`, which runs no R code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_rda_table(path: Path | str, name: str) -> DataFrame:
    """The data frame called `name` in the file at `path`.

    Raises ConfigError where the package `rdata` is not there, IntegrityError where the file cannot be read or has none.
    """
    try:
        import rdata
    except ImportError as error:
        raise ConfigError(f"{path}: R's tables are read with the package rdata", hint="pip install rdata") from error
    with warnings.catch_warnings():
        # old files do not say their encoding, and rdata warns for each text of theirs; all of them are ASCII here
        warnings.simplefilter("ignore", UserWarning)
        try:
            found: dict[str, Any] = rdata.read_rda(str(path))
        except Exception as error:  # rdata raises ValueError, KeyError ... and lzma's own
            raise IntegrityError(f"{path} is no R data file that can be read: {error}") from error
    if name not in found or not hasattr(found[name], "columns"):
        raise IntegrityError(f"{path} has no table '{name}'; it has {', '.join(found) or 'nothing'}")
    table: DataFrame = found[name]
    return table
