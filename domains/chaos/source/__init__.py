"""Where trajectories come from (`open_source`: systems, published series, files of one's own) and where samples go."""

from domains.chaos.source.config import SourceConfig
from domains.chaos.source.records import DATASETS, ChaosSource, open_source
from domains.chaos.source.samples import write_samples
from domains.chaos.source.trajectory import Trajectory, as_trajectory

__all__ = ["DATASETS", "ChaosSource", "SourceConfig", "Trajectory", "as_trajectory", "open_source", "write_samples"]
