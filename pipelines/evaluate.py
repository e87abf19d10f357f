"""`foretell evaluate`: the domain's metrics of a bundle on a store, beside its baselines, with figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.window_policy import WindowPolicy
from pipelines.settings import Settings, after, beside, finish

if TYPE_CHECKING:
    from core.bundle import Bundle
    from core.evaluation import MetricTable
    from foretell import Model

FACTS = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Settings):
    bundle: tuple[Path, ...]
    """The trained model: RUN/bundle, or RUN. Several, [a,b,c], are averaged; out= is required then."""
    store: Path
    """The token store whose held-out part is measured on; of the model's tokenizer."""
    out: Path | None = None
    """Where metrics.json, table.md and the figures go; RUN/evaluation where not given."""
    split: Literal["train", "validation", "test"] = "test"
    """Which part of the store."""
    batch_tokens: int = 4096
    """Positions that the model reads at once, padding included."""
    window: WindowPolicy = field(default_factory=WindowPolicy)
    """What is done with sequences longer than the context."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Options of the domain's own evaluation, or of that of tasks: evaluation.samples=8."""


OPTIONS = EvaluateOptions


def _evaluation(model: Model) -> Callable[..., MetricTable]:
    """The domain's, or that of tasks where the model was taught some."""
    if model.tokenizer.kind != "tasks":
        found: Callable[..., MetricTable] = model.domain.load("evaluation")
        return found
    from core.tasks.evaluation import evaluate

    return evaluate


def run(options: EvaluateOptions) -> None:
    import foretell
    from core.durable import write_json_durably
    from core.errors import ConfigError
    from core.evaluation import lower_is_better
    from core.finetuning.head import has_head
    from core.recipe import of_domain, readable
    from core.report import Headline
    from core.store import TokenStore
    from pipelines.estimate import inference_estimate

    bundles = [foretell.bundle_path(path) for path in options.bundle]
    if not bundles:
        raise ConfigError("bundle= names none", hint="Give a run: bundle=run; or several: bundle=[run,other].")
    if len(bundles) > 1 and options.out is None:
        raise ConfigError("out= is required where several bundles are averaged: what they reach is of none of them")
    bundle = bundles[0]
    out = options.out or beside(bundle, "evaluation")
    if options.out is None and has_head(bundle):
        raise ConfigError(
            f"{out} has what finetune measured of the labels, with the verdict on the baselines",
            hint="What it says of records: foretell predict what=[predict]. Likelihoods, which fine-tuning on labels "
            "does not keep: out=FOLDER.",
        )
    options.begin()
    model = foretell.load(
        bundles,
        device=options.device,
        precision=options.inference_precision,
        batch_tokens=options.batch_tokens,
        seed=options.seed,
        window=options.window,
    )
    if len(bundles) > 1 and not model.domain.forecast:
        raise ConfigError(
            f"{len(bundles)} bundles: the evaluation of {model.domain.name} draws samples or acts, as one model does",
            hint="Averaged likelihoods: foretell.load([...]).score(records), in Python.",
        )
    store = TokenStore.open(options.store)
    of_domain(store, model.domain.name)
    readable(store, model.bundle.tokenizer, str(bundle))
    spans = store.spans(options.split)
    if options.dry_run:
        tokens = len(bundles) * int((spans[:, 2] - spans[:, 1]).sum())
        print(inference_estimate(model.bundle.model, tokens, options.batch_tokens))
        return
    members = model.members
    began = time.perf_counter()
    policy = model.engine.policy().describe()
    print(policy)
    table = _evaluation(model)(
        model.engine,
        store,
        model.tokenizer,
        out=out,
        split=options.split,
        training=_training(members),
        say=lambda text: print(f"  {text}", flush=True),
        **{"seed": options.seed, **options.evaluation},
    )
    write_json_durably(
        out / FACTS,
        {
            "bundle": members[0].fingerprint if len(members) == 1 else [one.fingerprint for one in members],
            "store": store.fingerprint,
            "split": options.split,
            "policy": policy,
            "seed": options.seed,
            "options": {key: str(value) for key, value in options.evaluation.items()},
        },
    )
    main = table.rows[0]
    headline = Headline(table, main.name, main.split, main.name, lower_is_better(main.name))
    interval = "" if main.low is None or main.high is None else f" [{main.low:.4f}, {main.high:.4f}]"
    value = "none" if main.value is None else f"{main.value:.4f}"
    print(f"{main.name} {value}{interval} on {main.split}, in {time.perf_counter() - began:.0f} s")
    print(headline.sentence())
    done = f"metrics, table and figures in {out}"
    if len(members) == 1:
        finish(done, after(bundle, evaluation=out))
    else:
        print(f"{done}; to read: {out / 'table.md'}")


def _training(members: Sequence[Bundle]) -> dict[str, Any]:
    """What stands beside the numbers: seconds of all training runs together, and the seed where there is one run."""
    seconds = [one.metrics.get("seconds_training") for one in members]
    return {
        "seconds": None if None in seconds else sum(seconds),
        "seed": members[0].training.get("seed") if len(members) == 1 else None,
    }
