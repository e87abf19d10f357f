"""Where a run stands: the numbers that a checkpoint carries beside tensors, and the facts of one finished step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Course:
    """Counts over the whole run, all its resumptions together."""

    step: int = 0
    """Finished steps; the next one has this number, 0-based."""
    tokens: int = 0
    """Predicted tokens so far, all processes together."""
    seconds: float = 0.0
    """Wall time inside the training loop, validation and saving included."""
    validated: int = -1
    """The step that was validated last; -1: none yet."""
    last_val: float | None = None
    """Its result, nats per predicted token."""
    best_val: float | None = None
    best_step: int = 0
    refitted: bool = False
    """Whether the last layers were solved, where the config asks for it."""
    logs: dict[str, int] = field(default_factory=dict)
    """Length of each log file in bytes: what is longer was written after."""

    def to_config(self) -> dict[str, Any]:
        return asdict(self)

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes over what `to_config` gave."""
        for name in asdict(self):
            setattr(self, name, values.get(name, getattr(self, name)))


@dataclass(frozen=True)
class StepFacts:
    """One finished step of the whole run, the same on every process."""

    step: int
    """1-based: how many steps are finished with it."""
    loss: float
    """Mean nats per predicted token, over all its batches."""
    grad_norm: float
    """Before clipping."""
    lr: float
    rows: str
    """sha256 of the row ids that it read."""
    tokens: int
    """Predicted tokens up to and with it."""
