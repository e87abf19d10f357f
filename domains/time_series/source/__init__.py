"""Where series come from (`open_source`: files, objects, or a published data set) and where samples go."""

from domains.time_series.source.config import SourceConfig
from domains.time_series.source.datasets import DATASETS, DataSet
from domains.time_series.source.records import SeriesSource, open_source
from domains.time_series.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "SeriesSource", "SourceConfig", "open_source", "write_samples"]
