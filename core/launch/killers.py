"""Which items of a block (rows) kill the process that tries them: found by letting workers try parts of it.

The smallest beginning of the block that kills ends with a killer; a binary search finds it with as many deaths as the
block has doublings and one more, and the search goes on without it until the rest survives. Only what kills again is
found: a worker that something else ended loses nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable

from core.launch.job import Job
from core.launch.worker import Worker


def killers(job: Job, block: int, check: Callable[[], None] = lambda: None) -> list[int]:
    """Items of the block, counted from its first, that no process survives; empty where all of them do, or where none
    can be tried apart.

    Args:
        check: called before every try; may raise to stop.
    """
    items, found = list(range(job.items(block))), list[int]()
    if not items:
        return []
    worker = Worker(job)
    try:

        def survives(part: list[int]) -> bool:
            nonlocal worker
            check()
            if worker.try_items(block, part):
                return True
            worker.end()
            worker = Worker(job)
            return False

        while items and not survives(items):
            low, high = 0, len(items)  # a beginning of `low` items survives, one of `high` does not
            while high - low > 1:
                middle = (low + high) // 2
                if survives(items[:middle]):
                    low = middle
                else:
                    high = middle
            if not survives(items[:high]):  # else something else had ended the worker at the beginning
                found.append(items.pop(high - 1))
    finally:
        worker.end()
    return sorted(found)
