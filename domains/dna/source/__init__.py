"""Where DNA comes from (`open_source`: files of one's own, or a published data set) and where samples go."""

from domains.dna.source.datasets import DATASETS, DataSet
from domains.dna.source.records import DnaSource, SourceConfig, open_source
from domains.dna.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "DnaSource", "SourceConfig", "open_source", "write_samples"]
