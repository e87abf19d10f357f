"""What a run folder holds, read for `report`, `compare` and `describe`; also while the run is going on."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.durable import read_json
from core.evaluation import MetricTable
from core.run_folder import read_config
from pipelines.evaluate import FACTS

_TAIL_BYTES = 2**16


@dataclass(frozen=True)
class RunRecord:
    """A run folder. Raises ConfigError where `path` is none, IntegrityError where a file of it is damaged."""

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        return read_config(self.path)

    @cached_property
    def bundle(self) -> dict[str, Any] | None:
        """config.json of the best weights so far; None before the first validation."""
        path = self.path / "bundle" / "config.json"
        return dict(read_json(path)) if path.is_file() else None

    @cached_property
    def bundle_fingerprint(self) -> str | None:
        from core.durable import file_digest

        path = self.path / "bundle" / "MANIFEST.json"
        return file_digest(path) if path.is_file() else None

    @cached_property
    def best(self) -> dict[str, Any]:
        """What was known when the best weights were saved: step, tokens, seconds_training, val_nll, bits."""
        path = self.path / "bundle" / "metrics.json"
        return dict(read_json(path)) if path.is_file() else {}

    @property
    def n_parameters(self) -> int | None:
        """Numbers in the weights of the bundle; None where there is none."""
        path = self.path / "bundle" / "model.safetensors"
        if not path.is_file():
            return None
        from safetensors import safe_open

        with safe_open(path, "pt") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
        return sum(int(math.prod(shape)) for shape in shapes)

    @property
    def steps_planned(self) -> int | None:
        path = self.path / "plan.json"
        return int(read_json(path)["steps"]) if path.is_file() else None

    @cached_property
    def last_step(self) -> dict[str, Any]:
        """The last whole line of steps.jsonl; empty before the first step."""
        path = self.path / "steps.jsonl"
        if not path.is_file():
            return {}
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]  # behind the last newline there is nothing, or a torn line
        return dict(json.loads(lines[-1])) if lines else {}

    @cached_property
    def curves(self) -> list[dict[str, float]]:
        """Rows of metrics.csv, each with what it has."""
        path = self.path / "metrics.csv"
        if not path.is_file():
            return []
        with open(path, newline="", encoding="utf-8") as file:
            return [{k: float(v) for k, v in row.items() if k and v} for row in csv.DictReader(file)]

    @property
    def is_running(self) -> bool:
        """Whether a process holds the folder's lock."""
        lock = self.path / ".lock"
        if os.name != "posix" or not lock.is_file() or not os.access(lock, os.W_OK):
            return False
        import fcntl

        with open(lock, "r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    @property
    def state(self) -> str:
        """running, finished, stopped, or not started."""
        if self.is_running:
            return "running"
        if not self.last_step:
            return "not started"
        return "finished" if self.last_step.get("step") == self.steps_planned else "stopped"

    @property
    def seconds(self) -> float | None:
        """Training time as far as metrics.csv goes."""
        return self.curves[-1].get("seconds") if self.curves else None

    @property
    def unit(self) -> str:
        """The natural unit that validation is given in."""
        return self.measure.rpartition(" ")[2]

    @cached_property
    def measure(self) -> str:
        """What the curves show: `bits per base`, or `loss per step` where the loss is no likelihood."""
        names = [name for row in self.curves for name in row if re.fullmatch(r"val_(bits|loss)_per_\w+", name)]
        return names[0].removeprefix("val_").replace("_per_", " per ") if names else "bits per token"

    @property
    def val_column(self) -> str:
        """The column of metrics.csv that has it."""
        return f"val_{self.measure.replace(' ', '_')}"

    @cached_property
    def bits_per_nat(self) -> float:
        """What a loss of 1 per token is shown as."""
        for row in self.curves:
            nats, bits = row.get("val_nll"), row.get(self.val_column)
            if nats and bits:
                return bits / nats
        return 1 / math.log(2)

    def column(self, name: str, by: str = "tokens") -> tuple[list[float], list[float]]:
        """(x, y) of a column of metrics.csv where it has a value; x is step, seconds, or tokens (steps times mean)."""
        last = self.last_step
        a_step = last["tokens"] / last["step"] if last else 0.0  # rows of a validation have no tokens of their own
        rows = [{**row, "tokens": row["step"] * a_step} for row in self.curves if name in row]
        return [row[by] for row in rows], [row[name] for row in rows]

    @property
    def validations(self) -> list[float]:
        """Each validation as `measure` says, in order."""
        return self.column(self.val_column)[1]

    def beside(self, name: str) -> Path | None:
        """`name` in the run folder, or next to it; None where it is in neither place."""
        for place in (self.path / name, self.path.resolve().parent / name):
            if place.exists():
                return place
        return None

    def evaluation(self, folder: Path | None = None) -> tuple[Path, MetricTable] | None:
        """The evaluation of this run's bundle, not of another one's."""
        found = folder or self.beside("evaluation")
        if found is None or not (found / FACTS).is_file():
            return None
        if read_json(found / FACTS).get("bundle") != self.bundle_fingerprint:
            return None
        return found, MetricTable.read(found)
