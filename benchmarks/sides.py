"""Two processes that take turns: ours, set up as training sets itself up, and the peers', as their users run them.

What a process settles for itself, as how freed memory is kept, reaches nobody on the other side.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import torch

from benchmarks.peers import Shape
from benchmarks.steps import Contender, Facts
from core.kernels.memory import keep_freed_memory

Make = Callable[[str, Shape, bool], list[Contender]]
"""(question, shape, ours) -> the contenders of that side; a function of a module."""


@dataclass(frozen=True)
class Step:
    """The next step of a contender on a side; calling it returns the real tokens of its batch."""

    side: Side
    number: int
    facts: Facts

    def __call__(self) -> int:
        return self.side.ask("step", self.number)  # type: ignore[return-value]


class Side:
    """A process that holds the contenders of one question at a time."""

    def __init__(self, make: Make, *, ours: bool, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, ours, threads), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join()

    def contenders(self, question: str, shape: Shape) -> list[Step]:
        """Those of a question; the ones before are gone."""
        facts: list[Facts] = self.ask("make", question, shape)  # type: ignore[assignment]
        return [Step(self, number, of) for number, of in enumerate(facts)]

    def ask(self, *task: object) -> object:
        """Raises RuntimeError where the process has failed; its own error stands on stderr."""
        try:
            self._connection.send(task)
            return self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(f"a contender's process failed at {task}") from error


def _serve(connection: Connection, make: Make, ours: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    if ours:
        keep_freed_memory()
    held: list[Contender] = []
    while True:
        try:
            task, *arguments = connection.recv()
        except EOFError:
            return
        if task == "make":
            held.clear()
            torch.manual_seed(0)
            held.extend(make(*arguments, ours))
            connection.send([contender.facts for contender in held])
        else:
            connection.send(held[arguments[0]]())
