"""Progress bars of the verbs that read and predict; training draws its own. Silent where none is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from core.ingest import Progress as ReadingProgress
    from core.prediction.predict import Progress as BlockProgress


@contextmanager
def reading_bar(shown: bool) -> Iterator[ReadingProgress | None]:
    """Bytes read and records so far, one line a pass over the source."""
    if not shown:
        yield None
        return
    with _bar("{task.fields[what]}") as bar:
        tasks: dict[str, Any] = {}

        def update(phase: str, done: int, total: int | None, records: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total, what="")
            bar.update(tasks[phase], completed=done, total=total, what=f"{records:,} records")

        yield update


@contextmanager
def block_bar(shown: bool) -> Iterator[Callable[[BlockProgress], None] | None]:
    """Rows done; rows and tokens a second, rows refused so far, and the time left at this rate."""
    if not shown:
        yield None
        return
    with _bar("{task.fields[what]}", left=False) as bar:
        task = bar.add_task("predicting", total=None, what="")

        def update(progress: BlockProgress) -> None:
            left = timedelta(seconds=round(progress.seconds_left)) if progress.rows_per_second else "?"
            what = (
                f"{progress.rows_done:,} of {progress.rows:,} rows, {progress.rows_per_second:,.0f} rows/s, "
                f"{progress.tokens_per_second:,.0f} tokens/s, {progress.refused:,} refused, {left} left"
            )
            bar.update(task, completed=progress.rows_done, total=progress.rows, what=what)

        yield update


def _bar(text: str, *, left: bool = True) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn(text))
    return Progress(*columns, *([TimeRemainingColumn()] if left else []), console=Console(stderr=True))
