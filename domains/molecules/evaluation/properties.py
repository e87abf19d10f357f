"""Measured properties predicted by ridge regression: from the model's embeddings, from fingerprints, from both.

Molecules of one Bemis-Murcko scaffold stay on one side (Wu et al. 2018, MoleculeNet). The first split is the store's
own, others are dealt from its scaffolds by seed; errors are pooled over them. The penalty is chosen on the validation
part. A model that was trained on the store itself has seen SMILES, not labels, of the later splits' test molecules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation import MINUS, MODEL, MetricTable, Totals, bootstrap, interval
from core.order import permutation
from core.store import TokenStore
from domains.molecules.descriptors import scaffold_of
from domains.molecules.evaluation.fingerprints import counts
from domains.molecules.evaluation.likelihood import Scorer
from domains.molecules.evaluation.stored import smiles_of
from domains.molecules.parsing import parse

PENALTIES = np.logspace(-3, 5, 17)
MORGAN, BOTH, MEAN = "morgan_ridge", "embedding_and_morgan_ridge", "mean"
SHARE = 0.1
"""Of the molecules that a split by seed validates on, and tests on."""
LEAST = 30
"""Labelled molecules that a property needs."""
MOST = 20_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """One property on the store's own test part."""

    name: str
    measured: Values
    predicted: dict[str, Values]
    errors: dict[str, float]
    """RMSE over all splits."""


def labels_to_predict(store: TokenStore, tokenizer: Any) -> list[str]:
    """The numeric labels of a store, but those that stand before its molecules as conditions."""
    given = set(tokenizer.config.conditions)
    found = []
    for name in store.label_names:
        values = store.labels(name)
        if name not in given and values.dtype.kind in "fiu" and np.isfinite(values.astype(np.float64)).sum() >= LEAST:
            found.append(name)
    return found


def measure_properties(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Any,
    table: MetricTable,
    *,
    label: str,
    seeds: int,
    resamples: int,
    say: Callable[[str], None],
) -> list[Predicted]:
    """Adds `rmse_LABEL` of every model for each numeric label."""
    names = labels_to_predict(store, tokenizer)
    if not names or len(store) > MOST:
        return []
    say(f"embedding {len(store):,} molecules to predict {', '.join(names)}")
    texts = [smiles_of(sequence, tokenizer) for sequence in store]
    mols = [parse(text) for text in texts]
    mean, last = (np.stack(list(engine.embed(store, pooling=pooling))) for pooling in ("mean", "last"))
    # The sum as well, as fingerprints count: much of what is measured grows with the molecule.
    total = mean * np.diff(store.offsets)[:, None]
    features = {
        MODEL: standard(np.concatenate([mean, last, total], axis=1).astype(np.float64)),
        MORGAN: np.log1p(counts(mols)),
    }
    features[BOTH] = np.concatenate([features[MODEL] / np.sqrt(features[MODEL].shape[1]), features[MORGAN]], axis=1)
    scaffolds = np.array([scaffold_of(mol) or "acyclic" for mol in mols])
    own = np.zeros(len(store), np.int64)
    spans, split = store.spans(), store.span_split
    own[spans[:, 0]] = split
    found = []
    for name in names:
        values = np.asarray(store.labels(name), np.float64)
        there = np.isfinite(values)
        splits = [own, *(scaffold_split(scaffolds, there, seed) for seed in range(1, seeds))]
        found.append(_measure_one(name, values, there, features, splits, table, label, resamples))
    return [predicted for predicted in found if predicted is not None]


def _measure_one(
    name: str,
    values: Values,
    there: NDArray[np.bool_],
    features: dict[str, Values],
    splits: list[NDArray[np.int64]],
    table: MetricTable,
    label: str,
    resamples: int,
) -> Predicted | None:
    squares: dict[str, list[Values]] = {model: [] for model in (*features, MEAN)}
    first: dict[str, Values] = {}
    measured = np.zeros(0)
    for number, split in enumerate(splits):
        train, validation, test = (np.flatnonzero(there & (split == part)) for part in range(3))
        if min(len(train), len(validation), len(test)) < 2:
            continue
        for model in squares:
            if model == MEAN:
                guess = np.full(len(test), values[train].mean())
            else:
                guess = ridge(features[model], values, train, validation, test)
            squares[model].append((guess - values[test]) ** 2)
            if number == 0:
                first[model], measured = guess, values[test]
    if not squares[MEAN] or not first:
        return None
    joined = {model: np.concatenate(parts) for model, parts in squares.items()}
    n = len(joined[MEAN])
    draws = bootstrap({m: Totals(s, np.ones(n)) for m, s in joined.items()}, name, label, resamples=resamples)
    roots = {model: np.sqrt(d) for model, d in draws.items()}
    errors = {model: float(np.sqrt(s.mean())) for model, s in joined.items()}
    metric = f"rmse_{name}"
    for model, error in errors.items():
        low, high = interval(roots[model])
        table.add(metric, error, split=label, model=model, low=low, high=high, n=n)
    for model in errors:
        if model != MODEL:
            low, high = interval(roots[MODEL] - roots[model])
            table.add(f"{metric}{MINUS}{model}", errors[MODEL] - errors[model], split=label, low=low, high=high, n=n)
    return Predicted(name, measured, first, errors)


def scaffold_split(scaffolds: NDArray[Any], there: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """(N,) 0 train, 1 validation, 2 test: scaffolds in random order go to test, then validation, then training; one
    that is larger than its part trains.
    """
    kinds, which = np.unique(scaffolds, return_inverse=True)
    sizes = np.bincount(which[there], minlength=len(kinds))
    room = {2: SHARE * there.sum(), 1: SHARE * there.sum()}
    part = np.zeros(len(kinds), np.int64)
    for kind in permutation(len(kinds), "scaffolds", seed):
        for side, left in room.items():
            if sizes[kind] and sizes[kind] / 2 <= left:
                part[kind] = side
                room[side] -= sizes[kind]
                break
    return part[which]


def ridge(
    features: Values, values: Values, train: NDArray[np.int64], validation: NDArray[np.int64], test: NDArray[np.int64]
) -> Values:
    """Predictions for `test` by the penalty of PENALTIES with the least error on `validation`, fitted on both then."""
    choices = _predict(features, values, train, validation, PENALTIES)
    best = int(((choices - values[validation]) ** 2).mean(axis=1).argmin())
    final = _predict(features, values, np.concatenate([train, validation]), test, PENALTIES[best : best + 1])
    predicted: Values = final[0]
    return predicted


def _predict(
    features: Values, values: Values, known: NDArray[np.int64], asked: NDArray[np.int64], penalties: Values
) -> Values:
    """(P, asked) for each penalty: K = X X' once, then (K + p)^-1 by its eigenvalues; the mean is not penalised."""
    centre, mean = features[known].mean(axis=0), values[known].mean()
    x, new = features[known] - centre, features[asked] - centre
    eigen, vectors = np.linalg.eigh(x @ x.T)
    across, target = (new @ x.T) @ vectors, vectors.T @ (values[known] - mean)
    return np.array([mean + across @ (target / (np.maximum(eigen, 0) + p)) for p in penalties])


def standard(values: Values) -> Values:
    """Each column with mean 0 and deviation 1."""
    centred = values - values.mean(axis=0)
    scaled: Values = centred / np.maximum(centred.std(axis=0), 1e-8)
    return scaled
