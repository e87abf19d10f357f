"""Where proteins come from (`open_source`: files of one's own, or a published data set) and where samples go.

Random peptides (`data=peptides`) have a source of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from domains.proteins.source import records as _records
from domains.proteins.source.datasets import DATASETS, DataSet
from domains.proteins.source.peptides import NAME, PeptideSource, open_peptides
from domains.proteins.source.records import ProteinSource, SourceConfig
from domains.proteins.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "PeptideSource", "ProteinSource", "SourceConfig", "open_source", "write_samples"]


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> ProteinSource:
    """A ProteinSource; see `records` and `peptides`."""
    if data == NAME:
        return open_peptides(path, **options)
    return _records.open_source(data, path, **options)
