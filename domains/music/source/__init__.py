"""Where music comes from (`open_source`: files of one's own, or a published data set) and where samples go."""

from domains.music.source.datasets import DATASETS, DataSet
from domains.music.source.records import MusicSource, SourceConfig, open_source
from domains.music.source.samples import write_samples

__all__ = ["DATASETS", "DataSet", "MusicSource", "SourceConfig", "open_source", "write_samples"]
