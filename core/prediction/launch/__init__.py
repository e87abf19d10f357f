"""Who runs the blocks of a prediction: this process, several on this machine, a Dask cluster, a SLURM array.

A launcher computes blocks, each whole, with one and the same function; which launcher it was does not show in a byte
of the output. It neither creates nor completes the output, and never runs a block that has its done-marker.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from core.prediction.block import Opened
from core.prediction.job import Job
from core.prediction.options import LaunchOptions
from core.prediction.stop import Stop
from core.registry import Registry

__all__ = ["LAUNCHERS", "LaunchOptions", "Launcher", "Work", "usable_cores"]


@dataclass(frozen=True)
class Work:
    """What a launcher is given."""

    job: Job
    todo: list[int]
    """Blocks without a valid done-marker."""
    done: Callable[[int], None]
    """To be called, in the process of the launcher, with each block that has been written."""
    damaged: Callable[[int, str], None]
    """To be called likewise with each block whose rows cannot be read, and what is damaged; the others are done."""
    stop: Stop
    """`stop.check()` where the work may end."""
    options: LaunchOptions
    opened: Opened | None = None
    """The job, where it is open in the process of the launcher already."""


Launcher = Callable[[Work], None]
"""Runs `work.todo`. Raises StoppedError where it was stopped, ResourceError where it cannot go on."""

LAUNCHERS: Registry[Launcher] = Registry(
    "launcher",
    {
        "inprocess": "core.prediction.launch.inprocess:run",
        "local": "core.prediction.launch.local:run",
        "dask": "core.prediction.launch.dask:run",
        "slurm": "core.prediction.launch.slurm:run",
    },
)


def usable_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
