"""What a fine-tuned model says of records in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence

if TYPE_CHECKING:
    from core.engine import Engine
    from core.finetuning.head import Head

Said = float | NDArray[np.float64]
"""Of a record; or (T,) of its tokens."""


@dataclass(frozen=True)
class Predicted:
    """Of one record: probabilities of classes, or numbers with the interval that holds `level` of the truths."""

    id: str
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
        said = head.predict(vector if by_token else vector[None])

        def named(what: str, said: dict[str, NDArray[np.float64]] = said) -> dict[str, Said]:
            if what not in said:
                return {}
            values = said[what].T
            return {n: v if by_token else float(v[0]) for n, v in zip(head.config.names, values, strict=True)}

        yield Predicted(sequence.id, *(named(what) for what in ("probability", "mean", "low", "high")))
