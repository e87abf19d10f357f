"""`foretell finetune`: a trained model goes on, on data of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigError, nearest
from pipelines.train import LearningOptions, learn, start_of

TASKS = ("continue",)
ADAPTERS = ("full",)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions):
    init_from: Path
    """The bundle to go on from, or a folder that transformers or mamba-ssm saved; its ids must be the store's."""
    task: str = "continue"
    """continue: the same objective on other data."""
    adapter: str = "full"
    """full: every weight is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, value, known in (("task", self.task, TASKS), ("adapter", self.adapter, ADAPTERS)):
            if value not in known:
                raise ConfigError(
                    f"{key}: got {value!r}{nearest(value, known)}",
                    hint=f"This version has: {', '.join(known)}.",
                )


OPTIONS = FinetuneOptions


def run(options: FinetuneOptions) -> None:
    learn(options, start_of(options.init_from, options.init_vocabulary), {})
