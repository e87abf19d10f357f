"""Metric tables: every number with an interval, the baselines beside it, and the paired difference to each of them.

Intervals resample whole records, or blocks of a long record, never tokens. All models of one metric are resampled
together, so that a difference is judged on the same draws. Knows neither stores nor domains: it is given sums.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.durable import read_json, resources_named, write_bytes_durably
from core.errors import ConfigError, InputError, IntegrityError
from core.order import rng

MODEL = "foretell"
"""What the model under test is called in a table; every other name is a baseline's or a part of the data."""

MINUS = "_minus_"
"""`bits_per_base_minus_markov_7` is foretell's value less that of markov_7, on the same resamples."""

VERDICTS = ("worse", "undecided", "better")

HIGHER_IS_BETTER = (
    "vpt_",
    "success_",
    "action_accuracy",
    "accuracy",
    "spearman",
    "valid",
    "novelty",
    "unique_",
    "vun_",
    "return_",
    "ndcg",
    "auc",
    "recall",
    "exact_",
    "f1_",
    "snn_",
    "frag_",
    "scaf_",
    "filters",
    "intdiv",
)
"""How names of metrics begin of which more is better; of all others less is."""

RESAMPLES = 2000
"""Percentiles of 2000 draws move by about 2 % of the interval's width from seed to seed."""

LEAST = 5
"""Records or blocks that an interval needs: of four, one draw in 64 is of a single one."""
LEVEL = 0.95
_CELLS = 2**22
"""Weights that are drawn at a time: bounds the memory of a bootstrap over many units to some 100 MB."""


def lower_is_better(name: str) -> bool:
    """Whether less of a metric is better, by its name."""
    return not name.startswith(HIGHER_IS_BETTER)


@dataclass(frozen=True)
class Metric:
    """One line of metrics.json."""

    name: str
    """With unit and convention: `bits_per_base`, `vpt_nrmse_0.4`."""
    value: float | None
    """None where it is not a number."""
    low: float | None
    """Lower end of the 95 % interval, None where there is none."""
    high: float | None
    n: int
    """How many records or blocks were resampled; 1 for a plain fact."""
    split: str
    """Data set and part: `ecoli/test`."""
    model: str
    """`foretell`, or the baseline's name."""


@dataclass(frozen=True)
class Totals:
    """A mean as its parts: per record or block the sum of what is measured and the weight (units) it is measured on."""

    sums: NDArray[np.float64]
    """(U,)"""
    weights: NDArray[np.float64]
    """(U,)"""

    @property
    def mean(self) -> float:
        """NaN where nothing was measured."""
        weight = self.weights.sum()
        return float(self.sums.sum() / weight) if weight else float("nan")


@dataclass(frozen=True)
class Comparison:
    """A model against one baseline on one metric."""

    name: str
    split: str
    baseline: str
    difference: float
    """The model's value less the baseline's."""
    low: float | None
    high: float | None
    lower_is_better: bool = True

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `undecided` where the paired interval has 0 inside or does not exist."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.difference < 0) == self.lower_is_better else "worse"


def block_totals(values: NDArray[np.floating], block: int) -> Totals:
    """Sums over consecutive blocks of `block` positions of `values` (T,); NaN counts as not measured.

    The last block may be shorter; blocks with nothing measured are left out.
    """
    starts = np.arange(0, len(values), block)
    if not len(starts):
        return Totals(np.zeros(0), np.zeros(0))
    measured = np.isfinite(values)
    sums = np.add.reduceat(np.where(measured, values, 0).astype(np.float64), starts)
    weights = np.add.reduceat(measured.astype(np.float64), starts)
    return Totals(sums[weights > 0], weights[weights > 0])


def join(parts: Iterable[Totals]) -> Totals:
    """The units of several records one after the other."""
    parts = list(parts)
    return Totals(
        np.concatenate([p.sums for p in parts]) if parts else np.zeros(0),
        np.concatenate([p.weights for p in parts]) if parts else np.zeros(0),
    )


