"""`foretell train`: a model from a token store, in a run folder that the same command goes on in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from core.batching.config import VAL_TOKENS, BatchingConfig
from core.errors import ConfigError
from core.nn.config import ModelConfig, size_config
from core.training.config import TrainingConfig
from pipelines.options import Some
from pipelines.settings import Settings, command, finish

if TYPE_CHECKING:
    from core.finetuning.config import AdapterConfig
    from core.recipe import Recipe, Source
    from core.start import Start
    from core.training.fit import FitResult

EARLY = 0.25
"""Share of the steps before which a best validation is told to have come early."""


@dataclass(frozen=True)
class SizedModel(ModelConfig):
    """The keys below `model`."""

    size: str = "s"
    """xs, s, m or l: about 0.3, 2, 10 and 100 million parameters. Also size=s."""


@dataclass(frozen=True, kw_only=True)
class LearningOptions(Settings):
    """What train and finetune have in common."""

    store: tuple[Path, ...] = ()
    """Required: one token store, or several as [a.zarr,b.zarr]."""
    weights: tuple[float, ...] = ()
    """With several stores: how many rows are taken of each, in proportion. Equal where not given."""
    run: Path | None = None
    """Required: the run folder. The same command again goes on in it; another run's folder is refused."""
    domain: str | None = None
    """The store's where not given; a store of another domain is refused."""
    init_vocabulary: Literal["keep", "new"] = "keep"
    """With init_from: keep its embedding and readout, whose ids must be the store's, or learn new ones."""
    objective: dict[str, Any] = field(default_factory=lambda: {"kind": "next_token"})
    """What is learned; a group of configs: objective=multi_token objective.tokens=3."""
    readouts: dict[str, Any] = field(default_factory=dict)
    """Kind of readout per target field, where it is not the usual one: readouts.values=mse."""
    views: bool = True
    """Whether training reads windows in the tokenizer's other readings as well (reverse complement for DNA)."""
    val_tokens: int = VAL_TOKENS
    """About so many tokens of the validation spans are read at each validation, evenly spread; 0: all."""
    batching: Annotated[dict[str, Any], Some(BatchingConfig)] = field(default_factory=dict)
    """How rows and batches are cut; null: as suits the data, or as what it starts from was trained, where that fits."""

    def begin(self) -> None:
        from core.training.precision import zero_subnormals

        super().begin()
        zero_subnormals()


@dataclass(frozen=True, kw_only=True)
class TrainOptions(LearningOptions):
    training: TrainingConfig
    """How the weights change."""
    init_from: Path | None = None
    """A bundle to start from instead of random weights, or a folder that transformers or mamba-ssm saved."""
    model: Annotated[dict[str, Any], Some(SizedModel)] = field(default_factory=dict)
    """The backbone; null: as its size and pattern have it, or that of what it starts from."""


OPTIONS = TrainOptions


def run(options: TrainOptions) -> None:
    init_from = start_of(options.init_from, options.init_vocabulary)
    learn(options, options.training, init_from, options.model)


def learn(
    options: LearningOptions,
    training: TrainingConfig,
    init_from: Start | None,
    model: Mapping[str, Any],
    adapter: AdapterConfig | None = None,
) -> None:
    """Trains as the options say and prints where the result lies; or only tells of it in a dry run.

    Args:
        training: how the weights change.
        model: what the options say of the backbone.
        adapter: which weights change; all where it is None.
    """
    from core.recipe import train
    from core.training.place import is_first
    from pipelines.estimate import training_estimate

    options.begin()
    foreseen = options.dry_run and not all(path.exists() for path in options.store)
    source = open_source(options, init_from) if options.store and not foreseen else None
    batching = batching_of(options, source, init_from)
    recipe = recipe_of(options, training, batching, model_config(model, batching.length, init_from))
    if init_from is not None and not options.readouts:
        recipe = replace(recipe, readouts=init_from.readouts)
    if adapter is not None and adapter.kind != "full":
        recipe = replace(recipe, adapter=adapter)
    if options.dry_run:
        print(training_estimate(recipe, source, options.domain))
        return
    if source is None or options.run is None:
        raise ConfigError(
            f"{'store' if source is None else 'run'}= is required", hint="All keys: foretell train --help"
        )
    result = train(
        recipe,
        source,
        options.run,
        init_from=init_from,
        workers=options.workers,
        progress=options.shows_progress,
    )
    if not is_first():
        return
    before = f" (went on from step {result.resumed_from:,})" if result.resumed_from else ""
    if result.resumed_from >= result.steps:
        before = " (finished before)"
    print(
        f"{result.steps:,} steps, {result.tokens:,} tokens in {result.seconds:.0f} s{before}, {result.precision}; "
        f"best validation {result.best_bits:.5g} {result.measure} at step {result.best_step:,}"
    )
    if told := told_by_validation(result):
        print(told)
    finish(f"model in {result.bundle}", command("evaluate", bundle=result.bundle, store=options.store[0]))


