"""`foretell finetune`: a trained model goes on, on data of one's own: more sequences, or labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from core.errors import ConfigError, nearest
from core.finetuning.config import TASKS as LABEL_TASKS
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.training.config import TrainingConfig
from pipelines.options import Some
from pipelines.settings import command, finish
from pipelines.train import LearningOptions, learn, start_of

TASKS = ("continue", "tokens", *LABEL_TASKS)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions):
    init_from: Path
    """The bundle to go on from, or a folder that transformers or mamba-ssm saved; its ids must be the store's."""
    task: str = "continue"
    """continue: the same objective on other data. classify, regress: labels of the store, by a head over pooled hidden
    states. tokens: the answers of a store that was prepared with tasks=, whose symbols are added to the model's."""
    label: tuple[str, ...] = ()
    """Of classify and regress, required: the label's column as the store has it; several as [a,b], of numbers, or of 0
    and 1. A label of single tokens gives each token its own prediction."""
    pairs: Path | None = None
    """Of classify and regress: a CSV of pairs whose labels are learned; two columns name records of the store (first,
    second), `label` is a column of it. A pair is tested where one of its records is in the test part."""
    adapter: str = "full"
    """full: every weight is trained; head: the head alone (of continue: the readouts); lora, dora, ia3: small matrices
    or vectors beside the projections, by peft."""
    rank: int = 4
    """Of lora and dora."""
    alpha: float = 8.0
    """Of lora and dora: their branch is scaled by alpha / rank."""
    adapter_dropout: float = 0.0
    """Of lora and dora."""
    targets: tuple[str, ...] = ()
    """Projections that are adapted: some of in_proj, x_proj, dt_proj, out_proj, fc1, fc2. Empty: in_proj,
    out_proj and fc2."""
    adapter_out: Path | None = None
    """Of classify and regress: a folder for the adapter alone as well, in peft's own format. The bundle has it merged,
    and apart in bundle/adapter."""
    scratch: bool = False
    """Of classify and regress: whether the same model from random weights is trained and measured beside it."""
    training: Annotated[dict[str, Any], Some(TrainingConfig)] = field(default_factory=dict)
    """How the weights change. Optimizer and rate, where null: those of what it starts from, at a third of its peak;
    adamw at 1e-3 for an adapter or another library's model."""
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    """Of classify and regress: how the labels are learned; `training` and `batching` say nothing then."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in TASKS:
            raise ConfigError(
                f"task: got {self.task!r}{nearest(self.task, TASKS)}", hint=f"This version has: {', '.join(TASKS)}."
            )
        _ = self.changed
        if self.label and self.task not in LABEL_TASKS:
            raise ConfigError(f"label: task={self.task} learns no label", hint="Add task=classify or task=regress.")

        if self.pairs is not None and self.task not in LABEL_TASKS:
            raise ConfigError(f"pairs: task={self.task} learns no label", hint="Add task=classify or task=regress.")

    @property
    def changed(self) -> AdapterConfig:
        return AdapterConfig(self.adapter, self.rank, self.alpha, self.adapter_dropout, self.targets)


OPTIONS = FinetuneOptions


def run(options: FinetuneOptions) -> None:
    if options.task in LABEL_TASKS:
        learn_labels(options)
        return
    if options.task == "tokens":
        options = replace(options, batching={"kind": "buckets", **options.batching})  # a question needs its whole row
        check_tasks(options.store)
    if options.task == "continue":
        tell_of_labels(options.store)
    from core.start import going_on

    start = start_of(options.init_from, options.init_vocabulary)
    learn(options, going_on(start, options.training, options.changed), start, {}, options.changed)


def tell_of_labels(stores: tuple[Path, ...]) -> None:
    """A line on labels that more sequences are learned without: who has prepared them may have meant to learn them."""
    from core.store import TokenStore

    for path in stores:
        store = TokenStore.open(path, verify="metadata")
        own = [name for name, found in (store.report.get("labels") or {}).items() if not found.get("own")]
        if own:
            names = ", ".join(own[:5])
            print(f"{path} has labels ({names}), which task=continue does not learn; task=regress or classify does")


def learn_labels(options: FinetuneOptions) -> None:
    """Prints what is learned from what, the verdict, and where the result lies."""
    import foretell
    from core.finetuning.job import LabelJob
    from core.store import TokenStore
    from domains.formats.pair_table import read_pairs

    options.begin()
    if len(options.store) != 1:
        raise ConfigError(f"store: task={options.task} learns the labels of one store, got {len(options.store)}")
    store = TokenStore.open(options.store[0])
    if options.dry_run:
        start = foretell.bundle_path(options.init_from)
        pairs = None if options.pairs is None else read_pairs(options.pairs)
        job = LabelJob(start, store, options.task, options.label, options.changed, options.supervised, pairs)
        print("\n".join(job.describe()))
        return
    if options.run is None:
        raise ConfigError("run= is required", hint="All keys: foretell finetune --help")
    model = foretell.finetune(
        options.init_from,
        store,
        options.run,
        task=options.task,
        label=options.label,
        adapter=options.changed,
        scratch=options.scratch,
        adapter_out=options.adapter_out,
        pairs=options.pairs,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        say=lambda text: print(text, flush=True),
        **{name: getattr(options.supervised, name) for name in SupervisedConfig.__dataclass_fields__},
    )
    table = options.run / "evaluation" / "table.md"
    print(f"{table}:\n{table.read_text(encoding='utf-8')}" if table.is_file() else "")
    print(model.bundle.metrics["verdict"])
    if options.pairs is None:
        following = command(
            "predict", bundle=options.run, input="NEW.zarr", output="said.zarr", what="[predict]", table="said.csv"
        )
    else:
        following = command("predict", bundle=options.run, input="NEW.zarr", pairs="NEW.csv", output="said.csv")
    finish(f"model in {model.bundle.path}, its card in {model.bundle.path / 'card.md'}", following)


def check_tasks(stores: tuple[Path, ...]) -> None:
    """Raises ConfigError for a store without tasks."""
    from core.store import TokenStore

    for path in stores:
        if TokenStore.open(path).tokenizer["kind"] != "tasks":
            raise ConfigError(
                f"task=tokens: {path} was prepared without tasks",
                hint="Prepare it with tasks.NAME.kind=... tasks.NAME.column=...; see docs/tasks.md.",
            )
