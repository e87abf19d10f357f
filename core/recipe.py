"""A training run put together: the recipe's checked values become a model, its data, an objective and a run folder.

The command line and the Python face both train through here. Knows no domain: the tokenizer and the function that opens
the data are handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.batching.config import VAL_TOKENS, BatchingConfig
from core.data_report import in_short
from core.errors import ConfigError, IntegrityError
from core.kernels import trained_with
from core.nn.config import ModelConfig
from core.objectives import OBJECTIVES
from core.run_folder import claimed, leaves
from core.spans import read_spans
from core.tokenizer import accepts, describe, tokenizer_behind
from core.training.config import TrainingConfig

if TYPE_CHECKING:
    from core.bundle import Bundle
    from core.datamodule import SequenceDataModule
    from core.finetuning.config import AdapterConfig
    from core.nn.model import SequenceModel
    from core.objectives import Objective
    from core.sequence import TokenSpec
    from core.start import Start
    from core.store import TokenStore
    from core.tokenizer import Tokenizer
    from core.training.fit import FitResult

log = logging.getLogger(__name__)

OpenData = Callable[..., "SequenceDataModule"]
"""`(stores, tokenizer, batching, *, seed, workers, views, val_share) -> SequenceDataModule`: a domain's own."""

_INTENDED_USE = "research: likelihoods, samples and embeddings of sequences like those it was trained on"
_LIMITS = "what it says of other kinds of sequences means little; samples are made up; not for decisions on patients"

_LONGEST_WHOLE = 8192
"""Tokens of a row that is not cut: attention over more of them takes seconds a step on a CPU."""
_UNITS_READ = 2**20
"""Tokens that `units_per_token` looks at: all natural units of a token are known to within a thousandth by then."""


@dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns from its data."""

    model: ModelConfig
    batching: BatchingConfig
    training: TrainingConfig
    objective: str = "next_token"
    """A name of OBJECTIVES."""
    objective_options: Mapping[str, Any] = field(default_factory=dict)
    """What else the objective is told: fields of its config."""
    readouts: Mapping[str, str] = field(default_factory=dict)
    """Kind per target field, where it is not the usual one: `{"values": "mse"}`."""
    seed: int = 0
    """Of the weights' first values and of the data's order."""
    views: bool = True
    """Whether training reads windows through the tokenizer's views."""
    val_tokens: int = VAL_TOKENS
    """About so many tokens of the validation spans are read at each validation; 0: all."""
    adapter: AdapterConfig | None = None
    """Which weights change, where it is not all of them."""

    def to_config(self) -> dict[str, Any]:
        """Plain values, all of them: a run does not depend on this version's defaults."""
        return {
            "model": self.model.to_config(),
            "objective": {"kind": self.objective, **self.objective_options},
            "readouts": dict(self.readouts),
            "batching": asdict(self.batching),
            "training": self.training.to_config(),
            "seed": self.seed,
            "views": self.views,
            "val_tokens": self.val_tokens,
            **({} if self.adapter is None else {"adapter": self.adapter.to_config()}),
        }


@dataclass(frozen=True)
class Source:
    """What is learned from: stores of one domain and tokenizer, mixed by weight."""

    stores: Sequence[TokenStore]
    weights: Sequence[float]
    tokenizer: Tokenizer[Any]
    open_data: OpenData

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.stores):
            raise ConfigError(f"{len(self.stores)} stores, but {len(self.weights)} weights")
        for store in self.stores[1:]:
            of_domain(store, self.stores[0].domain)
        for store in self.stores:
            readable(store, describe(self.tokenizer), "what these stores are read with")

    @property
    def domain(self) -> str:
        return str(self.stores[0].domain)


def of_domain(owner: TokenStore | Bundle, domain: str | None) -> None:
    """Raises IntegrityError where a store or a bundle is of another domain."""
    if domain and owner.domain != domain:
        raise IntegrityError(
            f"{owner.path} is of domain '{owner.domain}', expected '{domain}'",
            hint="Give the one that belongs to it, or another domain=.",
        )


