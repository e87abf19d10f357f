"""Where molecules come from (`open_source`: files of one's own, or a published data set) and where samples go."""

from domains.molecules.source.datasets import DATASETS, DataSet
from domains.molecules.source.records import MoleculeSource, SourceConfig, open_source
from domains.molecules.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "MoleculeSource", "SourceConfig", "open_source", "write_samples"]
