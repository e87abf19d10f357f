"""A process that puts trajectories into the cache: a job as JSON on stdin, what failed as JSON on stdout."""

from __future__ import annotations

import json
import sys

from domains.chaos.source.made import Job, Wanted
from domains.chaos.source.sampling import SamplingConfig


def main() -> None:
    said = json.load(sys.stdin)
    job = Job(
        **{
            **said,
            "wanted": Wanted(**said["wanted"]),
            "config": SamplingConfig(**said["config"]),
            "only": tuple(said["only"]),
        }
    )
    json.dump(job.run(), sys.stdout)


if __name__ == "__main__":
    main()
