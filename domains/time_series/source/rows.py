"""Series out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.prediction.input import ArrayRow
from domains.formats.series import Series
from domains.formats.value_arrays import cf_stamps, make_series, numbered
from domains.time_series.source.config import SourceConfig


def series_row(row: ArrayRow, tokenizer: object, **options: Any) -> Series:
    """One row with its channels together and its stamps, where the array has a time coordinate.

    Args:
        options: horizon, freq, start, timezone and others of `SourceConfig` that hold for arrays.

    Raises RecordError where the row is no series, ConfigError for an unknown option, InputError for a calendar that is
    not read.
    """
    config = SourceConfig.from_options(options)
    values = np.asarray(row.value, np.float64)
    stamps = None if row.stamps is None else cf_stamps("its time coordinate", row.stamps, row.stamp_attributes)
    made = make_series(row.id, values, row.channels or numbered(values.shape[1]), stamps, config.frame)
    return made.longer(config.horizon) if config.horizon else made
