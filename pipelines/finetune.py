"""`foretell finetune`: a trained model goes on, on data of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import ConfigError, nearest
from pipelines.train import LearningOptions, learn, start_of

TASKS = ("continue", "tokens")
ADAPTERS = ("full",)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions):
    init_from: Path
    """The bundle to go on from, or a folder that transformers or mamba-ssm saved; its ids must be the store's."""
    task: str = "continue"
    """continue: the same objective on other data. tokens: the answers of a store that was prepared with tasks=, whose
    symbols are added to the model's."""
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
    if options.task == "tokens":
        options = replace(options, batching={"kind": "buckets", **options.batching})  # a question needs its whole row
        check_tasks(options.store)
    learn(options, start_of(options.init_from, options.init_vocabulary), {})


def check_tasks(stores: tuple[Path, ...]) -> None:
    """Raises ConfigError for a store without tasks."""
    from core.store import TokenStore

    for path in stores:
        if TokenStore.open(path).tokenizer["kind"] != "tasks":
            raise ConfigError(
                f"task=tokens: {path} was prepared without tasks",
                hint="Prepare it with tasks.NAME.kind=... tasks.NAME.column=...; see docs/tasks.md.",
            )
