"""CSV and TSV as columns, for files of many numbers: each column at once, every line accounted for.

pandas parses, but fills short rows and joins lines after a stray quote without a word; so lines are counted and their
cells with them beforehand, and those that do not fit the header are set aside with their number. Cells may be quoted
but hold no line breaks. Knows no times, series or missing values beyond the words it is given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from domains.formats.text import InputFile

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = "\t,;"


@dataclass
class ColumnTable:
    """A table whose rows know where they come from."""

    frame: pd.DataFrame
    """Numbers where a whole column is numbers, else text (objects)."""
    file: str
    lines: NDArray[np.int64] | None
    """(n,) line of each row in the file, from 1; None where there are no lines (Parquet, a frame in memory)."""
    ragged: list[tuple[int, list[str]]]
    """Lines that do not have the header's number of cells, or leave a quote open: number and cells."""

    def row(self, index: int) -> str:
        """How row `index` is called in messages."""
        return f"row {index + 1:,}" if self.lines is None else f"line {int(self.lines[index]):,}"

    def line(self, index: int) -> int | None:
        return None if self.lines is None else int(self.lines[index])


def read_columns(file: InputFile, *, text: Collection[str] = (), missing: Collection[str] = ("",)) -> ColumnTable:
    """The table in `file`.

    Args:
        text: columns that stay text whatever they hold.
        missing: cells that hold no value, in the other columns.

    Raises InputError where the header is unusable or no row follows, and for damage to the container.
    """
    import pandas as pd

    data = b"".join(file.blocks())
    starts, stops = _lines(data)
    header_text = file.text(data[starts[0] : stops[0]])
    separator = max(_SEPARATORS, key=header_text.count)
    header = [name.strip() for name in next(csv.reader([header_text], delimiter=separator))]
    if len(set(header)) != len(header) or not all(header):
        raise file.damaged(f"its header has empty or repeated names: {header_text[:80]!r}", "Name every column once.")
    numbers, starts, stops = np.arange(2, len(starts) + 1), starts[1:], stops[1:]
    full = stops > starts
    numbers, starts, stops = numbers[full], starts[full], stops[full]
    good, ragged = _check_cells(data, numbers, starts, stops, separator, len(header))
    file.records = len(numbers)
    if not good.any():
        raise file.damaged("it holds a header but no row that fits it")
    body = data if good.all() and full.all() else _joined(data, starts[good], stops[good])
    frame = pd.read_csv(
        io.BytesIO(body),
        sep=separator,
        names=header,
        header=None,
        skiprows=1 if body is data else 0,
        dtype=dict.fromkeys(text, str),
        na_values={name: list(missing) for name in header if name not in text},
        keep_default_na=False,
        encoding_errors="replace",
        float_precision="round_trip",
        low_memory=False,
        index_col=False,
    )
    if len(frame) != int(good.sum()):
        raise InputError(f"{file.path}: {int(good.sum()):,} lines gave {len(frame):,} rows", hint="Check its quotes.")
    return ColumnTable(frame, str(file.path), numbers[good], ragged)


def column_names(file: InputFile) -> list[str]:
    """The header's names, without reading on."""
    for raw in file.lines():
        text = file.text(raw)
        return [name.strip() for name in next(csv.reader([text], delimiter=max(_SEPARATORS, key=text.count)))]
    raise file.damaged("it holds no line")


def _lines(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where lines start and stop, their ends left out."""
    letters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    starts = np.concatenate([[0], ends + 1])
    stops = np.concatenate([ends, [len(data)]])
    if starts[-1] == len(data):
        starts, stops = starts[:-1], stops[:-1]
    returns = (stops > starts) & (letters[np.maximum(stops - 1, 0)] == ord("\r"))
    return starts, stops - returns


def _check_cells(
    data: bytes,
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    separator: str,
    cells: int,
) -> tuple[NDArray[np.bool_], list[tuple[int, list[str]]]]:
    """(n,) which lines have the header's number of cells, and those that do not."""
    letters = np.frombuffer(data, np.uint8)
    found = np.searchsorted(starts, np.flatnonzero(letters == ord(separator)), side="right") - 1
    good = np.bincount(found[found >= 0], minlength=len(starts)) == cells - 1
    quoted = np.searchsorted(starts, np.flatnonzero(letters == ord('"')), side="right") - 1
    for line in np.unique(quoted[quoted >= 0]):
        good[line] = len(_cells(data, int(starts[line]), int(stops[line]), separator)) == cells
    bad = np.flatnonzero(~good)
    return good, [(int(numbers[i]), _cells(data, int(starts[i]), int(stops[i]), separator)) for i in bad]


def _cells(data: bytes, start: int, stop: int, separator: str) -> list[str]:
    """The cells of one line; none where a quote is left open."""
    text = data[start:stop].decode("utf-8", "replace")
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def _joined(data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> bytes:
    return b"\n".join(data[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)) + b"\n"
