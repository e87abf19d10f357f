"""Properties as prefix tokens: what a molecule should be like stands before it, so that a model can be asked for it.

Each property is cut into bins with about equally many training molecules (quantiles). `<logp:any>` says nothing: one
training molecule in ten has it for each property, so that a model also draws without being asked. Learned in `fit`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from core.errors import ConfigError, nearest
from core.order import rng

ANY = "any"
HIDDEN = 0.1
"""Share of records whose value is not told, decided by the record itself: the share that classifier-free guidance hides
(Ho and Salimans 2022, arXiv 2207.12598)."""

SEEN = 1024
"""Training molecules whose bins are kept: shares of one in a hundred to about a third of themselves, 10 kB."""


@dataclass(frozen=True)
class Condition:
    """One property and the borders of its bins."""

    name: str
    edges: tuple[float, ...]
    """Ascending; a value belongs to the bin after the last edge that is not above it."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(f"<{self.name}:{what}>" for what in (ANY, *range(len(self.edges) + 1)))

    def symbol(self, value: float | None) -> str:
        """The symbol of a value; of None and NaN the one that says nothing."""
        if value is None or math.isnan(value):
            return self.symbols[0]
        return self.symbols[1 + int(np.searchsorted(self.edges, value, side="right"))]

    def bounds(self, symbol: str) -> tuple[float, float]:
        """The values that a symbol stands for, from (included) and to."""
        place = self.symbols.index(symbol) - 1
        if place < 0:
            return -math.inf, math.inf
        borders = (-math.inf, *self.edges, math.inf)
        return borders[place], borders[place + 1]


def learn_condition(name: str, values: Many[float], bins: int) -> Condition:
    """Borders at quantiles of `values`, NaN left out; fewer where values repeat (numbers of rings).

    Raises ConfigError where there are no values.
    """
    known = np.array([v for v in values if not math.isnan(v)])
    if not len(known):
        raise ConfigError(f"conditions: no training molecule has a value of '{name}'")
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="nearest"))
    return Condition(name, tuple(float(e) for e in edges if e > known.min()))


def prefix_symbols(conditions: Many[Condition], asked: Mapping[str, float]) -> list[str]:
    """The prefix that asks for values. Raises ConfigError for a property that the model was not trained on."""
    names = [condition.name for condition in conditions]
    for name in asked:
        if name not in names:
            raise ConfigError(
                f"condition.{name}: the model was not trained on it{nearest(name, names)}",
                hint=f"It knows: {', '.join(names) or 'no property'}.",
            )
    return [condition.symbol(asked.get(condition.name)) for condition in conditions]


def seen_bins(conditions: Many[Condition], values: Mapping[str, Many[float]]) -> tuple[tuple[int, ...], ...]:
    """The bins of at most `SEEN` molecules, evenly spread over `values` in their order; -1 for NaN."""
    columns = []
    for condition in conditions:
        known = np.asarray(values[condition.name], np.float64)
        chosen = known[np.unique(np.linspace(0, len(known) - 1, min(SEEN, len(known))).round().astype(np.int64))]
        columns.append(np.where(np.isnan(chosen), -1, np.searchsorted(condition.edges, chosen, side="right")))
    return tuple(map(tuple, np.stack(columns, axis=1).tolist()))


def drawn_symbols(
    conditions: Many[Condition], seen: Many[tuple[int, ...]], asked: Mapping[str, float], n: int, seed: int
) -> list[list[str]]:
    """`n` prefixes: what is asked for, and the rest as one of the molecules `seen` has it that agrees with that.

    The rest is left open where none agrees. Raises ConfigError for a property that the model was not trained on.
    """
    wanted = prefix_symbols(conditions, asked)
    told = [number for number, condition in enumerate(conditions) if condition.name in asked]
    symbols = [condition.symbols for condition in conditions]
    written = ([symbols[number][1 + place] for number, place in enumerate(row)] for row in seen)
    fitting = [row for row in written if all(row[number] == wanted[number] for number in told)]
    if not fitting:
        return [wanted] * n
    return [fitting[i] for i in rng("conditions", seed).integers(len(fitting), size=n).tolist()]


def hidden(name: str, smiles: str) -> bool:
    """Whether a record's value of a property is not told: the same for every run and split."""
    return zlib.crc32(f"{name} {smiles}".encode()) < HIDDEN * 2**32
