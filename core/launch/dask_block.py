"""What a task of launcher=dask is: one block of a job, most of which a worker finds in the output.

Imports nothing heavy, for the scheduler unpickles tasks too [importing torch there held its event loop for 40 s on a
busy machine, and the client was cut off]. Every worker opens the job at its first block and keeps it.
"""

from __future__ import annotations

from typing import Any

_RUNNERS: dict[str, Any] = {}
"""Of a worker: the job that it has open, by its hash."""


def run_block(job_hash: str, said: dict[str, Any], block: int, killed: tuple[int, ...]) -> str | None:
    """Does a block in a worker. Returns what is damaged where its input cannot be read.

    Args:
        said: `Job.to_config`, not whole, with the job's kind.
    """
    from core.errors import IntegrityError, ResourceError
    from core.launch.job import job_from

    if job_hash not in _RUNNERS:
        _RUNNERS.clear()
        job = job_from(said)
        if job.hash != job_hash:
            raise ResourceError(f"{job.output} is of another plan than the one that is run")
        _RUNNERS[job_hash] = job.open_runner()
    try:
        _RUNNERS[job_hash].run(block, killed)
    except IntegrityError as error:
        return error.message
    return None