def readable(store: TokenStore, tokenizer: Mapping[str, Any], whose: str) -> None:
    """Raises IntegrityError where `tokenizer` (as described) may not read the store: equal, or a part of it."""
    if accepts(tokenizer, store.tokenizer):
        return
    mine, theirs = _facts(tokenizer), _facts(store.tokenizer)
    differ = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    shown = "; ".join(f"{key}: {_short(mine.get(key))} and {_short(theirs.get(key))}" for key in differ[:4])
    raise IntegrityError(
        f"{store.path} was prepared with another tokenizer than {whose} has ({shown})",
        hint="Prepare the data again with the tokenizer that the model has.",
    )


def _facts(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a described tokenizer another one; of one with tasks, those and what makes its base another one."""
    config, behind = tokenizer["config"], tokenizer_behind(tokenizer)
    if behind is not None:
        return {**_facts(behind), "tasks": config["tasks"]}
    return {"kind": tokenizer["kind"], "version": tokenizer["version"], **config}


def widest(stores: Sequence[TokenStore]) -> TokenStore:
    """The first store whose tokenizer reads all the others' as well, as one with all their tasks does; the first one
    where there is none."""
    for store in stores:
        if all(accepts(store.tokenizer, other.tokenizer) for other in stores):
            return store
    return stores[0]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def run_config(recipe: Recipe, source: Source, init_from: Start | None, workers: int) -> dict[str, Any]:
    """What `config.yaml` of the run folder says."""
    return {
        "domain": source.domain,
        "data": [
            {"store": str(Path(s.path).resolve()), "fingerprint": s.fingerprint, "weight": float(w)}
            for s, w in zip(source.stores, source.weights, strict=True)
        ],
        "tokenizer": describe(source.tokenizer)["fingerprint"],
        **started_from(init_from, source.tokenizer),
        **recipe.to_config(),
        "workers": workers,
    }


def make_objective(recipe: Recipe, spec: TokenSpec) -> Objective:
    """What is learned.

    Raises ConfigError for an unknown name or option, where it cannot train the recipe's mixers, and where patches do
    not fit the rows.
    """
    for name in ("length", "look_back"):
        if getattr(recipe.batching, name) % spec.patch:
            raise ConfigError(
                f"batching.{name} is {getattr(recipe.batching, name)} steps, which is no multiple of the tokenizer's "
                f"patch of {spec.patch}"
            )
    stride = recipe.batching.stride or recipe.batching.length
    if recipe.batching.kind == "windows" and gcd(stride, spec.patch) > 1:
        log.warning(
            "batching.stride %d and the patch of %d steps have a common divisor: the windows of an epoch begin at %d "
            "of %d phases of a patch only. A stride of %d has them all.",
            stride,
            spec.patch,
            spec.patch // gcd(stride, spec.patch),
            spec.patch,
            max(1, stride - 1),
        )
    objective: Objective = OBJECTIVES.get(recipe.objective)(spec, recipe.model, recipe.objective_options)
    if reason := objective.refuses(recipe.model.mixers):
        raise ConfigError(
            f"objective '{recipe.objective}' cannot train a model of pattern '{recipe.model.pattern}': {reason}",
            hint="Choose another model= or objective=.",
        )
    return objective


def started_from(init_from: Start | None, tokenizer: Tokenizer[Any]) -> dict[str, Any]:
    """What a run and its bundle say of the weights that they began with, and of the symbols or channels that were
    fewer there."""
    if init_from is None:
        return {"init_from": None}
    said: dict[str, Any] = {"init_from": init_from.fingerprint}
    if init_from.vocabulary != "keep":
        said["init_vocabulary"] = init_from.vocabulary
    if init_from.tokenizer is not None and has_grown(init_from, tokenizer):
        said["grown_from"] = init_from.tokenizer["fingerprint"]
    return said


def has_grown(init_from: Start | None, tokenizer: Tokenizer[Any]) -> bool:
    """Whether the run's tokenizer has symbols or channels that the start's has not."""
    known = None if init_from is None else init_from.tokenizer
    return known is not None and known["fingerprint"] != describe(tokenizer)["fingerprint"]


def make_model(recipe: Recipe, source: Source, init_from: Start | None = None) -> SequenceModel:
    """The model with its first weights: a function of the seed, or those that it starts from.

    Raises ConfigError where those are not of the recipe's shape.
    """
    import torch

    from core.nn.grow import grown_weights
    from core.nn.model import SequenceModel
    from core.order import seed_of

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.seed, "weights"))
        model = SequenceModel(source.tokenizer.spec, recipe.model, dict(recipe.readouts) or None)
    if init_from is None:
        return model
    start, mine = init_from.state_dict(model.spec), model.state_dict()
    start = grown_weights(start, init_from.spec, model)
    wanted = {name: weight for name, weight in mine.items() if init_from.vocabulary == "keep" or _in_backbone(name)}
    shapes = [{name: tuple(weight.shape) for name, weight in weights.items()} for weights in (wanted, start)]
    wrong = [name for name in {**wanted, **start} if shapes[0].get(name) != shapes[1].get(name)]
    if wrong:
        raise ConfigError(
            f"init_from: {len(wrong)} weights of {init_from.path} do not fit this model, {wrong[0]} first",
            hint="Leave model= and size= out: they are then those of what it starts from.",
        )
    model.load_state_dict({**mine, **start})
    return model


def _in_backbone(name: str) -> bool:
    return name.startswith("backbone.")


def suited_batching(source: Source, given: Mapping[str, Any], init_from: Start | None = None) -> BatchingConfig:
    """The batching that the domain chooses for the data, as near as they allow to that of what training starts from;
    `given` fields as they are."""
    stores = list(zip(source.stores, source.weights, strict=True))
    chosen: BatchingConfig = source.open_data(stores, source.tokenizer, None, views=False).batching
    before = None if init_from is None else init_from.batching
    if before is not None and before.kind == given.get("kind", chosen.kind):
        chosen = _as_before(before, chosen, given, source)
    if getattr(source.tokenizer, "rows_stay_whole", False):
        chosen = _unbroken(chosen, given, source)
    return replace(chosen.of_kind(str(given.get("kind", chosen.kind))), **given)


def _unbroken(chosen: BatchingConfig, given: Mapping[str, Any], source: Source) -> BatchingConfig:
    """`chosen` for rows that mean nothing when they are cut, an answer without its question: as long as the longest of
    them, up to `_LONGEST_WHOLE`, and as many tokens a batch as before; longer ones are left out, which is counted.

    Raises ConfigError where windows are asked for.
    """
    for key, cutting, other in (("kind", "windows", "buckets"), ("long", "window", "refuse")):
        if given.get(key) == cutting:
            raise ConfigError(
                f"batching.{key}={cutting} would cut answers off their questions",
                hint=f"Choose batching.{key}={other}.",
            )
    found = replace(chosen if chosen.kind != "windows" else chosen.of_kind("buckets"), long="refuse")
    spans = np.concatenate([store.spans(part) for store in source.stores for part in ("train", "validation")])
    longest = int((spans[:, 2] - spans[:, 1]).max(initial=0))
    length = max(found.length, min(longest + 1, _LONGEST_WHOLE))  # the end is a token too
    if given.get("batch_tokens"):
        length = min(length, int(given["batch_tokens"]) - 1)
    length = int(given.get("length", length))
    tokens = int(given.get("batch_tokens") or found.batch_tokens or found.batch_size * found.length)
    if given.get("kind", found.kind) == "packed":
        return replace(found, length=length, batch_size=max(1, tokens // length), batch_tokens=None)
    if "batch_size" in given and "batch_tokens" not in given:
        return replace(found, length=length, batch_tokens=None)
    return replace(found, length=length, batch_tokens=max(tokens, length + 1))


def _as_before(
    before: BatchingConfig, chosen: BatchingConfig, given: Mapping[str, Any], source: Source
) -> BatchingConfig:
    """`chosen` with what the start was trained with: windows as long where most spans of the data are that long, else
    as many tokens a batch; records whole wherever the domain has them whole. What `given` contradicts is left out."""
    if before.kind == "windows":
        if "length" in given or before.length > _usual_span(source):
            rows = before.batch_size * before.length // int(given.get("length", chosen.length))
            return replace(chosen.of_kind("windows"), batch_size=max(1, rows))
        return replace(before, buffer_shards=chosen.buffer_shards)
    whole = chosen.kind == before.kind
    length = int(given.get("length", max(before.length, chosen.length) if whole else before.length))
    tokens = None if before.batch_tokens is None or "batch_size" in given else max(before.batch_tokens, length + 1)
    long = chosen.long if whole else before.long
    return replace(before, length=length, batch_tokens=tokens, long=long, buffer_shards=chosen.buffer_shards)


def _usual_span(source: Source) -> float:
    """The length of the training span of middle length."""
    spans = np.concatenate([store.spans("train") for store in source.stores])
    return float(np.median(spans[:, 2] - spans[:, 1])) if len(spans) else 0.0


def units_per_token(source: Source) -> float:
    """Natural units of the training spans for each of their tokens that is predicted.

    Where a loss mask leaves few tokens (an answer behind a sequence), all units of the spans come on those.
    """
    store = source.stores[0]
    units, tokens, read = 0.0, 0, 0
    for piece in read_spans(store, store.spans("train")):
        part = piece.slice(0, min(len(piece), _UNITS_READ - read))
        units += float(source.tokenizer.units(part.arrays).sum())
        masks = list(part.loss_mask.values())
        tokens += int(np.logical_or.reduce(masks).sum()) if masks else len(part)
        read += len(part)
        if read >= _UNITS_READ:
            break
    return units / tokens if units and tokens else 1.0


def train(
    recipe: Recipe,
    source: Source,
    run: Path,
    *,
    init_from: Start | None = None,
    workers: int = 0,
    progress: bool = True,
) -> FitResult:
    """Trains in the run folder, or goes on where it stands.

    Raises:
        ConfigError: the folder holds something that is no run, or values contradict each other.
        IntegrityError: the folder holds another run.
        DivergedError, StoppedError, ResourceError: as `core.training.fit`.
    """
    import torch

    from core.order import seed_of
    from core.training.fit import fit
    from core.training.place import is_first

    objective = make_objective(recipe, source.tokenizer.spec)
    with claimed(run, run_config(recipe, source, init_from, workers)) if is_first() else nullcontext():
        model = make_model(recipe, source, init_from)
        if recipe.adapter is not None:
            from core.finetuning.adapters import attach

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_of(recipe.seed, "adapter"))
                attach(model, recipe.adapter, vocabulary=has_grown(init_from, source.tokenizer))
        stores = list(zip(source.stores, source.weights, strict=True))
        data = source.open_data(
            stores,
            source.tokenizer,
            recipe.batching,
            seed=recipe.seed,
            workers=workers,
            views=recipe.views,
            val_tokens=recipe.val_tokens,
        )
        if is_first():
            for store, report in zip(source.stores, data.report(), strict=True):
                log.info("%s: %s", store.path, report.sentence)
        return fit(
            model,
            objective,
            data,
            recipe.training,
            run,
            bundle_writer=partial(write_bundle, model=model, recipe=recipe, source=source, init_from=init_from),
            units_per_token=units_per_token(source),
            natural_unit=source.tokenizer.natural_unit,
            progress=progress,
        )


def write_bundle(
    path: Path,
    metrics: Mapping[str, Any],
    *,
    model: SequenceModel,
    recipe: Recipe,
    source: Source,
    init_from: Start | None,
) -> None:
    """The model as it is now, with where it comes from."""
    from core.bundle import card_text, save_bundle

    further = None
    if recipe.adapter is not None:
        from core.finetuning.adapters import is_adapted, merged, save_adapter

        adapted, adapter = model, recipe.adapter
        if is_adapted(adapted) and init_from is not None and not has_grown(init_from, source.tokenizer):
            base = init_from.fingerprint

            def further(folder: Path) -> None:
                save_adapter(folder / "adapter", adapted, adapter, base)

        model = merged(adapted)
    said = [dict(store.attrs.get("source", {})) for store in source.stores]

    def joined(key: str) -> str:
        return "; ".join(dict.fromkeys(in_short(s[key]) for s in said if s.get(key)))

    training = {
        "stores": [store.fingerprint for store in source.stores],
        **started_from(init_from, source.tokenizer),
        **{key: value for key, value in recipe.to_config().items() if key != "model"},
        "kernel": trained_with(model.config.mixers),
    }
    card = {
        "title": f"A model of {joined('what') or source.domain}",
        "licence": joined("licence"),
        "source": joined("where"),
        "citation": joined("citation"),
        "intended_use": _INTENDED_USE,
        "limits": _LIMITS,
    }
    save_bundle(
        path,
        model,
        tokenizer=describe(source.tokenizer),
        domain=source.domain,
        objective=recipe.objective,
        metrics=dict(metrics),
        card=card_text(card, model, source.domain, metrics, dict(leaves(training))),
        training=training,
        overwrite=True,
        further=further,
    )
