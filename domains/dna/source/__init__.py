"""Where DNA comes from (`open_source`: files of one's own, or a published data set) and where samples go.

Clusters of reads (`data=traces`, `data.format=traces`) and variants (`data.path=calls.vcf data.reference=genome.fa`)
have sources of their own; clusters are written as their strands.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from domains.dna.dogma.gene import Gene
from domains.dna.source import records as _records
from domains.dna.source import samples as _samples
from domains.dna.source.datasets import DATASETS, DataSet
from domains.dna.source.records import DnaSource, SourceConfig
from domains.dna.source.variants import VariantSource, is_variants, open_variants
from domains.dna.traces.source import TraceSource, is_traces, open_traces, strand
from domains.formats.seq_record import make_record

__all__ = [
    "DATASETS",
    "DataSet",
    "DnaSource",
    "SourceConfig",
    "TraceSource",
    "VariantSource",
    "open_source",
    "write_samples",
]


def open_source(data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any) -> Any:
    """A DnaSource, or one of clusters of reads, of variants or of genes with their proteins where these are asked for;
    see `records`, `variants`, `traces.source` and `dogma.source`.
    """
    from domains.dna.dogma.source import is_dogma, open_dogma  # which reads DATASETS of this package

    if is_traces(data, options):
        return open_traces(data, path, **options)
    if is_dogma(data, options):
        return open_dogma(data, path, **options)
    if is_variants(path, options):
        return open_variants(data, path, **options)
    return _records.open_source(data, path, **options)


def write_samples(path: Path | str, records: Iterable[Any], nats: Iterable[float] | None = None) -> int:
    """As `samples.write_samples`; a cluster is written as the strand behind its reads, a gene as its codons with its
    protein in the header.
    """
    return _samples.write_samples(path, map(_written, records), nats)


def _written(record: Any) -> Any:
    if not isinstance(record, Gene):
        return strand(record)
    named = f"{record.id} protein={record.protein}" if record.protein else record.id
    return make_record(record.cds.encode("ascii"), named)
