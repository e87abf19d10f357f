"""Numbers on predictions of labels, with intervals, beside the baselines; and the sentence that says who is better.

Records are resampled, never tokens. Names end with the label's: `rmse_logd`, `spearman_logd`, `accuracy_class`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MetricTable, Totals, lower_is_better
from core.finetuning.labels import Labels
from core.tasks.measures import area_under_curve, macro_f1, measure, root_mean_square, spearman

Values = NDArray[np.float64]


def measure_labels(
    table: MetricTable,
    labels: Labels,
    truth: Values,
    said: Mapping[str, Values],
    *,
    records: NDArray[np.int64],
    split: str,
    seed: int,
    resamples: int,
    interval: tuple[Values, Values] | None = None,
) -> str:
    """Adds the rows and returns the name of the metric that decides: RMSE, or accuracy, or area under the curve.

    Args:
        truth: (m, K) of records or tokens, NaN where not known.
        said: by model, probabilities or numbers (m, K).
        records: (m,) the record of each line.
        interval: foretell's low and high (m, K), of numbers.
    """
    settings = {"split": split, "seed": seed, "resamples": resamples}
    if labels.task == "regress":
        return _numbers(table, labels, truth, said, records, interval, settings)
    if labels.exclusive:
        return _classes(table, labels, truth, said, records, settings)
    return _several(table, labels, truth, said, settings)


def _numbers(
    table: MetricTable,
    labels: Labels,
    truth: Values,
    said: Mapping[str, Values],
    records: NDArray[np.int64],
    interval: tuple[Values, Values] | None,
    settings: dict[str, object],
) -> str:
    for k, name in enumerate(labels.names):
        there = np.isfinite(truth[:, k])
        true, n = truth[there, k], int(there.sum())
        if n < 2:
            continue
        errors = {model: values[there, k] - true for model, values in said.items()}
        measure(table, f"rmse_{name}", {m: root_mean_square(e) for m, e in errors.items()}, n, **settings)  # type: ignore[arg-type]
        ordering = {m: v[there, k] for m, v in said.items() if np.ptp(v[there, k]) > 0}
        measure(table, f"spearman_{name}", {m: spearman(true, v) for m, v in ordering.items()}, n, **settings)  # type: ignore[arg-type]
        if interval is not None:
            inside = (interval[0][there, k] <= true) & (true <= interval[1][there, k])
            table.add(f"inside_interval_{name}", float(inside.mean()), split=str(settings["split"]), n=n)
    return f"rmse_{labels.names[0]}"


def _classes(
    table: MetricTable,
    labels: Labels,
    truth: Values,
    said: Mapping[str, Values],
    records: NDArray[np.int64],
    settings: dict[str, object],
) -> str:
    there = np.isfinite(truth).all(axis=1)
    true = truth[there].argmax(axis=1)
    chance = {model: values[there] for model, values in said.items()}
    table.measure(
        f"accuracy_{labels.name}",
        {m: _by_record((p.argmax(1) == true).astype(float), records[there]) for m, p in chance.items()},
        **settings,  # type: ignore[arg-type]
    )
    nats = {m: -np.log(np.maximum(p[np.arange(len(true)), true], 1e-12)) for m, p in chance.items()}
    table.measure(
        f"log_loss_{labels.name}",
        {m: _by_record(v, records[there]) for m, v in nats.items()},
        **settings,  # type: ignore[arg-type]
    )
    if not labels.by_token:
        kinds = {m: macro_f1(true, p.argmax(1), len(labels.names)) for m, p in chance.items()}
        measure(table, f"f1_macro_{labels.name}", kinds, len(true), **settings)  # type: ignore[arg-type]
        if len(labels.names) == 2:
            areas = {m: area_under_curve(true, p[:, 1]) for m, p in chance.items()}
            measure(table, f"auc_{labels.name}", areas, len(true), **settings)  # type: ignore[arg-type]
    return f"accuracy_{labels.name}"


def _several(
    table: MetricTable, labels: Labels, truth: Values, said: Mapping[str, Values], settings: dict[str, object]
) -> str:
    """Of classes that each hold or not: the area under each one's curve, and their mean."""
    statistics = {}
    judged = [k for k in range(truth.shape[1]) if len(set(truth[np.isfinite(truth[:, k]), k].tolist())) == 2]
    for model, values in said.items():
        parts = []
        for k in judged:
            known = np.isfinite(truth[:, k])
            whole = np.full(len(truth), -1)
            whole[known] = truth[known, k].astype(int)
            parts.append(area_under_curve(whole, values[:, k]))
        statistics[model] = lambda rows, parts=parts: float(np.nanmean([part(rows) for part in parts]))
    name = f"auc_mean_{labels.name}"
    if judged:
        measure(table, name, statistics, len(truth), **settings)  # type: ignore[arg-type]
    known = np.isfinite(truth)
    nats = {}
    for model, p in said.items():
        p = np.clip(p, 1e-12, 1 - 1e-12)
        each = np.where(known, -np.where(truth == 1, np.log(p), np.log1p(-p)), 0)
        nats[model] = Totals(each.sum(1), known.sum(1).astype(float))
    table.measure(f"log_loss_{labels.name}", nats, **settings)  # type: ignore[arg-type]
    return name if judged else f"log_loss_{labels.name}"


def _by_record(values: Values, records: NDArray[np.int64]) -> Totals:
    """Means whose units are records, which may have several lines each."""
    unit = np.unique(records, return_inverse=True)[1]
    return Totals(np.bincount(unit, values).astype(np.float64), np.bincount(unit).astype(np.float64))


def verdict(table: MetricTable, name: str, split: str) -> tuple[bool, str]:
    """Whether the fine-tuned model beats every baseline on a metric, and a sentence on the hardest of them."""
    row = table.find(name, split)
    hardest = table.hardest(name, split, lower_is_better=lower_is_better(name))
    if row is None or row.value is None or hardest is None:
        return False, f"{name} could not be measured on {split}"
    other = table.find(name, split, hardest.baseline)
    numbers = f"{name} {row.value:.4g} on {split}, {hardest.baseline} {other.value if other else float('nan'):.4g}"
    span = (
        "" if hardest.low is None else f" (difference {hardest.difference:.3g} [{hardest.low:.3g}, {hardest.high:.3g}])"
    )
    if hardest.verdict == "better":
        return True, f"Fine-tuning is better than every baseline: {numbers}{span}."
    if hardest.verdict == "worse":
        return False, f"FINE-TUNING DOES NOT BEAT A BASELINE: {numbers}{span}. Use {hardest.baseline}."
    return False, f"FINE-TUNING CANNOT BE TOLD FROM A BASELINE: {numbers}{span}."
