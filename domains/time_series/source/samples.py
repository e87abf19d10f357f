"""Series as CSV: a row a step, `unique_id,ds,y`, each series with its likelihood where it has one."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

from core.durable import partial_beside, resources_named
from domains.formats.series import Series, Values


def write_samples(path: Path | str, records: Iterable[Series], nats: Iterable[float] | None = None) -> int:
    """Writes `records` as one long table and says how many there were.

    `ds` is the stamp in ISO 8601, or the number of the step where a series has none; a series of several channels has a
    column for each. Missing values are empty cells. The file is there when all of it is.

    Args:
        nats: each record's negative log-likelihood, which then is a column, the same in all rows of the series.

    Raises ResourceError where the file cannot be written, ValueError where records differ in their channels, or `nats`
    are fewer or more than the records.
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
                for count, (series, likelihood) in enumerate(pairs, 1):
                    targets = ["y"] if len(series.channels) == 1 else [f"y_{name}" for name in series.channels]
                    covariates = [*series.known.values(), *series.past.values()]
                    columns = ["unique_id", "ds", *targets, *series.known, *series.past]
                    if header is None:
                        header = columns
                        writer.writerow([*columns, *([] if nats is None else ["nats"])])
                    if columns != header:
                        raise ValueError(f"series '{series.id}' has columns {columns}, those before have {header}")
                    end = [] if likelihood is None else [f"{likelihood:.6g}"]
                    writer.writerows(_rows(series, f"series_{count}", covariates, end))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return count


def _rows(series: Series, name: str, covariates: list[Values], end: list[str]) -> Iterable[list[object]]:
    stamps = series.stamps()
    when = range(len(series)) if stamps is None else [str(s).removesuffix(".000000000") for s in stamps]
    for step, stamp in enumerate(when):
        numbers = [*series.values[step], *(values[step] for values in covariates)]
        yield [series.id or name, stamp, *("" if n != n else repr(float(n)) for n in numbers), *end]
