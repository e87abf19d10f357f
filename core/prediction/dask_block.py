"""What a task of launcher=dask is: one block of the job whose plan lies in the output.

Imports nothing heavy, for the scheduler unpickles tasks too [importing torch there held its event loop for 40 s on a
busy machine, and the client was cut off]. Every worker opens the job at its first block and keeps it.
"""

from __future__ import annotations

from typing import Any

_RUNNERS: dict[str, Any] = {}
"""Of a worker: the job that it has open, by its plan's hash."""


def run_block(plan_hash: str, said: dict[str, Any], block: int, killed: tuple[int, ...]) -> str | None:
    """Runs a block in a worker. Returns what is damaged where its rows cannot be read.

    Args:
        said: as `Job.to_config`, without the plan's identity.
    """
    from core.errors import IntegrityError
    from core.prediction.block import BlockRunner

    if plan_hash not in _RUNNERS:
        _RUNNERS.clear()
        job = _job(plan_hash, said)
        _RUNNERS[plan_hash] = BlockRunner(job.plan, job.open())
    try:
        _RUNNERS[plan_hash].run(block, killed)
    except IntegrityError as error:
        return error.message
    return None


def _job(plan_hash: str, said: dict[str, Any]) -> Any:
    from core.durable import read_json
    from core.errors import ResourceError
    from core.places import place
    from core.prediction.job import Job
    from core.prediction.layout import PLAN

    path = place(said["output"]) / PLAN
    if not path.is_file():
        raise ResourceError(f"a worker does not see {path}", hint="Bundle, input and output must be in reach of all.")
    job = Job.from_config({**said, "identity": read_json(path)})
    if job.plan.hash != plan_hash:
        raise ResourceError(f"{path} is of another plan than the one that is run")
    return job
