"""What every domain's evaluation can be told, and the few lines that each of them begins and ends with.

    @dataclass(frozen=True)
    class EvaluationConfig(EvaluationOptions):
        LIMITS: ClassVar[Limits] = {"samples": 0}
        samples: int = 32

Knows no metric: those are the domains', and `core.evaluation` keeps them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core.errors import ConfigError, InputError, nearest
from core.evaluation import RESAMPLES, MetricTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.store import TokenStore

Drawing = Mapping[str, float]
"""How samples are drawn: temperature and min_p."""
Limits = Mapping[str, int | tuple[int, int | None]]
"""Key to the least value of a whole number, or to the least and the greatest; None: no greatest."""
FACTS = {"seconds_training": "seconds", "seed": "seed"}
"""Metric to the fact of the training run that it repeats."""


@dataclass(frozen=True)
class EvaluationOptions:
    """Raises ConfigError naming the key, the value got and the values allowed."""

    LIMITS: ClassVar[Limits] = {}

    data: str = ""
    """The data set's name in the split column (`ecoli/test`). Empty: the name that the store gives its source, else the
    store's own."""
    resamples: int = RESAMPLES
    """Of the bootstrap."""
    seed: int = 0
    """Of everything drawn: samples, pieces, resamples."""
    figures: bool = True
    """Whether figures are drawn."""

    def __post_init__(self) -> None:
        for key, limit in {"resamples": 100, **self.LIMITS}.items():
            value = getattr(self, key)
            low, high = limit if isinstance(limit, tuple) else (limit, None)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < low or (high is not None and value > high):
                allowed = f"{low} or more" if high is None else f"{low} to {high}"
                raise ConfigError(f"evaluation.{key}: got {value!r}, allowed: {allowed}")

    def check_temperature(self, value: float) -> None:
        """Raises ConfigError for a temperature that nothing can be drawn at; 0 takes the likeliest."""
        if not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ConfigError(f"evaluation.temperature: got {value!r}, allowed: 0 or a positive number")

    def check_baselines(self, asked: Iterable[str], known: Collection[str]) -> None:
        """Raises ConfigError for a baseline that there is not, with the nearest one."""
        for name in asked:
            if name not in known:
                raise ConfigError(
                    f"evaluation.baselines: there is no '{name}'{nearest(name, known)}",
                    hint=f"Known: {', '.join(known)}.",
                )

    def label(self, store: TokenStore, split: str) -> str:
        """What the split column says: `ecoli/test`."""
        return f"{self.data or store.name}/{split}"

    def measuring(self, label: str) -> dict[str, Any]:
        """The keyword arguments of `MetricTable.measure`."""
        return {"split": label, "seed": self.seed, "resamples": self.resamples}


@dataclass(frozen=True)
class SamplingOptions(EvaluationOptions):
    """Of an evaluation that draws samples of symbols. Raises as EvaluationOptions."""

    temperature: float = 1.0
    """Of the samples: logits are divided by it; 0 takes the likeliest symbol."""
    min_p: float = 0.0
    """Of the samples: symbols with less than this share of the likeliest one's probability are not drawn (arXiv
    2407.01082); 0 keeps all. Likelihoods are always the model's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_temperature(self.temperature)
        if not isinstance(self.min_p, int | float) or not 0 <= self.min_p <= 1:
            raise ConfigError(f"evaluation.min_p: got {self.min_p!r}, allowed: a share in [0, 1]")

    @property
    def drawing(self) -> Drawing:
        """Keyword arguments of an engine's `sample`."""
        return {"temperature": self.temperature, "min_p": self.min_p}

    def said(self) -> str:
        """How samples are drawn, in words: ` at temperature 1, min_p 0.02`; of the model's own distribution nothing."""
        changed = [f"temperature {self.temperature:g}"] * (self.temperature != 1)
        changed += [f"min_p {self.min_p:g}"] * (self.min_p > 0)
        return f" at {', '.join(changed)}" if changed else ""


def add_drawing(table: MetricTable, options: SamplingOptions, label: str) -> None:
    """Rows of how samples were drawn, where it is not from the model's own distribution."""
    if options.temperature != 1:
        table.add("samples_temperature", options.temperature, split=label)
    if options.min_p:
        table.add("samples_min_p", options.min_p, split=label)


def spans_of(store: TokenStore, split: str) -> NDArray[np.int64]:
    """(S, 3) row, start, stop. Raises InputError where the split has none."""
    spans = store.spans(split)
    if not len(spans):
        raise InputError(f"{store.path} has no {split} split", hint="Prepare the store with a share for it.")
    return spans


def add_training(table: MetricTable, training: Mapping[str, Any] | None, label: str) -> None:
    """Rows of what is known of the training run: how long it took, its seed."""
    for metric, fact in FACTS.items():
        value = (training or {}).get(fact)
        if value is not None:
            table.add(metric, float(value), split=label)
