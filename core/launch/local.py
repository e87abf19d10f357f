"""The launcher `local`: several processes on this machine, each with a job of its own open and its own blocks.

A worker that dies is replaced and its block given out again. A block that has killed twice is searched for the items
that do it, and made without them.
"""

from __future__ import annotations

from collections import Counter, deque
from multiprocessing.connection import wait

from core.errors import ResourceError
from core.launch import Work, usable_cores
from core.launch.killers import killers
from core.launch.worker import Worker

DEATHS = 2
"""After so many deaths a block is searched for what kills."""
MOST_DEATHS = 6
"""After so many it is given up, where no item of it alone kills."""
_SECONDS = 0.2
"""How often a signal is looked for while workers are waited for."""


def run(work: Work) -> None:
    if not work.todo:
        return
    pool = _Pool(work)
    try:
        pool.run()
    finally:
        pool.end()


class _Pool:
    """Workers and what they are at."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.waiting = deque(work.todo)
        self.refused: dict[int, list[int]] = {}
        self.deaths: Counter[int] = Counter()
        wanted = work.options.workers or usable_cores() // work.job.threads
        self.workers = [Worker(work.job) for _ in range(max(1, min(wanted, len(work.todo))))]

    def run(self) -> None:
        for worker in self.workers:
            self._next(worker)
        while busy := {w.connection: w for w in self.workers if w.block is not None}:
            self.work.stop.check()
            for connection in wait(list(busy), _SECONDS):
                self._heard(busy[connection])  # type: ignore[index]

    def end(self) -> None:
        for worker in self.workers:
            worker.end()

    def _next(self, worker: Worker) -> None:
        worker.block = None
        if self.waiting:
            block = self.waiting.popleft()
            worker.give(block, self.refused.get(block, ()))

    def _heard(self, worker: Worker) -> None:
        block, answer = worker.block, worker.answer()
        assert block is not None
        if answer is None:
            self._died(worker, block)
            return
        if answer[0] == "stopped":
            self.work.stop.check()
            self._died(worker, block)  # somebody else stopped it
            return
        if answer[0] == "damaged":
            self.work.damaged(block, answer[1])
        else:
            self.work.done(block)
        self._next(worker)

    def _died(self, worker: Worker, block: int) -> None:
        worker.end()
        self.deaths[block] += 1
        if self.deaths[block] == DEATHS:
            self.refused[block] = killers(self.work.job, block, self.work.stop.check)
        if self.deaths[block] >= MOST_DEATHS:
            raise ResourceError(
                f"{self.work.job.said(block)} has ended {self.deaths[block]} workers, and no part of it alone does",
                hint="Is there memory for so many? Give the same command with fewer workers; what is done stays.",
            )
        self.waiting.appendleft(block)
        self.workers[self.workers.index(worker)] = fresh = Worker(self.work.job)
        self._next(fresh)
