"""A run's two text files: `steps.jsonl`, one line a step, and `metrics.csv`, the curves.

Each line is one write to the operating system, so a killed process leaves at most a torn last line. A checkpoint knows
how long the files were; going on cuts them back to it.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from pathlib import Path

from core.durable import resources_named
from core.training.course import StepFacts

log = logging.getLogger(__name__)


class AppendedFile:
    """A file that only grows, line by line; cut back once, when it is opened.

    Args:
        path: made where it is missing.
        length: bytes to keep of what is there.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        with resources_named(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            found = os.fstat(self._descriptor).st_size
            if found < length:
                log.warning("%s has %s bytes, the checkpoint knew %s: lines are lost in it", path, found, length)
            os.ftruncate(self._descriptor, min(found, length))
        self.length = min(found, length)

    def append(self, line: str) -> None:
        """Raises ResourceError."""
        data = memoryview(line.encode())
        with resources_named(self.path):
            while data:
                written = os.write(self._descriptor, data)
                data = data[written:]
                self.length += written

    def sync(self) -> None:
        """Waits until what was written is on disk."""
        with resources_named(self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class StepLog(AppendedFile):
    """steps.jsonl: what each step read and what came out, without clocks: equal runs write equal bytes."""

    def write(self, facts: StepFacts) -> None:
        self.append(
            json.dumps(
                {"step": facts.step, "loss": facts.loss.hex(), "rows": facts.rows, "tokens": facts.tokens},
            )
            + "\n"
        )


class MetricTable(AppendedFile):
    """metrics.csv: rows of some of `columns`, the rest of a row empty: a row of training has no validation."""

    def __init__(self, path: Path, columns: list[str], length: int = 0) -> None:
        super().__init__(path, length)
        self.columns = columns
        if not self.length:
            self._row(columns)

    def write(self, values: dict[str, float]) -> None:
        self._row([_number(values[name]) if name in values else "" for name in self.columns])

    def _row(self, cells: list[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self.append(text.getvalue())


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.7g}"
