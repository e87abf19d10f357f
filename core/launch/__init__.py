"""Who does the blocks of a job: this process, several on this machine, a Dask cluster, a SLURM array.

A job says what a block is (rows of a prediction, files of a store that is prepared); a launcher does blocks, each
whole, with one and the same function, and which launcher it was does not show in a byte of the output. It neither
creates nor completes the output, and never does a block that is done already.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from core.launch.job import Job, Runner
from core.launch.options import LaunchOptions
from core.launch.stop import Stop
from core.registry import Registry

__all__ = ["LAUNCHERS", "Job", "LaunchOptions", "Launcher", "Runner", "Work", "usable_cores"]


@dataclass(frozen=True)
class Work:
    """What a launcher is given."""

    job: Job
    todo: list[int]
    """Blocks that are not done."""
    done: Callable[[int], None]
    """To be called, in the process of the launcher, with each block that has been written."""
    damaged: Callable[[int, str], None]
    """To be called likewise with each block whose input cannot be read, and what is damaged; the others are done."""
    stop: Stop
    """`stop.check()` where the work may end."""
    options: LaunchOptions
    open_here: Callable[[Callable[[], None]], Runner] | None = None
    """As `job.open_runner`, where the process of the launcher has opened the job's inputs already."""


Launcher = Callable[[Work], None]
"""Does `work.todo`. Raises StoppedError where it was stopped, ResourceError where it cannot go on."""

LAUNCHERS: Registry[Launcher] = Registry(
    "launcher",
    {
        "inprocess": "core.launch.inprocess:run",
        "local": "core.launch.local:run",
        "dask": "core.launch.dask:run",
        "slurm": "core.launch.slurm:run",
    },
)


def usable_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(launcher: str, launch: LaunchOptions) -> int | None:
    """Threads of a worker where none are asked for: the machine's, shared out; None leaves it to the libraries."""
    if launcher not in ("local", "dask") or launch.scheduler:
        return None
    return max(1, usable_cores() // launch.workers) if launch.workers else 1
