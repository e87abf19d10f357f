"""The launcher `dask`: blocks as tasks of a Dask cluster, of a running scheduler or one that is started here.

Dask gives the block of a worker that died to another; one that has ended several is searched here for the items that
do it. A scheduler that goes away ends the run; the blocks that are done stay, and the same command goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, ResourceError
from core.launch import Work, usable_cores
from core.launch.dask_block import run_block
from core.launch.killers import killers
from core.launch.local import DEATHS

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2
"""How often Dask tries a block again whose worker raised."""
_SECONDS = 0.2
"""How often a signal is looked for while blocks are waited for."""
_FOR_OWN_WORKERS = {
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}
"""Dask's own choice gives memory back to the system at every free of 64 KB: a model then spends as much time on getting
it anew as on computing."""
_GONE = "Is the scheduler still there? Give the same command again to go on."


def run(work: Work) -> None:
    if not work.todo:
        return
    with _client(work) as client:
        _Cluster(work, client).run()


class _Cluster:
    """Blocks that are out, and what comes of them."""

    def __init__(self, work: Work, client: Client) -> None:
        self.work, self.client = work, client
        self.said = {"kind": work.job.kind, **work.job.to_config(whole=False)}  # tasks are many
        self.out: dict[Future, int] = {}

    def run(self) -> None:
        from distributed import wait
        from distributed.client import FuturesCancelledError
        from distributed.comm.core import CommClosedError

        try:
            for block in self.work.todo:
                self._give(block)
            while self.out:
                self.work.stop.check()
                try:
                    ended = wait(list(self.out), timeout=_SECONDS, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    if self.client.status not in ("running", "connecting"):
                        raise ResourceError("the Dask scheduler went away", hint=_GONE) from None
                    continue
                for future in ended:
                    self._heard(future, self.out.pop(future))
        except (CommClosedError, FuturesCancelledError) as error:
            raise ResourceError("the connection to the Dask scheduler was lost", hint=_GONE) from error
        finally:
            self.client.cancel(list(self.out))

    def _give(self, block: int, killed: tuple[int, ...] = ()) -> None:
        key = f"foretell-{self.work.job.hash[:12]}-{block}" + ("-without" if killed else "")
        asked = (self.work.job.hash, self.said, block, killed)
        future = self.client.submit(run_block, *asked, key=key, pure=False, retries=RETRIES)
        self.out[future] = block

    def _heard(self, future: Future, block: int) -> None:
        from distributed import KilledWorker

        if future.cancelled():
            raise ResourceError("the Dask scheduler went away, or somebody cancelled the work", hint=_GONE)
        error = future.exception()
        if error is None:
            found = future.result()
            if found is None:
                self.work.done(block)
            else:
                self.work.damaged(block, found)
        elif isinstance(error, KilledWorker):
            rows = killers(self.work.job, block, self.work.stop.check)
            if not rows:
                raise ResourceError(
                    f"{self.work.job.said(block)} has ended its workers, and no part of it alone ends a process here",
                    hint="Have the workers memory enough? Give the same command again to go on.",
                ) from error
            self._give(block, tuple(rows))
        else:
            raise error


@contextmanager
def _client(work: Work) -> Iterator[Any]:
    """Of the scheduler that was named, or of a cluster of processes on this machine.

    Raises ConfigError where Dask is not installed, ResourceError where no scheduler answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError("launcher=dask needs distributed", hint="pip install 'foretell[cluster]'") from error
    options = work.options
    with ExitStack() as stack:
        if options.scheduler:
            try:
                client = Client(options.scheduler, timeout=10)
            except (OSError, ValueError) as error:
                raise ResourceError(f"no Dask scheduler answers at {options.scheduler}: {error}") from error
        else:
            workers = options.workers or max(1, usable_cores() // work.job.threads)
            stack.enter_context(_environment_as_before())
            stack.enter_context(dask.config.set(_FOR_OWN_WORKERS))
            cluster = LocalCluster(
                n_workers=min(workers, len(work.todo)), threads_per_worker=1, processes=True, dashboard_address=None
            )
            client = Client(stack.enter_context(cluster))
        yield stack.enter_context(client)


@contextmanager
def _environment_as_before() -> Iterator[None]:
    """What Dask sets in this process for the workers that it starts is gone after it."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
