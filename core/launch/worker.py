"""A worker process: opens a job once, then computes the blocks that it is told over a pipe, until the pipe closes.

It ends by itself when the process that started it is gone. What it says is plain tuples, so that an error of any kind
can be told; a worker that dies says nothing, and that is noticed too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from collections.abc import Sequence as Many
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from core import errors
from core.errors import ForetellError, IntegrityError, ResourceError, StoppedError
from core.launch.job import Job
from core.launch.stop import Stop

CONTEXT = multiprocessing.get_context("spawn")
"""Not fork: torch has threads."""
PATIENCE = 10.0
"""Seconds that a worker has to end after it was told to."""


class Worker:
    """A process that does one thing at a time.

    Args:
        job: what it opens.
    """

    def __init__(self, job: Job) -> None:
        self.connection, there = CONTEXT.Pipe()
        self.process: BaseProcess = CONTEXT.Process(target=_serve, args=(job, there), daemon=True)
        self.process.start()
        there.close()
        self.block: int | None = None
        """What it is at."""

    def give(self, block: int, refused: Many[int] = ()) -> None:
        """Has it write a block, its items `refused` counted as `worker_killed`."""
        self.block = block
        self._send(("run", block, tuple(refused)))

    def try_items(self, block: int, items: Many[int]) -> bool:
        """Whether the worker lives through these items of a block; nothing is written. Waits."""
        self._send(("try", block, tuple(items)))
        answer = self.answer()
        return answer is not None and answer[0] != "died"

    def answer(self) -> tuple[str, ...] | None:
        """What it says next, waited for: ("done",), ("damaged", message), ("stopped",); None when it has died.

        Raises the error that it met, where that is no damage of the input.
        """
        try:
            kind, *what = self.connection.recv()
        except (EOFError, OSError):
            return None
        if kind == "failed":
            name, message, hint = what
            raise getattr(errors, name, ForetellError)(message, hint=hint)
        return (kind, *what)

    def end(self) -> None:
        """Lets it finish what it is at between two batches, and waits; kills it where it does not."""
        self.connection.close()
        if self.block is None:  # it ends by itself, and a signal would meet it while it cleans up
            self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()

    def _send(self, message: tuple[str, int, tuple[int, ...]]) -> None:
        with contextlib.suppress(OSError):  # it has died: `answer` will tell
            self.connection.send(message)


def _serve(job: Job, connection: Connection) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        with Stop() as stop:

            def between() -> None:
                stop.check()
                if not parent.is_alive():
                    raise SystemExit

            runner = job.open_runner(between)
            while True:
                kind, block, items = connection.recv()
                try:
                    if kind == "run":
                        runner.run(block, items)
                    else:
                        runner.try_items(block, items)
                except IntegrityError as error:
                    connection.send(("damaged", error.message))
                else:
                    connection.send(("done",))
    except (EOFError, BrokenPipeError):
        return
    except StoppedError:
        answer: tuple[str, ...] = ("stopped",)
    except MemoryError:
        answer = _failed(ResourceError("a worker has no memory left", hint="Give fewer workers, or smaller batches."))
    except ForetellError as error:
        answer = _failed(error)
    except Exception:
        answer = _failed(ForetellError(f"a worker failed:\n{traceback.format_exc()}"))
    with contextlib.suppress(OSError):  # nobody is left who could be told
        connection.send(answer)


def _failed(error: ForetellError) -> tuple[str, ...]:
    return ("failed", type(error).__name__, error.message, error.hint)
