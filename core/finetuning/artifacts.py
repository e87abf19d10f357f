"""What fine-tuning on labels begins with and leaves behind: a base out of a folder, a bundle with head and card."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import torch

from core.bundle import MANIFEST, Bundle, load_bundle, save_bundle
from core.errors import ConfigError, InputError
from core.finetuning.adapters import is_adapted, save_adapter
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.finetuning.head import save_head
from core.finetuning.run import Base, Finetuned, settings
from core.finetuning.split import leakage_of
from core.nn.model import SequenceModel
from core.recipe import of_domain, readable
from core.start import load_start
from core.store import TokenStore
from core.tokenizer import accepts, grows

BUNDLE, EVALUATION, ADAPTER = "bundle", "evaluation", "adapter"


def base_of(path: Path, store: TokenStore) -> Base:
    """What is at `path`: a bundle whose tokenizer is the store's, or has grown to it, or a folder of another library.

    Raises ConfigError and IntegrityError as `core.start`, InputError for a bundle whose rows hold several labels.
    """
    if (path / MANIFEST).is_file():
        bundle = load_bundle(path)
        of_domain(store, bundle.domain)
        known = bundle.tokenizer
        if grows(known, store.tokenizer) and not accepts(known, store.tokenizer):
            before = (bundle.domain, bundle.fingerprint, bundle.training, known["fingerprint"])
            return Base(_grown(bundle, store), store.tokenizer, *before)
        readable(store, known, str(path))
        return Base(bundle.model, known, bundle.domain, bundle.fingerprint, bundle.training)

    start = load_start(path)
    if start is None:
        raise ConfigError("init_from= is required: the bundle to start from")
    start.check(store)
    model = SequenceModel(store.spec, start.config)
    model.load_state_dict(start.state_dict(model.spec))
    return Base(model.eval(), store.tokenizer, store.domain, start.fingerprint)


def _grown(bundle: Bundle, store: TokenStore) -> SequenceModel:
    """The bundle's model for the further channels of the store; its new weights are the same every time."""
    from core.nn.grow import grown_weights
    from core.order import seed_of

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(0, "weights"))
        model = SequenceModel(store.spec, bundle.model.config, bundle.model.readout_kinds)
    model.load_state_dict({**model.state_dict(), **grown_weights(bundle.model.state_dict(), bundle.spec, model)})
    return model.eval()


def check_store(store: TokenStore) -> None:
    """Raises InputError for a store of tasks as tokens, whose rows are questions."""
    if store.tokenizer["kind"] == "tasks":
        raise InputError(
            f"{store.path} was prepared with tasks=: its rows are questions, not records",
            hint="Use task=tokens with it, or prepare the records without tasks=.",
        )


def write_finetuned(
    path: Path,
    base: Base,
    store: TokenStore,
    found: Finetuned,
    *,
    adapter: AdapterConfig,
    config: SupervisedConfig,
    seed: int,
) -> str:
    """The bundle: plain weights, `head.*`, a card, and `adapter/` in peft's format where there is one.

    Returns: its fingerprint.
    """
    told = settings(adapter, config, found.labels.task, found.labels.columns)
    training = {
        "stores": [store.fingerprint],
        "init_from": base.fingerprint,
        **({"grown_from": base.grown_from} if base.grown_from else {}),
        **told,
        "seed": seed,
        "steps": found.best.course.steps,
        **{key: dict(base.training[key]) for key in ("batching", "training") if base.training.get(key)},
    }
    metrics = {
        "verdict": found.verdict,
        "validation_nats": min(found.best.course.losses),
        "best_epoch": found.best.course.best_epoch,
        "seconds_training": found.seconds,
        "runs": found.spread,
        "table": found.table.to_json(),
    }

    def further(folder: Path) -> None:
        save_head(folder, found.best.head)
        if is_adapted(found.best.model) and not base.grown_from:  # the base alone has not what the adapter stands on
            write_adapter(folder / ADAPTER, found, adapter, base)

    return save_bundle(
        path,
        found.plain,
        tokenizer=base.tokenizer,
        domain=base.domain,
        metrics=metrics,
        card=card_of(base, store, found, adapter, config, seed),
        training=training,
        overwrite=True,
        further=further,
    )


