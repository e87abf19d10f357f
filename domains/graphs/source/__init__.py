"""Where graphs come from and where sampled ones go."""

from domains.graphs.source.records import GraphSource, open_source
from domains.graphs.source.samples import write_samples

__all__ = ["GraphSource", "open_source", "write_samples"]
