"""Where episodes come from (`open_source`: experts in environments, files of one's own) and where samples go."""

from domains.robots.source.config import SourceConfig
from domains.robots.source.episode import Episode, as_episode
from domains.robots.source.records import DATASETS, RobotSource, open_source
from domains.robots.source.samples import write_samples

__all__ = ["DATASETS", "Episode", "RobotSource", "SourceConfig", "as_episode", "open_source", "write_samples"]