def told_by_validation(result: FitResult) -> str:
    """What the step that is kept says of the run; nothing where it is a late one."""
    if result.best_step == 0:
        return (
            "no validation was better than what training started from, which is kept: try a smaller training.lr, an "
            "adapter, or more data"
        )
    if result.best_step < EARLY * result.steps:
        share = 100 * result.best_step / result.steps
        return (
            f"validation was best {share:.2g} % of the way and worse from then on, as where few data are learned by "
            f"heart: try training.minutes=0 training.steps={2 * result.best_step}, a smaller model or more data"
        )
    return ""


def recipe_of(
    options: LearningOptions, training: TrainingConfig, batching: BatchingConfig, model: ModelConfig
) -> Recipe:
    from core.recipe import Recipe

    return Recipe(
        model=model,
        batching=batching,
        training=training,
        objective=str(options.objective.get("kind")),
        objective_options={k: v for k, v in options.objective.items() if k != "kind" and v is not None},
        readouts=options.readouts,
        seed=options.seed,
        views=options.views,
        val_tokens=options.val_tokens,
    )


def batching_of(options: LearningOptions, source: Source | None, init_from: Start | None) -> BatchingConfig:
    """What suits the data and the start, changed as the options say.

    Raises ConfigError for values that contradict each other.
    """
    from core.recipe import suited_batching

    given = options.batching
    return suited_batching(source, given, init_from) if source is not None else BatchingConfig(**given)


def model_config(given: Mapping[str, Any], context: int, init_from: Start | None = None) -> ModelConfig:
    """The backbone that the keys below `model` describe; that of what it starts from where they name none.

    Raises ConfigError for values that are not allowed.
    """
    changes = {"context": context, **{k: v for k, v in given.items() if k not in ("size", "pattern")}}
    if init_from is not None and not {"size", "pattern"} & set(given):
        return replace(init_from.config, **changes)
    return size_config(given.get("size", "s"), given.get("pattern", "transformer"), **changes)


def open_source(options: LearningOptions, init_from: Start | None) -> Source:
    """The stores, their tokenizer and the domain's data module.

    Raises IntegrityError for a store of another domain or tokenizer.
    """
    from core.recipe import Source, of_domain, widest
    from core.store import TokenStore
    from core.tokenizer import restore
    from domains import DOMAINS, tokenizer_classes

    stores = [TokenStore.open(path) for path in options.store]
    for store in stores:
        of_domain(store, options.domain)
        if init_from is not None:
            init_from.check(store)
    grown = widest(stores)
    known = init_from.reading(grown) if init_from else None
    tokenizer = restore(known or grown.tokenizer, tokenizer_classes())
    domain = DOMAINS.get(stores[0].domain)
    return Source(stores, options.weights or (1.0,) * len(stores), tokenizer, domain.load("data_module"))


def start_of(path: Path | None, vocabulary: str) -> Start | None:
    """What lies at `path`, or in the run folder `path`; None for None."""
    import foretell
    from core.start import load_start

    return load_start(None if path is None else foretell.bundle_path(path), vocabulary)
