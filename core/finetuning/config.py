"""What fine-tuning on labels is told: the adapter, the head, the split, how long. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from core.errors import ConfigError, nearest

ADAPTERS = ("full", "head", "lora", "dora", "ia3")
PEFT = ("lora", "dora", "ia3")
"""Those that peft makes."""
TASKS = ("classify", "regress")
POOLINGS = ("mean", "last")
VIEWS = ("auto", "all", "none")
LEARNING_RATES = {"full": 1e-3, "scratch": 3e-4, "head": 1e-3, "lora": 1e-3, "dora": 1e-3, "ia3": 3e-3}
"""Peak rate by adapter, and of random weights [measured on widths of about 128: docs/finetune.md]."""


@dataclass(frozen=True)
class AdapterConfig:
    """Which weights change."""

    kind: str = "full"
    """full: all; head: those of the head or readouts alone; lora (arXiv 2106.09685), dora (arXiv 2402.09353) and ia3
    (arXiv 2205.05638): small matrices or vectors beside the projections of every mixer and MLP."""
    rank: int = 4
    """Of lora and dora: 1 to 2 % of an m model's parameters."""
    alpha: float = 8.0
    """Of lora and dora: their product is scaled by alpha / rank."""
    dropout: float = 0.0
    """Of lora and dora: share of a projection's inputs that their branch does not see in training."""
    targets: tuple[str, ...] = ()
    """Names of projections that are adapted; empty: in_proj, out_proj and fc2, where there are."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.kind not in ADAPTERS:
            raise ConfigError(
                f"adapter: got {self.kind!r}{nearest(self.kind, ADAPTERS)}", hint=f"Allowed: {', '.join(ADAPTERS)}."
            )
        for name, good, allowed in (
            ("rank", self.rank >= 1, "a positive whole number"),
            ("alpha", self.alpha > 0, "a positive number"),
            ("dropout", 0 <= self.dropout < 1, "a share from 0 to below 1"),
        ):
            if not good:
                raise ConfigError(f"{name}: got {getattr(self, name)!r}, allowed: {allowed}")

    @property
    def is_peft(self) -> bool:
        return self.kind in PEFT

    def to_config(self) -> dict[str, Any]:
        return {**asdict(self), "targets": list(self.targets)}


@dataclass(frozen=True)
class SupervisedConfig:
    """How a head and what is below it learn labels."""

    pooling: str = "mean"
    """mean of a record's hidden states, or the last one. Labels of single tokens read that token's own."""
    epochs: int = 20
    """Passes over the training part at most; 0: what the frozen embeddings give. [100 labels passed five times as
    often: no better, on validation or on the test part, in three domains.]"""
    patience: int = 6
    """Epochs without a better validation loss after which training ends; the best weights are kept. Counted from half
    of `epochs` on, and from the first that is better than the start: the head begins as a regression, which steps at a
    full rate tear apart, and the last epochs, at a small one, improve."""
    batch_size: int = 32
    """Records a step."""
    lr: float = 0.0
    """Peak learning rate, 0: by the adapter, see `LEARNING_RATES`; ten per cent of the steps warm up, a cosine ends
    at 0."""
    layer_decay: float = 1.0
    """The rate of a layer is this share of that of the layer above it (arXiv 1801.06146); 1: all are equal."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.98
    """Decay of the averaged weights, which are validated and kept; 0: none. About 50 steps count."""
    views: str = "auto"
    """Other readings of a record in every epoch: `auto`, those that are the same record (another spelling of a
    molecule, another walk over a graph); `all`, also those that a label may not survive (the other strand);
    `none`."""
    class_weights: str = "none"
    """`balanced`: each class weighs the same in the loss, however rare it is."""
    several: bool = False
    """Whether a record may be of several classes at once, written `membrane;nucleus`."""
    level: float = 0.9
    """Share of the truths that an interval of regress is meant to hold."""
    seeds: int = 1
    """Runs that differ in the adapter's first weights and the order; the best on validation is kept, all are told."""
    folds: int = 0
    """K: also K runs, each tested on another K-th of all labelled records (copies and groups stay together) and
    stopped on the next one. 0: the store's own split alone."""
    max_leakage: float = 0.3
    """The share of the test part's stretches (k-mers) in training above which the split is refused. [The scaffold
    splits of MoleculeNet sets have 0.05 to 0.14, a random split of drug-like molecules 0.49.]"""
    conflicts: str = "auto"
    """What is done where equal sequences have different labels: `fail`, `drop` all of them, or `keep`; auto: fail for
    classes, keep for numbers, which are measured more than once."""
    symmetric: bool = False
    """Of pairs: whether it is all the same which record comes first; the head cannot tell them apart then."""
    resamples: int = 2000
    """Of the bootstrap."""
    max_train: int = 0
    """Training records that are used, a random part of them; 0: all. For learning curves."""

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("pooling", self.pooling in POOLINGS, ", ".join(POOLINGS)),
            ("ema", 0 <= self.ema < 1, "a number from 0 up to, not including, 1"),
            ("views", self.views in VIEWS, ", ".join(VIEWS)),
            ("epochs", self.epochs >= 0, "0 or a positive whole number"),
            ("patience", self.patience >= 1, "a positive whole number"),
            ("batch_size", self.batch_size >= 1, "a positive whole number"),
            ("lr", self.lr >= 0, "a positive number, or 0 for the adapter's own"),
            ("layer_decay", 0 < self.layer_decay <= 1, "a share above 0, up to 1"),
            ("weight_decay", self.weight_decay >= 0, "0 or a positive number"),
            ("clip", self.clip > 0, "a positive number"),
            ("class_weights", self.class_weights in ("none", "balanced"), "none, balanced"),
            ("level", 0 < self.level < 1, "a share between 0 and 1"),
            ("seeds", self.seeds >= 1, "a positive whole number"),
            ("folds", self.folds == 0 or self.folds >= 3, "0, or a whole number of at least 3"),
            ("max_leakage", 0 <= self.max_leakage <= 1, "a share from 0 to 1"),
            ("conflicts", self.conflicts in ("auto", "fail", "drop", "keep"), "auto, fail, drop, keep"),
            ("resamples", self.resamples >= 100, "at least 100"),
            ("max_train", self.max_train >= 0, "0 or a positive whole number"),
        ):
            if not good:
                raise ConfigError(f"supervised.{name}: got {getattr(self, name)!r}, allowed: {allowed}")

    def rate(self, adapter: str) -> float:
        return self.lr or LEARNING_RATES[adapter]
