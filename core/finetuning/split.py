"""Which labelled records are trained on, stopped on and tested on; and whether that split can be trusted.

The store's own split comes from `prepare`. Folds deal all labelled records out anew; copies and groups stay together.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError
from core.finetuning.config import SupervisedConfig
from core.finetuning.label_reading import labels_of
from core.finetuning.labels import Labels
from core.finetuning.pairs import PairTable
from core.order import permutation
from core.store import SPLITS, TokenStore

TRAIN, VALIDATION, TEST = (SPLITS.index(name) for name in ("train", "validation", "test"))


@dataclass(frozen=True)
class Leakage:
    """How much of the test part training has seen."""

    copies: float
    """Share of the labelled test records that equal a training record, or are of its group; of pairs, where both do."""
    stretches: float | None
    """Share of the test part's distinct k-mers that occur in training, as `prepare` found; None where it did not look
    or there are none."""
    k: int | None

    @property
    def worst(self) -> float:
        return max(self.copies, self.stretches or 0.0)

    def describe(self) -> str:
        text = f"{100 * self.copies:.3g} % of the test records equal a training record or are of its group"
        if self.stretches is None:
            return f"{text}; shared stretches were not looked for, or records are shorter"
        return f"{text}; {100 * self.stretches:.3g} % of its distinct stretches of {self.k} occur in training"


def trusted_labels(
    store: TokenStore, columns: Many[str], task: str, config: SupervisedConfig, pairs: PairTable | None = None
) -> Labels:
    """Labels of a split that does not leak more than the config allows.

    Raises as `read_labels` and `read_pair_labels`, and InputError.
    """
    labels = labels_of(store, columns, task, config, pairs)
    check_leakage(leakage_of(labels, store), config.max_leakage, store)
    return labels


def leakage_of(labels: Labels, store: TokenStore) -> Leakage:
    test = labels.part("test")
    copies = float((labels.unseen(test) == 0).mean()) if len(test) else 0.0
    said: dict[str, Any] = store.split.get("leakage") or {}
    return Leakage(copies, said.get("test"), said.get("k"))


def check_leakage(found: Leakage, most: float, store: TokenStore) -> None:
    """Raises InputError for a split that leaks more than `most`."""
    if found.worst > most:
        raise InputError(
            f"{store.path}: the split leaks: {found.describe()}. A test on it would flatter",
            hint="Prepare it with split.rule=cluster, or with a column that says what belongs together "
            f"(data.group_column=) or when it was measured (data.stamp_column=); or allow it with "
            f"supervised.max_leakage={min(1.0, np.ceil(100 * found.worst) / 100):g}, which the card will say.",
        )


def fold_splits(labels: Labels, folds: int, seed: int) -> list[NDArray[np.int64]]:
    """`folds` splits (n,) of all labelled records: fold k is tested, the next one is validated on.

    Raises ConfigError for pairs, InputError where a fold would be empty, or a training part lack a class.
    """
    if labels.pairs:
        raise ConfigError(
            "supervised.folds: pairs share records, which no folds of theirs keep apart", hint="Leave it 0."
        )
    groups, which = np.unique(labels.groups, return_inverse=True)
    if len(groups) < folds:
        raise InputError(
            f"label '{labels.name}': {len(groups)} records or groups cannot make {folds} folds: a test fold would be "
            "empty",
            hint="Choose fewer folds, at least 3.",
        )
    order = permutation(len(groups), "folds", seed)
    sizes = np.bincount(which)
    fold, filled = np.zeros(len(groups), np.int64), np.zeros(folds)
    for unit in sorted(order.tolist(), key=lambda g: -sizes[g]):  # the largest first, each where there is most room
        fold[unit] = int(filled.argmin())
        filled[fold[unit]] += sizes[unit]
    mine = fold[which]
    splits = []
    for k in range(folds):
        split = np.full(len(mine), TRAIN, np.int64)
        split[mine == (k + 1) % folds] = VALIDATION
        split[mine == k] = TEST
        splits.append(split)
        train = labels.with_split(split)
        if labels.task == "classify":
            seen = np.nansum(train.where(train.part("train")), axis=0)
            absent = [name for name, n in zip(labels.names, seen, strict=True) if not n]
            if absent:
                raise InputError(
                    f"label '{labels.name}': {absent[0]} does not occur in the training part of fold {k + 1}",
                    hint="Choose more folds, or leave out classes of a few records.",
                )
    return splits
