"""Where DNA comes from (`open_source`: files of one's own, or a published data set) and where samples go.

Clusters of reads (`data=traces`, `data.format=traces`) have a source of their own, and are written as their strands.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from domains.dna.source import records as _records
from domains.dna.source import samples as _samples
from domains.dna.source.datasets import DATASETS, DataSet
from domains.dna.source.records import DnaSource, SourceConfig
from domains.dna.traces.source import TraceSource, is_traces, open_traces, strand

__all__ = ["DATASETS", "DataSet", "DnaSource", "SourceConfig", "TraceSource", "open_source", "write_samples"]


def open_source(data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any) -> Any:
    """A DnaSource, or a TraceSource where clusters of reads are asked for; see `records` and `traces.source`."""
    opened = open_traces if is_traces(data, options) else _records.open_source
    return opened(data, path, **options)


def write_samples(path: Path | str, records: Iterable[Any], nats: Iterable[float] | None = None) -> int:
    """As `samples.write_samples`; a cluster is written as the strand behind its reads."""
    return _samples.write_samples(path, map(strand, records), nats)