def write_adapter(folder: Path, found: Finetuned, adapter: AdapterConfig, base: Base) -> None:
    """The adapter alone, for who has the base: in peft's own format, with the head beside it.

    Raises ConfigError where all weights were trained, or only the head.
    """
    if not is_adapted(found.best.model):
        raise ConfigError(
            f"adapter_out: adapter={adapter.kind} leaves no adapter apart", hint="Choose adapter=lora, dora or ia3."
        )
    save_adapter(folder, found.best.model, adapter, base.fingerprint)
    save_head(folder, found.best.head)


def card_of(
    base: Base, store: TokenStore, found: Finetuned, adapter: AdapterConfig, config: SupervisedConfig, seed: int
) -> str:
    """The card: the verdict first, then data, split, leakage, metrics, cost."""
    labels, course, source = found.labels, found.best.course, store.source
    kept = found.plain.n_parameters + sum(p.numel() for p in found.best.head.parameters())
    lines = [
        f"# {labels.name} of {store.name}, fine-tuned",
        "",
        f"**{found.verdict}**",
        "",
        f"- Data: {source.get('what') or store.name}; {source.get('where') or 'place not stated'}",
        f"- Data licence: {source.get('licence') or 'not stated'}",
        f"- Citation: {source.get('citation') or 'not stated'}",
        f"- Domain: {base.domain}; tokenizer {base.tokenizer['kind']} {str(base.tokenizer['fingerprint'])[:12]}",
        f"- Started from: bundle {base.fingerprint[:12]}",
        f"- Intended use: research: {labels.name} of records like those it was trained on",
        "- Limits: what it says of other kinds of records means little; not for decisions on patients; likelihoods and "
        "samples of this bundle are no longer those of the one that it started from",
        "",
        "## Data and split",
        "",
        *(f"- {line}" for line in labels.describe()),
        f"- split: {_split_text(store.split)}",
        f"- leakage: {leakage_of(labels, store).describe()}",
        "",
        found.table.to_markdown("Metrics").replace("# Metrics", "## Metrics", 1).rstrip(),
        "",
        *_runs(found),
        "## Cost",
        "",
        f"- {course.trained:,} of {kept:,} parameters trained ({100 * course.trained / kept:.2g} %), "
        f"adapter {adapter.kind}, peak rate {config.rate(adapter.kind):g}",
        f"- {course.steps:,} steps of {config.batch_size} records, best after epoch {course.best_epoch} of "
        f"{len(course.losses) - 1}, validation {min(course.losses):.4f} nats ({course.losses[0]:.4f} before)",
        f"- {course.seconds:.0f} s for the run that is kept, {found.seconds:.0f} s in all, baselines among them; "
        f"peak memory of the process {_peak_memory():,.0f} MB; seed {seed}",
    ]
    return "\n".join(lines) + "\n"


def _split_text(split: Mapping[str, Any]) -> str:
    records = split.get("records") or {}
    sizes = ", ".join(f"{name} {n:,}" for name, n in records.items())
    return f"rule {split.get('rule', 'not stated')}, seed {split.get('seed', 'not stated')}" + (
        f" ({sizes} records)" if sizes else ""
    )


def _runs(found: Finetuned) -> Many[str]:
    if len(found.spread) < 2:
        return []
    lines = ["## Runs", "", f"| run | {found.metric} |", "|---|---:|"]
    return [*lines, *(f"| {name} | {value:.4g} |" for name, value in found.spread.items()), ""]


def _peak_memory() -> float:
    """MB."""
    import sys

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)
