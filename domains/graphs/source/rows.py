"""Graphs out of rows of arrays, one by one: what `predict` over a Zarr group reads."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.config_keys import from_keys
from core.errors import RecordError
from core.prediction.input import ArrayRow
from domains.graphs.graph import Graph, Policies, tidy
from domains.graphs.source.texts import graph6


def graph_row(row: ArrayRow, tokenizer: object, **options: Any) -> Graph:
    """A graph of graph6 (McKay's format) under its id, as tidy as `options`, the fields of Policies, ask for.

    Raises RecordError for a text that is none, and as `tidy`; ConfigError for an unknown option.
    """
    policies = from_keys(Policies, options, "input")
    try:
        nodes, edges = graph6(str(row.value).strip().encode("ascii", "replace"))
    except ValueError as error:
        raise RecordError("no_graph6", f"graph '{row.id}': {error}", record=row.id) from error
    return tidy(Graph(row.id, nodes, edges), policies, Counter())
