"""What stands beside a fine-tuned model: the majority or the mean, frozen embeddings, the classic of the field.

Of symbols that is a regression on k-mers and, of one length, on the letter at each site; of single tokens one on the
letters around, of real values one on moments of the channels; a domain may bring its own (Morgan fingerprints).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many

import numpy as np
from numpy.typing import NDArray

from core.finetuning.labels import Labels
from core.finetuning.regressions import Fitted, Values, chances, logistic, ridge
from core.sequence import Sequence, TokenSpec
from core.tasks.baselines import Readings, Windows

Features = Callable[[Many[Sequence]], tuple[str, Values]]
"""Sequences to what the features are called, and (N, F) of them: a domain's own."""
MAJORITY, MEAN, FROZEN = "majority", "mean", "frozen_embeddings"


def constant(labels: Labels, train: NDArray[np.int64], asked: int) -> tuple[str, Values]:
    """The training part's class shares, or its mean, for `asked` records or tokens (asked, K)."""
    values = labels.where(train)
    guess = np.nanmean(values, axis=0)
    name = MAJORITY if labels.task == "classify" else MEAN
    return name, np.repeat(guess[None], asked, axis=0)


def fitted(
    labels: Labels,
    features: Values,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    weights: Values | None = None,
) -> Fitted:
    """A regression of the labels on features of all their records (n, F), or of all their tokens.

    Raises nothing: a constant feature has no weight.
    """
    x, held = (_chosen(labels, features, part) for part in (train, validation))
    y, held_y = labels.where(train), labels.where(validation)
    if labels.by_token:
        there, held_there = (np.isfinite(v).any(1) for v in (y, held_y))
        x, y, held, held_y = x[there], y[there], held[held_there], held_y[held_there]
    if labels.task == "regress":
        return ridge(x, y, held, held_y)
    return logistic(x, y, held, held_y, exclusive=labels.exclusive, weights=weights)


def said(labels: Labels, model: Fitted, features: Values, asked: NDArray[np.int64]) -> Values:
    """What a regression says of the chosen records: probabilities or numbers (m, K)."""
    found = model(_chosen(labels, features, asked))
    return chances(found, labels.exclusive) if labels.task == "classify" else found


def _chosen(labels: Labels, features: Values, chosen: NDArray[np.int64]) -> Values:
    if not labels.by_token:
        return features[chosen]
    ends = np.cumsum(labels.lengths)
    pieces = [features[ends[i] - labels.lengths[i] : ends[i]] for i in chosen.tolist()]
    return np.concatenate(pieces)


def classic(
    sequences: Many[Sequence], spec: TokenSpec, labels: Labels, train: NDArray[np.int64], own: Features | None
) -> Mapping[str, Values]:
    """Features of the field by the name of their regression."""
    ending = "ridge" if labels.task == "regress" else "logistic"
    found: dict[str, Values] = {}
    symbols = [f.name for f in spec.targets if f.is_symbol]
    if symbols:
        rows = [s.arrays[symbols[0]].astype(np.int64) for s in sequences]
        chosen = [rows[i] for i in train.tolist()]
        if labels.by_token:
            windows = Windows(chosen)
            found[f"windows_{ending}"] = np.concatenate([windows(row) for row in rows])
            return found
        # Of one length may be variants of one sequence, whose sites compare, or reads from anywhere, whose do not.
        for readings in (Readings(chosen), Readings(chosen, sites=False)):
            name = f"{readings.name.removesuffix('_ridge')}_{ending}"
            if name not in found:
                found[name] = readings(rows)
    elif not labels.by_token:
        found[f"moments_{ending}"] = np.stack([_moments(s, spec) for s in sequences])
    if own is not None and not labels.by_token:
        name, values = own(sequences)
        found[f"{name}_{ending}"] = values
    return found


def _moments(sequence: Sequence, spec: TokenSpec) -> Values:
    """Of each channel of the real targets: mean, deviation, least, greatest, correlation of neighbours; and length."""
    told = [np.array([np.log1p(len(sequence))])]
    for f in spec.targets:
        if f.is_symbol:
            continue
        values = sequence.arrays[f.name].astype(np.float64)
        values = np.where(sequence.observed.get(f.name, np.ones(values.shape, bool)), values, np.nan)
        values = np.nan_to_num(values) if len(values) else np.zeros((1, f.width))
        mean, deviation = values.mean(0), values.std(0)
        centred = values - mean
        near = (centred[1:] * centred[:-1]).sum(0) / np.maximum(np.square(centred).sum(0), 1e-12)
        told += [mean, deviation, values.min(0), values.max(0), near]
    return np.concatenate(told)
