"""What a launcher must know of a job: how a process opens it, which blocks are done, and a form that travels.

Jobs are of kinds, each with a class that makes one again from plain JSON values, in a worker or on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from core.registry import Registry


class Runner(Protocol):
    """A job that is open in a process."""

    def run(self, block: int, killed: Many[int] = ()) -> None:
        """Does a block and marks it as done, last of all.

        Args:
            killed: items, counted from the block's first, that are refused untried, as they kill who tries them.

        Raises IntegrityError where the block's input is damaged: the others go on.
        """
        ...

    def try_items(self, block: int, items: Many[int]) -> None:
        """Does these items of a block and forgets what came of it."""
        ...


class Job(Protocol):
    """Blocks 0 to n_blocks - 1, in any order and by any process."""

    kind: ClassVar[str]
    """Its name in JOBS."""

    @property
    def output(self) -> Path:
        """What it writes; what launchers keep of their own lies beside it."""
        ...

    @property
    def hash(self) -> str:
        """Equal for equal blocks."""
        ...

    @property
    def n_blocks(self) -> int: ...

    @property
    def threads(self) -> int:
        """Of a worker."""
        ...

    def open_runner(self, between: Callable[[], None] = lambda: None) -> Runner:
        """Opens it in this process.

        Args:
            between: called where the work may end; may raise.

        Raises IntegrityError where the inputs are not those of the job.
        """
        ...

    def is_done(self, block: int) -> bool: ...

    def items(self, block: int) -> int:
        """Items of a block that can be tried apart; 0 where a block is done whole or not at all."""
        ...

    def said(self, block: int) -> str:
        """What a person knows a block by."""
        ...

    def to_config(self, *, whole: bool = True) -> dict[str, Any]:
        """JSON values; places are absolute. Not `whole`: without what a worker finds in the output."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ResourceError where this process does not see what it needs."""
        ...


JOBS: Registry[type[Job]] = Registry(
    "job", {"prediction": "core.prediction.job:Job", "preparation": "core.ingest.job:PartsJob"}
)


def job_from(config: Mapping[str, Any]) -> Job:
    """The job whose `to_config` was, with its `kind`, what `config` holds."""
    return JOBS.get(config["kind"]).from_config(config)
