"""What a fine-tuned model says of records in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.engine import content_hash
from core.finetuning.pairs import combined
from core.sequence import Sequence

if TYPE_CHECKING:
    from core.engine import Engine
    from core.finetuning.head import Head

Said = float | NDArray[np.float64]
"""Of a record; or (T,) of its tokens."""


@dataclass(frozen=True)
class Predicted:
    """Of one record or pair: probabilities of classes, or numbers with the interval that holds `level` of truths."""

    id: str
    """Of a pair, those of both records."""
    probabilities: dict[str, Said] = field(default_factory=dict)
    """By class; empty for numbers."""
    mean: dict[str, Said] = field(default_factory=dict)
    """By label; empty for classes, as the following."""
    low: dict[str, Said] = field(default_factory=dict)
    high: dict[str, Said] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The likeliest class of a record."""
        return max(self.probabilities, key=lambda name: float(self.probabilities[name]))


def predictions(engine: Engine, head: Head, sequences: Iterable[Sequence]) -> Iterator[Predicted]:
    """One for each sequence, in order. Raises as `Engine.embed`."""
    given: Many[Sequence] = list(sequences)
    by_token = head.config.by_token
    for sequence, vector in zip(given, engine.embed(given, pooling=head.config.pooling), strict=True):
        yield _named(head, sequence.id, head.predict(vector if by_token else vector[None]))


def pair_predictions(engine: Engine, head: Head, pairs: Iterable[tuple[Sequence, Sequence]]) -> Iterator[Predicted]:
    """As `predictions` of a head that reads pairs; a record that is in several of them is read once."""
    given = list(pairs)
    records: dict[str, Sequence] = {}
    keys = [tuple(content_hash(half) for half in pair) for pair in given]
    for pair, hashes in zip(given, keys, strict=True):
        records.update(zip(hashes, pair, strict=True))
    found = engine.embed(list(records.values()), pooling=head.config.pooling)
    vectors = dict(zip(records, found, strict=True))
    for (first, second), (a, b) in zip(given, keys, strict=True):
        joined = combined(vectors[a][None].astype(np.float64), vectors[b][None].astype(np.float64), head.config.pairs)
        yield _named(head, f"{first.id} {second.id}", head.predict(joined))


def _named(head: Head, name: str, said: dict[str, NDArray[np.float64]]) -> Predicted:
    """One record's or pair's, by class or label."""

    def of(what: str) -> dict[str, Said]:
        if what not in said:
            return {}
        values = said[what].T
        return {n: v if head.config.by_token else float(v[0]) for n, v in zip(head.config.names, values, strict=True)}

    return Predicted(name, *(of(what) for what in ("probability", "mean", "low", "high")))
