"""Molecules as graphs (`data=moses_graphs`): an atom a node, a bond an edge, both with their kinds as labels.

What a graph of atoms cannot say, stereo marks, is left out and counted. Molecules come from the domain of that name, as
the registry has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from core.errors import ConfigError, RecordError
from core.rejects import Reject
from domains import DOMAINS
from domains.graphs.atoms import graph_of
from domains.graphs.graph import Graph

MOSES_GRAPHS = "moses_graphs"
_STEREO = "@/\\"


@dataclass(frozen=True)
class MoleculesConfig:
    """The keys below `data`, of molecules as graphs."""

    limit: int = 0
    """Molecules at most, of training and test in proportion; 0: all 1.9 million, half an hour on a core."""

    def __post_init__(self) -> None:
        if not isinstance(self.limit, int) or self.limit < 0:
            raise ConfigError(f"data.limit: got {self.limit!r}, allowed: 0 or more")


class MoleculeGraphs:
    """The molecules of MOSES, again and again the same ones."""

    have_splits = True
    suggested_split: ClassVar = {"rule": "given", "validation": 0.01, "leakage": False}

    def __init__(self, config: MoleculesConfig) -> None:
        self.config = config
        self.notes: Counter[str] = Counter()

    @cached_property
    def molecules(self) -> Any:
        # As they were published: each is parsed here, once.
        source = DOMAINS.get("molecules").load("source")
        return source("moses", limit=self.config.limit, canonical="trusted")

    def __iter__(self) -> Iterator[Graph | Reject]:
        self.notes.clear()
        for number, item in enumerate(self.molecules):
            if isinstance(item, Reject):
                yield item
                continue
            try:
                graph = graph_of(item.smiles, item.id)
            except RecordError as error:
                file, line, offset = item.place
                yield Reject(file, number, item.id, line, offset, error.reason, error.message)
                continue
            self.notes["molecules without their stereo marks"] += any(mark in item.smiles for mark in _STEREO)
            graph.split, graph.place = self.molecules.split(item), item.place
            yield graph

    @property
    def total_bytes(self) -> int | None:
        return None if self.molecules.total_bytes is None else int(self.molecules.total_bytes)

    @property
    def bytes_read(self) -> int:
        return int(self.molecules.bytes_read)

    @property
    def provenance(self) -> dict[str, Any]:
        found: Mapping[str, Any] = self.molecules.provenance
        return {**found, "name": MOSES_GRAPHS, "what": f"{found['what']}, as graphs", "family": "molecule"}
