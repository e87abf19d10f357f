"""The launcher `slurm`: an array job whose tasks share out the blocks; this process waits, counts and completes.

Beside the output stands `OUTPUT.slurm/` with the job, the script that was submitted and the tasks' logs. Every task is
`python -m core.launch.task JOB NUMBER`, so that another scheduler's array can do the same. If this process
ends before the array does, the tasks go on; the same command, given later, does what is missing and completes.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from core.durable import json_bytes, resources_named, write_files_durably
from core.errors import ConfigError, ResourceError, StoppedError
from core.launch import Work
from core.launch.task import damage_of

TASKS = 8
"""Of an array, where `workers` does not say."""
SECONDS = 1.0
"""How often blocks that are done are looked for."""


def run(work: Work) -> None:
    if not work.todo:
        return
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "launcher=slurm: there is no sbatch here",
            hint="Give it on a machine that submits SLURM jobs, or let any scheduler run it with block_range=.",
        )
    folder = work.job.output.with_name(f"{work.job.output.name}.slurm").resolve()
    tasks = min(work.options.workers or TASKS, len(work.todo))
    with resources_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    job = {"kind": work.job.kind, **work.job.to_config(), "todo": work.todo, "tasks": tasks}
    script = array_script(folder, tasks, work.options.sbatch, work.options.setup)
    write_files_durably(folder, {"job.json": json_bytes(job), "array.sh": script.encode()})
    _wait(work, folder)


def array_script(folder: Path, tasks: int, options: tuple[str, ...] = (), setup: str = "") -> str:
    """What is submitted."""
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=foretell",
        f"#SBATCH --array=0-{tasks - 1}",
        f"#SBATCH --output={folder}/task-%a.log",
        *(f"#SBATCH {option}" for option in options),
        "set -e",
        *([setup] if setup else []),
        f"exec {shlex.quote(sys.executable)} -m core.launch.task "
        f'{shlex.quote(str(folder / "job.json"))} "$SLURM_ARRAY_TASK_ID"',
    ]
    return "\n".join(lines) + "\n"


def _wait(work: Work, folder: Path) -> None:
    """Until the array has ended. Raises ResourceError where it leaves blocks undone, StoppedError for a signal."""
    job, waiting = work.job, set(work.todo)

    def count() -> None:
        for block in sorted(waiting):
            if job.is_done(block):
                waiting.discard(block)
                work.done(block)

    command = ["sbatch", "--parsable", "--wait", str(folder / "array.sh")]
    submitted = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while submitted.poll() is None:
        count()
        try:
            work.stop.check()
        except StoppedError as error:
            raise StoppedError(
                error.signum, error.message, hint=f"The array job goes on; its logs are in {folder}."
            ) from error
        time.sleep(SECONDS)
    _, complaint = submitted.communicate()
    count()
    for block, message in damage_of(folder).items():
        if block in waiting:
            waiting.discard(block)
            work.damaged(block, message)
    if not waiting:
        return
    said = f": {complaint.strip()}" if complaint.strip() else ""
    raise ResourceError(
        f"the array job has ended (sbatch: {submitted.returncode}) and left {len(waiting)} of {job.n_blocks} blocks "
        f"undone{said}",
        hint=f"Its logs are in {folder}. Give the same command again; it does what is missing.",
    )
