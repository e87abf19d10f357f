"""Fine-tuning on labels from start to end: labels, split, baselines, training, judgement, a bundle with a head.

    labels = trusted_labels(store, ["logd"], "regress", config)
    found = finetune(base, store, labels, adapter=AdapterConfig("lora"), config=config)

Knows no domain: features of the field's own are handed in.
"""

from __future__ import annotations

import copy
import csv
import io
import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.durable import resources_named, write_bytes_durably
from core.engine import Engine
from core.evaluation import MODEL, MetricTable
from core.finetuning.adapters import attach, is_adapted, merged
from core.finetuning.baselines import FROZEN, Features, classic, constant, fitted, said
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.finetuning.fit import Course, embed, fit
from core.finetuning.head import Head, HeadConfig
from core.finetuning.labels import Labels
from core.finetuning.measure import measure_labels, verdict
from core.finetuning.other_readings import OtherReadings
from core.finetuning.pairs import means_of_records
from core.finetuning.records import Records
from core.finetuning.regressions import Fitted, Values
from core.finetuning.split import fold_splits
from core.nn.model import SequenceModel
from core.order import permutation, seed_of
from core.store import TokenStore
from core.tokenizer import Tokenizer
from core.window_policy import WindowPolicy

SCRATCH, OF_RECORDS = "from_scratch", "means_of_records"
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Base:
    """What fine-tuning starts from."""

    model: SequenceModel
    """In eval mode; is left as it is."""
    tokenizer: dict[str, Any]
    domain: str
    fingerprint: str
    training: Mapping[str, Any] = field(default_factory=dict)
    """Where its weights come from."""
    grown_from: str | None = None
    """The fingerprint of the tokenizer that it was trained with, where the store's has further channels."""


@dataclass
class Trained:
    """One run of one split and seed."""

    model: SequenceModel
    """Adapted, or plain."""
    head: Head
    course: Course
    test: Indices
    said: dict[str, Values]
    """What the head says of the test records."""

    @property
    def main(self) -> Values:
        return self.said["probability"] if "probability" in self.said else self.said["mean"]


@dataclass(frozen=True)
class Finetuned:
    """What came of it."""

    table: MetricTable
    verdict: str
    """A sentence on the baseline that is hardest to beat."""
    better: bool
    """Whether every baseline is beaten on the test part."""
    labels: Labels
    best: Trained
    plain: SequenceModel
    """The model with the adapter merged."""
    seconds: float
    spread: dict[str, float]
    """The deciding metric on the test part by run: `seed 0`, `fold 1` ..."""
    metric: str


