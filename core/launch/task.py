"""One task of an array job: every n-th of the blocks that a job file lists.

    python -m core.launch.task OUTPUT.slurm/job.json NUMBER

The blocks are computed by a worker process, so that an item that kills it is found and left out; blocks that somebody
has done meanwhile are left alone. Damage of the input is written beside the job, one file a task, for the process that
completes the output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.durable import read_json, write_json_durably
from core.errors import ForetellError
from core.launch import LaunchOptions, Work
from core.launch.job import job_from
from core.launch.local import run
from core.launch.stop import Stop


def run_task(path: Path, number: int) -> int:
    """Runs blocks `number`, `number` + tasks ... of the list. Returns how many it did."""
    config = read_json(path)
    job, finished, damage = job_from(config), list[int](), dict[int, str]()
    mine = config["todo"][number :: config["tasks"]]
    todo = [block for block in mine if not job.is_done(block)]

    def done(block: int) -> None:
        finished.append(block)
        print(f"block {block} is done", flush=True)

    def damaged(block: int, message: str) -> None:
        damage[block] = message
        print(f"block {block}: {message}", flush=True)

    with Stop() as stop:
        run(Work(job, todo, done, damaged, stop, LaunchOptions(workers=1)))
    if damage:
        write_json_durably(path.with_name(f"damage-{number}.json"), damage)
    return len(finished)


def damage_of(folder: Path) -> dict[int, str]:
    """Block to what is damaged, as the tasks of the job in `folder` found."""
    found: dict[int, str] = {}
    for file in sorted(folder.glob("damage-*.json")):
        found |= {int(block): message for block, message in read_json(file).items()}
    return found


def main(arguments: list[str]) -> int:
    try:
        path, number = Path(arguments[0]), int(arguments[1])
    except (IndexError, ValueError):
        print("usage: python -m core.launch.task JOB.json NUMBER", file=sys.stderr)
        return 2
    try:
        print(json.dumps({"blocks_done": run_task(path, number)}))
    except ForetellError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
