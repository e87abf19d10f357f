"""bedGraph: a number for each stretch of a named sequence, as genome browsers draw it (UCSC; 0-based, half open).

Lines are made a block of positions at a time, so that a chromosome costs no memory. Neighbours of equal value share a
line; positions without a number (NaN) have none. A name that ends in .gz is packed, without a time stamp inside.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.durable import partial_beside, resources_named
from core.errors import ConfigError

SUFFIXES = (".bedgraph", ".bedgraph.gz", ".bg", ".bg.gz")
_BLOCK = 2**16
"""Values turned into lines at once."""


class Track(NamedTuple):
    """Numbers along one sequence."""

    sequence: str
    start: int
    """Position of the first, from 0."""
    values: NDArray[np.floating]
    """(n,)"""
    sizes: NDArray[np.int64] | None = None
    """(n,) letters that each stands for; None for one each."""


def write_bedgraph(path: Path | str, tracks: Iterable[Track], *, name: str, description: str = "") -> Path:
    """Writes the tracks in the order given; the file is there when all of it is.

    Args:
        name, description: of the track line.

    Raises ConfigError for another ending, ResourceError where the file cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise ConfigError(f"{path.name}: expected a name that ends in {', '.join(SUFFIXES)}")
    partial = partial_beside(path)
    with resources_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with ExitStack() as stack:
                raw = stack.enter_context(open(partial, "wb"))
                out: Any = raw
                if path.name.lower().endswith(".gz"):
                    # level 1: five million lines of digits take seconds, not a minute, and grow by a tenth
                    out = stack.enter_context(gzip.GzipFile("", "wb", 1, raw, mtime=0))
                out.write(f"track type=bedGraph name={_quoted(name)} description={_quoted(description)}\n".encode())
                for track in tracks:
                    for lines in _lines(track):
                        out.write(lines)
            with open(partial, "rb+") as whole:
                os.fsync(whole.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def _lines(track: Track) -> Iterator[bytes]:
    at = track.start
    for first in range(0, len(track.values), _BLOCK):
        values = np.asarray(track.values[first : first + _BLOCK])
        sizes = np.ones(len(values), np.int64) if track.sizes is None else track.sizes[first : first + _BLOCK]
        ends = at + np.cumsum(sizes)
        shown = np.array([f"{value:.4g}" for value in values.tolist()])
        begins = np.concatenate([[at], ends[:-1]])
        at = int(ends[-1])
        last = np.flatnonzero(np.append(shown[1:] != shown[:-1], True))
        first_of = np.concatenate([[0], last[:-1] + 1])
        buffer = io.StringIO()
        for i, j in zip(first_of.tolist(), last.tolist(), strict=True):
            if shown[i] != "nan" and begins[i] < ends[j]:
                buffer.write(f"{track.sequence}\t{begins[i]}\t{ends[j]}\t{shown[i]}\n")
        yield buffer.getvalue().encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'