def finetune(
    base: Base,
    store: TokenStore,
    labels: Labels,
    *,
    adapter: AdapterConfig,
    config: SupervisedConfig,
    seed: int = 0,
    own: Features | None = None,
    tokenizer: Tokenizer[Any] | None = None,
    scratch: bool = False,
    device: str = "auto",
    precision: str = "auto",
    out: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Finetuned:
    """Learns the labels of a store and measures what was learned beside baselines.

    Args:
        labels: of the store's rows.
        own: features of the domain's own for a further baseline.
        tokenizer: of the store, for other readings of its records; None: there are none.
        scratch: whether the same model from random weights is a baseline as well; takes as long again, or longer.
        out: a folder for metrics.json, table.md, predictions.csv and course.csv.

    Raises DivergedError, InputError for folds that cannot be made.
    """
    began = time.perf_counter()
    job = _Job(base, store, labels, adapter, config, own, tokenizer, device, precision, say)
    name = f"{store.name}/test"
    runs = [job.trained(labels, base.model, seed + i) for i in range(config.seeds)]
    best = min(runs, key=lambda r: min(r.course.losses))
    plain = merged(best.model) if is_adapted(best.model) else best.model
    test = labels.part("test")
    others = job.baselines(labels)
    if scratch:
        others[SCRATCH] = job.from_scratch(labels, seed).main
    table = MetricTable()
    metric = _measure(table, labels, test, best.said, others, name, config, seed)
    _by_unseen(table, labels, test, best.said, others, name, config, seed)
    better, sentence = verdict(table, metric, name)
    spread = {f"seed {seed + i}": _value(labels, r, metric, config, seed) for i, r in enumerate(runs)}
    _spread_rows(table, f"{metric}_seeds", [spread[f"seed {seed + i}"] for i in range(config.seeds)], name)
    if config.folds:
        spread |= _folds(job, table, labels, store, metric, config, seed)
    if out is not None:
        _write(out, table, store, labels, test, best, others)
    return Finetuned(table, sentence, better, labels, best, plain, time.perf_counter() - began, spread, metric)


@dataclass
class _Job:
    base: Base
    store: TokenStore
    labels: Labels
    adapter: AdapterConfig
    config: SupervisedConfig
    own: Features | None
    tokenizer: Tokenizer[Any] | None
    device: str
    precision: str
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        policy = WindowPolicy().resolve(self.base.model.config)
        self.say(f"reading     {policy.describe()}")
        self.pooling = "token" if self.labels.by_token else self.config.pooling
        self.records = Records(self.store, self.labels.members, self.base.model.spec, policy, self.pooling)
        self.features = self._embeddings(self.base.model)
        self._classic: Mapping[str, Values] | None = None
        self.readings = self._readings()

    def _readings(self) -> OtherReadings | None:
        """What training reads besides the store's own readings."""
        views, symbols = self.config.views, any(f.is_symbol for f in self.base.model.spec.targets)
        if self.tokenizer is None or views == "none" or self.pooling == "token" or not symbols:
            return None
        readings = OtherReadings(self.records, self.tokenizer)
        there, same = readings.tried(self.labels.members_of(self.parts(self.labels)[0]))
        if not there or (views == "auto" and not same):
            return None
        if self.adapter.kind != "head":  # whose embeddings are computed once
            self.say("views       every epoch reads each record otherwise; supervised.views=none: as the store has it")
        return readings

    def _embeddings(self, model: SequenceModel) -> Values:
        """(n, F) of the labels; NaN for those that are not used, where `max_train` leaves some out."""
        engine = Engine(copy.deepcopy(model), device=self.device)
        all_of_them = np.arange(len(self.labels.rows))
        if not self.config.max_train or self.config.folds or self.labels.by_token:
            return embed(engine, self.records, self.labels, all_of_them)
        used = np.sort(np.concatenate(self.parts(self.labels)))
        found = embed(engine, self.records, self.labels, used)
        features = np.full((len(all_of_them), found.shape[1]), np.nan)
        features[used] = found
        return features

    def parts(self, labels: Labels) -> tuple[Indices, Indices, Indices]:
        train, validation, test = (labels.part(name) for name in ("train", "validation", "test"))
        most = self.config.max_train
        if most and most < len(train):
            train = np.sort(train[permutation(len(train), "max_train", 0)[:most]])
        return train, validation, test

    def class_weights(self, labels: Labels, train: Indices) -> Values | None:
        if self.config.class_weights == "none" or labels.task == "regress":
            return None
        counts = np.nansum(labels.where(train), axis=0)
        weights: Values = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return weights

    def trained(
        self, labels: Labels, start: SequenceModel, seed: int, features: Values | None = None, random: bool = False
    ) -> Trained:
        """One run: a copy of `start` with an adapter, or with all weights where they are `random`; and a head."""
        train, validation, test = self.parts(labels)
        features = self.features if features is None else features
        adapter = AdapterConfig() if random else self.adapter
        weights = self.class_weights(labels, train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "adapter"))
            model = copy.deepcopy(start).requires_grad_(True)
            attach(model, adapter, vocabulary=self.base.grown_from is not None)
            if adapter.kind == "head":
                model.requires_grad_(False)
        probe = fitted(labels, features, train, validation, weights)
        head = started(labels, probe, features, train, validation, self.pooling, self.config.level)
        course = fit(
            model,
            head,
            self.records,
            labels,
            train,
            validation,
            self.config,
            rate=self.config.rate("scratch" if random else adapter.kind),
            seed=seed,
            class_weights=weights,
            device=self.device,
            precision=self.precision,
            readings=self.readings,
            say=self.say,
        )
        if self.readings is not None and self.readings.kept:
            self.say(
                f"{self.readings.kept:,} of {self.readings.asked:,} readings were the stored ones: no other fitted"
            )
            self.readings.asked = self.readings.kept = 0
        engine = Engine(merged(model) if is_adapted(model) else model, device=self.device)
        head.cpu().fit_stretch(embed(engine, self.records, labels, validation), labels.where(validation))
        return Trained(model, head, course, test, head.predict(embed(engine, self.records, labels, test)))

    def from_scratch(self, labels: Labels, seed: int) -> Trained:
        """The same shape with random weights, all of them trained."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "weights"))
            model = SequenceModel(self.base.model.spec, self.base.model.config, dict(self.base.model.readout_kinds))
        self.say("the same model from random weights")
        return self.trained(labels, model.eval(), seed, self._embeddings(model), random=True)

    def baselines(self, labels: Labels) -> dict[str, Values]:
        """What each says of the test records."""
        train, validation, test = self.parts(labels)
        lines = int(labels.lengths[test].sum()) if labels.by_token else len(test)
        name, guess = constant(labels, train, lines)
        found = {name: guess}
        weights = self.class_weights(labels, train)
        if self._classic is None:
            sequences = [self.store[int(row)] for row in labels.members]
            by_member = classic(sequences, self.base.model.spec, labels, labels.members_of(train), self.own)
            self._classic = {name: labels.joined(features) for name, features in by_member.items()}
        ending = "ridge" if labels.task == "regress" else "logistic"
        for name, features in {f"{FROZEN}_{ending}": self.features, **self._classic}.items():
            found[name] = said(labels, fitted(labels, features, train, validation, weights), features, test)
        if labels.pairs:
            found[OF_RECORDS] = means_of_records(labels.halves, labels.values, train, test)
        return found


def started(
    labels: Labels,
    probe: Fitted,
    features: Values,
    train: Indices,
    validation: Indices,
    pooling: str,
    level: float,
) -> Head:
    """A head that says what the regression on frozen embeddings says."""
    width = features.shape[1]
    config = HeadConfig(
        labels.task, labels.columns, labels.names, labels.exclusive, width, pooling, level, labels.pairs
    )
    head = Head(config)
    weights, bias = probe.weights, probe.bias
    with torch.no_grad():
        head.shift.copy_(torch.as_tensor(probe.shift))
        head.scale.copy_(torch.as_tensor(probe.scale))
        if head.log_variance is not None:
            values = labels.where(train)
            centre, unit = np.nanmean(values, axis=0), np.maximum(np.nanstd(values, axis=0), 1e-12)
            head.centre.copy_(torch.as_tensor(centre))
            head.unit.copy_(torch.as_tensor(unit))
            held = labels.where(validation)
            residual = (held - said(labels, probe, features, validation)) / unit
            known = np.isfinite(residual).sum(0)
            square = np.where(known > 0, np.nansum(residual**2, axis=0) / np.maximum(known, 1), 1.0)
            head.log_variance.bias.copy_(torch.as_tensor(np.log(np.maximum(square, 1e-3))))
            weights, bias = weights / unit, (bias - centre) / unit
        head.linear.weight.copy_(torch.as_tensor(weights.T))
        head.linear.bias.copy_(torch.as_tensor(bias))
    return head


def _lines(labels: Labels, chosen: Indices) -> Indices:
    """(m,) the record of each line of `labels.where(chosen)`."""
    return np.repeat(chosen, labels.lengths[chosen]) if labels.by_token else chosen


def _measure(
    table: MetricTable,
    labels: Labels,
    test: Indices,
    mine: Mapping[str, Values],
    others: Mapping[str, Values],
    split: str,
    config: SupervisedConfig,
    seed: int,
) -> str:
    main = mine["probability"] if "probability" in mine else mine["mean"]
    return measure_labels(
        table,
        labels,
        labels.where(test),
        {MODEL: main, **others},
        records=_lines(labels, test),
        split=split,
        seed=seed,
        resamples=config.resamples,
        interval=(mine["low"], mine["high"]) if "low" in mine else None,
    )


def _by_unseen(
    table: MetricTable,
    labels: Labels,
    test: Indices,
    mine: Mapping[str, Values],
    others: Mapping[str, Values],
    split: str,
    config: SupervisedConfig,
    seed: int,
) -> None:
    """Rows of the test pairs of which training has seen one record, and of those of which it has seen neither."""
    if not labels.pairs:
        return
    unseen = labels.unseen(test)
    for number, what in ((1, "one record unseen"), (2, "both unseen")):
        chosen = unseen == number
        if 1 < chosen.sum() < len(test):
            me, them = ({name: values[chosen] for name, values in found.items()} for found in (mine, others))
            _measure(table, labels, test[chosen], me, them, f"{split}, {what}", config, seed)


def _value(labels: Labels, run: Trained, metric: str, config: SupervisedConfig, seed: int) -> float:
    table = MetricTable()
    _measure(table, labels, run.test, run.said, {}, "test", config, seed)
    row = table.find(metric, "test")
    return float("nan") if row is None or row.value is None else row.value


def _spread_rows(table: MetricTable, name: str, values: list[float], split: str) -> None:
    """Mean and deviation over runs, where there are several."""
    if len(values) > 1:
        table.add(f"{name}_mean", float(np.nanmean(values)), split=split, n=len(values))
        table.add(f"{name}_deviation", float(np.nanstd(values, ddof=1)), split=split, n=len(values))


def _folds(
    job: _Job, table: MetricTable, labels: Labels, store: TokenStore, metric: str, config: SupervisedConfig, seed: int
) -> dict[str, float]:
    """Every labelled record tested once: rows of all of them together, and the metric by fold."""
    mine: list[dict[str, Values]] = []
    others: list[dict[str, Values]] = []
    tested: list[Indices] = []
    spread = {}
    for k, split in enumerate(fold_splits(labels, config.folds, seed), 1):
        job.say(f"fold {k} of {config.folds}")
        dealt = labels.with_split(split)
        run = job.trained(dealt, job.base.model, seed)
        mine.append(run.said)
        others.append(job.baselines(dealt))
        tested.append(run.test)
        spread[f"fold {k}"] = _value(dealt, run, metric, config, seed)
    joined = {name: np.concatenate([m[name] for m in mine]) for name in mine[0]}
    beside = {name: np.concatenate([o[name] for o in others]) for name in others[0]}
    name = f"{store.name}/{config.folds} folds"
    _measure(table, labels, np.concatenate(tested), joined, beside, name, config, seed)
    _spread_rows(table, f"{metric}_folds", list(spread.values()), name)
    return spread


def _write(
    out: Path,
    table: MetricTable,
    store: TokenStore,
    labels: Labels,
    test: Indices,
    best: Trained,
    others: Mapping[str, Values],
) -> None:
    table.write(out, f"Fine-tuned on {labels.name}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "validation_nats"])
    writer.writerows([epoch, f"{loss:.6g}"] for epoch, loss in enumerate(best.course.losses))
    with resources_named(out):
        write_bytes_durably(out / "course.csv", text.getvalue().encode())
    if labels.by_token:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [str(n) for n in labels.names]
    heads = [f"{what}_{n}" for what in best.said for n in names]
    ids = ["id", "second"] if labels.pairs else ["id"]
    beside = [f"baseline_{model}_{n}" for model in others for n in names]
    writer.writerow([*ids, *(f"measured_{n}" for n in names), *heads, *beside])
    columns = [labels.where(test), *best.said.values(), *others.values()]
    rows = np.stack([labels.rows, labels.partners] if labels.pairs else [labels.rows], axis=1)[test]
    for these, values in zip(rows.tolist(), np.concatenate(columns, axis=1), strict=True):
        writer.writerow([*(store.ids[row] for row in these), *(f"{v:.6g}" for v in values)])
    with resources_named(out):
        write_bytes_durably(out / "predictions.csv", text.getvalue().encode())


def settings(adapter: AdapterConfig, config: SupervisedConfig, task: str, columns: Many[str]) -> dict[str, Any]:
    """Plain values of all that a run was told."""
    return {"task": task, "label": list(columns), "adapter": adapter.to_config(), "supervised": asdict(config)}
