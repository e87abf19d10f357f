"""A process that makes one chunk of demonstrations and puts it into the cache: its description as JSON on stdin."""

from __future__ import annotations

import json
import sys
import warnings

from domains.robots.source.environments import Where
from domains.robots.source.made import Chunk


def main() -> None:
    warnings.simplefilter("ignore")
    said = json.load(sys.stdin)
    chunk = Chunk(
        **{
            **said,
            "where": Where(**said["where"]),
            "seeds": tuple(said["seeds"]),
            "noise": tuple(said["noise"]),
        }
    )
    if chunk.read() is None:
        chunk.make()


if __name__ == "__main__":
    main()