def bootstrap(
    parts: Mapping[str, Totals], *counters: int | str, resamples: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """Per model the means (R,) over `resamples` draws with replacement of the units; every model gets the same draws.
    NaN where a draw has units without weight only.

    Args:
        parts: totals over the same U units.
        counters: what the draws are a function of (a seed, a name).

    Raises InputError where the models' units differ in number or there are none.
    """
    sizes = {name: len(p.sums) for name, p in parts.items()}
    n = next(iter(sizes.values()), 0)
    if n == 0 or set(sizes.values()) != {n}:
        raise InputError(f"a paired bootstrap needs the same records or blocks for every model, got {sizes}")
    sums = np.stack([p.sums for p in parts.values()], axis=1)
    weights = np.stack([p.weights for p in parts.values()], axis=1)
    means = np.empty((resamples, len(parts)))
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = rng("bootstrap", *counters, start).multinomial(n, np.full(n, 1 / n), size=rows).astype(np.float64)
        drawn, nothing = draws @ weights, np.full((rows, len(parts)), np.nan)
        means[start : start + rows] = np.divide(draws @ sums, drawn, out=nothing, where=drawn != 0)
    return dict(zip(parts, means.T, strict=True))


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The central 95 % of draws (R,), NaN left out; NaN where all of them are."""
    if np.isnan(draws).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def jackknife(statistic: Callable[[NDArray[np.float64]], float], n: int) -> tuple[float, float, float]:
    """(value, low, high) of a statistic that is no mean, such as a divergence between spectra.

    A bootstrap repeats records and so adds noise of its own to a divergence; leaving one record out does not.

    Args:
        statistic: of weights (n,), one per record.
    """
    value = statistic(np.ones(n))
    if n < 2:
        return value, value, value
    left_out = np.array([statistic(np.where(np.arange(n) == i, 0.0, 1.0)) for i in range(n)])
    deviation = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
    return value, value - 1.96 * deviation, value + 1.96 * deviation


class MetricTable:
    """The rows of one evaluation, in the order in which they were added."""

    def __init__(self, rows: Iterable[Metric] = ()) -> None:
        self.rows: list[Metric] = list(rows)

    def add(
        self,
        name: str,
        value: float,
        *,
        split: str,
        model: str = MODEL,
        low: float | None = None,
        high: float | None = None,
        n: int = 1,
    ) -> None:
        """One row. Raises ConfigError where the same metric, split and model stand in the table already."""
        if self.find(name, split, model):
            raise ConfigError(f"the table has a row '{name}' of '{model}' on '{split}' already")
        self.rows.append(Metric(name, _finite(value), _finite(low), _finite(high), int(n), split, model))

    def measure(
        self,
        name: str,
        parts: Mapping[str, Totals],
        *,
        split: str,
        seed: int = 0,
        resamples: int = RESAMPLES,
        differences: bool = True,
    ) -> None:
        """Rows with intervals for every model, and of foretell's paired difference to each baseline.

        Raises InputError where the models were not measured on the same number of records or blocks.
        """
        draws = bootstrap(parts, seed, name, split, resamples=resamples)
        n = len(next(iter(parts.values())).sums)
        ends = {model: interval(d) if n >= LEAST else (None, None) for model, d in draws.items()}
        for model, totals in parts.items():
            low, high = ends[model]
            self.add(name, totals.mean, split=split, model=model, low=low, high=high, n=n)
        if MODEL not in parts or not differences:
            return
        for model, totals in parts.items():
            if model == MODEL:
                continue
            low, high = interval(draws[MODEL] - draws[model]) if n >= LEAST else (None, None)
            difference = parts[MODEL].mean - totals.mean
            self.add(f"{name}{MINUS}{model}", difference, split=split, low=low, high=high, n=n)

    def find(self, name: str, split: str | None = None, model: str = MODEL) -> Metric | None:
        """The row of a metric; any split where none is given."""
        for row in self.rows:
            if row.name == name and row.model == model and split in (None, row.split):
                return row
        return None

    def comparisons(self, name: str, split: str, *, lower_is_better: bool = True) -> list[Comparison]:
        """foretell against each baseline of a metric, in the table's order."""
        found = []
        for row in self.rows:
            baseline = row.name.removeprefix(name + MINUS)
            if baseline != row.name and row.split == split and row.value is not None:
                found.append(Comparison(name, split, baseline, row.value, row.low, row.high, lower_is_better))
        return found

    def hardest(self, name: str, split: str, *, lower_is_better: bool = True) -> Comparison | None:
        """foretell against the baseline that it does least well against, on this very split.

        A baseline that is better goes before one that cannot be told apart, that before one that is worse; among
        equals the best one is taken. So `better` means better than every baseline.
        """

        def rank(comparison: Comparison) -> tuple[int, float]:
            # The baseline's own value is foretell's less the difference.
            gap = comparison.difference if lower_is_better else -comparison.difference
            return VERDICTS.index(comparison.verdict), -gap

        return min(self.comparisons(name, split, lower_is_better=lower_is_better), key=rank, default=None)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.rows]

    def to_markdown(self, title: str = "Evaluation") -> str:
        """One table; differences stand in the row of their baseline."""
        lines = [
            f"# {title}",
            "",
            "| metric | split | model | value | 95 % interval | n | foretell minus this | counts |",
            "|---|---|---|---:|---|---:|---|---|",
        ]
        for row in self.rows:
            if self._is_difference(row):
                continue
            difference = self.find(f"{row.name}{MINUS}{row.model}", row.split) if row.model != MODEL else None
            delta, counts = "", ""
            if difference and difference.value is not None:
                counts = "no" if _undecided(difference) else "yes"
                delta = f"{shown(difference.value)} {shown_interval(difference)}".strip()
            lines.append(
                f"| {row.name} | {row.split} | {row.model} | {shown(row.value)} | {shown_interval(row)} | {row.n} "
                f"| {delta} | {counts} |"
            )
        return "\n".join(lines) + _LEGEND

    def write(self, out: Path | str, title: str = "Evaluation") -> None:
        """`metrics.json` and `table.md` in the folder `out`.

        Raises ConfigError where `out` is a file, ResourceError where it cannot be written.
        """
        out = Path(out)
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{out} is a file, expected a folder to write the evaluation to")
        with resources_named(out):
            out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_bytes_durably(out / "metrics.json", text.encode())
        write_bytes_durably(out / "table.md", self.to_markdown(title).encode())

    @classmethod
    def read(cls, path: Path | str) -> MetricTable:
        """The table in a folder or metrics.json that `write` wrote. Raises IntegrityError where it is damaged."""
        path = Path(path)
        path = path / "metrics.json" if path.is_dir() else path
        rows = read_json(path)
        try:
            return cls(Metric(**row) for row in rows)
        except TypeError as error:
            raise IntegrityError(f"{path} is no list of metrics: {error}") from error

    def _is_difference(self, row: Metric) -> bool:
        name, minus, baseline = row.name.partition(MINUS)
        return bool(minus) and self.find(name, row.split, baseline) is not None


_LEGEND = f"""

Intervals hold the central 95 % of {RESAMPLES:,} bootstrap resamples of the n records or blocks; fewer than {LEAST} have
none. A difference counts when its paired interval, over the same resamples for both models, excludes 0.
"""


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _undecided(row: Metric) -> bool:
    return Comparison("", "", "", row.value or 0.0, row.low, row.high).verdict == "undecided"


def shown(value: float | None) -> str:
    """A number as tables show it: four decimals, fewer for large ones, none for whole ones, more for tiny ones."""
    if value is None:
        return "none"
    if value == round(value) and abs(value) < 1e12:
        return f"{value:.0f}"
    if 0 < abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{value:.{4 if abs(value) < 10 else 2 if abs(value) < 1000 else 0}f}"


def shown_interval(row: Metric) -> str:
    """`[low, high]`, or nothing where there is none."""
    return "" if row.low is None or row.high is None else f"[{shown(row.low)}, {shown(row.high)}]"
