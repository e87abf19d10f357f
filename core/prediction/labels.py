"""What a bundle with a head says of each row: probabilities of its classes, or numbers with an interval.

One array a class or number, so that a table has one column each: `probability_soluble`; `mean_logd`, `deviation_logd`,
`low_logd`, `high_logd`. Heads of single tokens give a value for each token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.finetuning.pairs import combined
from core.prediction.layout import Output

if TYPE_CHECKING:
    from core.engine import Engine
    from core.finetuning.head import Head
    from core.finetuning.pairs import PairTable
    from core.store import TokenStore
    from core.window_policy import Stretch, WindowPolicy

REGRESSED = ("mean", "deviation", "low", "high")
PREFIXES = tuple(f"{what}_" for what in ("probability", *REGRESSED))


def columns(head: Head) -> list[tuple[str, str, int]]:
    """(array's name, what the head calls it, number of the class or label) of each output."""
    whats = ("probability",) if head.config.task == "classify" else REGRESSED
    found: list[tuple[str, str, int]] = []
    taken: set[str] = set()
    for what in whats:
        for number, name in enumerate(head.config.names):
            plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
            full = f"{what}_{plain or number}"
            full = f"{full}_{number}" if full in taken else full  # `A+` and `A-` are two classes
            taken.add(full)
            found.append((full, what, number))
    return found


def outputs(head: Head) -> list[Output]:
    """The arrays of a prediction store, float64."""
    by_token = head.config.by_token
    return [Output(name, "float64", ("token" if by_token else "row",), (), by_token) for name, _, _ in columns(head)]


def predicted(engine: Engine, head: Head, records: list[Stretch], window: WindowPolicy) -> Iterator[dict[str, Any]]:
    """Per record, its outputs by name: a number each, or (T,) of single tokens."""
    named = columns(head)
    for vector in engine.embed(records, pooling=head.config.pooling, window=window):
        by_token = head.config.by_token
        said = head.predict(vector if by_token else vector[None])
        yield {name: said[what][:, k] if by_token else said[what][0, k] for name, what, k in named}


def pair_columns(engine: Engine, head: Head, store: TokenStore, table: PairTable) -> tuple[dict[str, Any], int]:
    """What a head says of a table of pairs of a store's records, column by column: first, second, the table's own
    columns, then as `columns` names them; NaN where a record is unknown. A record is read once.

    Returns: the columns, and how many pairs are of unknown records.

    Raises InputError where all are.
    """
    rows = table.rows(store.ids)
    known = (rows >= 0).all(axis=1)
    members, halves = np.unique(rows[known], return_inverse=True)
    halves = halves.reshape(-1, 2)
    found = engine.embed((store[int(row)] for row in members), pooling=head.config.pooling)
    vectors = np.stack(list(found)).astype(np.float64)
    said = head.predict(combined(vectors[halves[:, 0]], vectors[halves[:, 1]], head.config.pairs))
    table_columns: dict[str, Any] = {"first": table.first, "second": table.second, **table.labels}
    for name, what, k in columns(head):
        table_columns[name] = np.full(len(table), np.nan)
        table_columns[name][known] = said[what][:, k]
    return table_columns, int((~known).sum())
