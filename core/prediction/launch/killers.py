"""Which rows of a block kill the process that predicts them: found by letting workers try parts of it.

The smallest beginning of the block that kills ends with a killer; a binary search finds it with as many deaths as the
block has doublings, and the search goes on without it until the rest survives. Only what is killed again each time is
found: a worker that something else ended loses nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable

from core.prediction.job import Job
from core.prediction.launch.worker import Worker


def killers(job: Job, block: int, check: Callable[[], None] = lambda: None) -> list[int]:
    """Rows of the block, counted from its first, that no process survives; empty where all of them do.

    Args:
        check: called before every try; may raise to stop.
    """
    start, stop = job.plan.block(block)
    rows, found = list(range(stop - start)), []
    worker = Worker(job)
    try:

        def survives(part: list[int]) -> bool:
            nonlocal worker
            check()
            if worker.try_rows(block, part):
                return True
            worker.end()
            worker = Worker(job)
            return False

        while rows and not survives(rows):
            low, high = 0, len(rows)  # a beginning of `low` rows survives, one of `high` rows does not
            while high - low > 1:
                middle = (low + high) // 2
                if survives(rows[:middle]):
                    low = middle
                else:
                    high = middle
            found.append(rows.pop(high - 1))
    finally:
        worker.end()
    return sorted(found)
