"""Series as CSV: a row a step, `unique_id,ds,y`, each series with its likelihood where it has one."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import numpy as np

from core.durable import partial_beside, resources_named
from domains.formats.series import Series, Values


def write_samples(
    path: Path | str,
    records: Iterable[Series],
    nats: Iterable[float] | None = None,
    given: Iterable[int] | None = None,
) -> int:
    """Writes `records` as one long table and says how many there were.

    `ds` is the stamp in ISO 8601, or the number of the step where a series has none; a series of several channels has a
    column for each. Missing values are empty cells. Of drawn series numbers have the digits that tell them apart as
    float32, in which a model works. The file is there when all of it is.

    Args:
        nats: each drawn record's negative log-likelihood, which then is a column, the same in all rows of the series.
        given: steps that each record goes on from; then a column `drawn` has 0 in their rows, 1 in those behind.

    Raises ResourceError where the file cannot be written, ValueError where records differ in their channels, or `nats`
    or `given` are fewer or more than the records.
    """
    path = Path(path)
    partial = partial_beside(path)
    count, header = 0, None
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                pairs = zip(records, repeat(None)) if nats is None else zip(records, nats, strict=True)
                several = zip(pairs, repeat(None)) if given is None else zip(pairs, given, strict=True)
                for count, ((series, likelihood), begun) in enumerate(several, 1):
                    targets = ["y"] if len(series.channels) == 1 else [f"y_{name}" for name in series.channels]
                    covariates = [*series.known.values(), *series.past.values()]
                    columns = ["unique_id", "ds", *targets, *series.known, *series.past]
                    if header is None:
                        header = columns
                        marks = [name for name, it in (("drawn", given), ("nats", nats)) if it is not None]
                        writer.writerow([*columns, *marks])
                    if columns != header:
                        raise ValueError(f"series '{series.id}' has columns {columns}, those before have {header}")
                    end = [] if likelihood is None else [f"{likelihood:.6g}"]
                    writer.writerows(_rows(series, f"series_{count}", covariates, begun, end))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return count


def _rows(
    series: Series, name: str, covariates: list[Values], begun: int | None, end: list[str]
) -> Iterable[list[object]]:
    stamps = series.stamps()
    when = range(len(series)) if stamps is None else [str(s).removesuffix(".000000000") for s in stamps]
    for step, stamp in enumerate(when):
        numbers = [*series.values[step], *(values[step] for values in covariates)]
        cells = ("" if n != n else str(np.float32(n)) if end else repr(float(n)) for n in numbers)
        yield [series.id or name, stamp, *cells, *([] if begun is None else [int(step >= begun)]), *end]
