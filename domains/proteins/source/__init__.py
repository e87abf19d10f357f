"""Where proteins come from (`open_source`: files of one's own, or a published data set) and where samples go."""

from domains.proteins.source.datasets import DATASETS, DataSet
from domains.proteins.source.records import ProteinSource, SourceConfig, open_source
from domains.proteins.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "ProteinSource", "SourceConfig", "open_source", "write_samples"]
