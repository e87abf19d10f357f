"""Labels of pairs of records: which rows belong together, which part a pair is in, what a head reads of two records.

    table = PairTable(first=("P1", "P1"), second=("P2", "P3"), labels={"binds": np.array([1.0, 0.0])})
    labels = read_pair_labels(store, table, ["binds"], "classify", config)

Each record is read by itself and pooled (siamese encoders: Conneau et al. 2017, arXiv 1705.02364), so that a record
costs one pass however many pairs it is in. A pair is in the test part where either record is: nothing of that record
was trained on. How many pairs have one unseen record and how many two is told apart, because numbers on them differ
(Park and Marcotte 2012, doi 10.1038/nmeth.2259).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ConfigError, InputError, nearest
from core.store import SPLITS

Rows = NDArray[np.int64]
Vectors = TypeVar("Vectors", NDArray[np.float64], Tensor)
ORDERED, SYMMETRIC = "ordered", "symmetric"
_SHOWN = 3


@dataclass(frozen=True)
class PairTable:
    """Pairs by the names of their records, and what is known of each."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """By column, (P,) numbers or texts."""
    path: Path | None = None
    """Where it was read."""

    def __post_init__(self) -> None:
        lengths = {"second": len(self.second), **{name: len(found) for name, found in self.labels.items()}}
        for name, n in lengths.items():
            if n != len(self.first):
                raise ConfigError(f"pairs: {len(self.first)} first records, {n} of '{name}'")

    def __len__(self) -> int:
        return len(self.first)

    @property
    def fingerprint(self) -> str:
        """Of what it says, wherever it lies."""
        said = [self.first, self.second, {name: found.tolist() for name, found in self.labels.items()}]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        return str(self.path) if self.path else "the pairs"

    def rows(self, ids: Many[str]) -> Rows:
        """(P, 2) rows of the records called `ids`; -1 for a name that none has.

        Raises InputError where no pair has both of its records.
        """
        where = {name: row for row, name in enumerate(ids)}
        found = np.array([[where.get(a, -1), where.get(b, -1)] for a, b in zip(self.first, self.second, strict=True)])
        found = found.reshape(-1, 2).astype(np.int64)
        if not (found >= 0).all(axis=1).any():
            unknown = [n for pair in zip(self.first, self.second, strict=True) for n in pair if n not in where]
            said = f"'{unknown[0]}' is no record{nearest(unknown[0], list(where))}" if unknown else "it is empty"
            raise InputError(
                f"{self.name}: none of its pairs is of two records of the store; {said}",
                hint=f"Records are called {', '.join(map(repr, list(ids)[:_SHOWN]))} and so on.",
            )
        return found

    def column(self, name: str) -> NDArray[Any]:
        """Raises ConfigError, with the nearest name, for one that is not there."""
        if name not in self.labels:
            raise ConfigError(
                f"label: no column '{name}' in {self.name}{nearest(name, list(self.labels))}",
                hint=f"Columns: {', '.join(self.labels) or 'none besides the names'}.",
            )
        return self.labels[name]


def part_of(halves: Rows, split: Rows) -> Rows:
    """(P,) the part of each pair of rows (P, 2): that of the record which is farther from training, -1 where one of
    them is in none."""
    of = split[halves]
    assert SPLITS == ("train", "validation", "test")
    return np.asarray(np.where((of < 0).any(axis=1), -1, of.max(axis=1)), np.int64)


def combined(first: Vectors, second: Vectors, kind: str) -> Vectors:
    """What a head reads of two pooled vectors (n, D).

    ordered: u, v, |u - v| and u * v, (n, 4 D); symmetric: u + v, |u - v| and u * v, (n, 3 D), equal whichever is first.
    """
    both: list[Any] = [abs(first - second), first * second]
    parts = [first, second, *both] if kind == ORDERED else [first + second, *both]
    joined: Any = torch.cat(parts, 1) if isinstance(first, Tensor) else np.concatenate(parts, axis=1)
    return joined


def combined_width(width: int, kind: str) -> int:
    """Numbers that a head reads where a record has `width`; `kind` is empty for single records."""
    return width * {"": 1, ORDERED: 4, SYMMETRIC: 3}[kind]


def means_of_records(halves: Rows, values: NDArray[np.float64], train: Rows, asked: Rows) -> NDArray[np.float64]:
    """(m, K) what the training labels of a pair's two records say, each mean shrunk by one record's worth.

    Pairs may be told by how often each of their records was positive, without a look at what they have in common; a
    model of pairs has to do better.

    Args:
        halves: (n, 2) records of each pair. values: (n, K), NaN where not known.
    """
    k, n_records = values.shape[1], int(halves.max()) + 1
    overall = np.nanmean(values[train], axis=0)
    sums, counts = np.zeros((n_records, k)), np.zeros((n_records, k))
    for side in (0, 1):
        known = np.isfinite(values[train])
        np.add.at(sums, halves[train, side], np.where(known, values[train], 0.0))
        np.add.at(counts, halves[train, side], known)
    means = (sums + overall) / (counts + 1)
    return np.asarray((means[halves[asked, 0]] + means[halves[asked, 1]]) / 2)
