"""Graphs made by code (`data=planar` and the like): the benchmark's counts, or as many as are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from domains.graphs.families import FAMILIES, atlas, make_graph
from domains.graphs.graph import Graph

CITATION = "recipes: GraphRNN, arXiv 1802.08773; SPECTRE, arXiv 2204.01613"
ATLAS = "atlas"
NAMES = (*FAMILIES, ATLAS)


@dataclass(frozen=True)
class MadeConfig:
    """The keys below `data`, of graphs made by code."""

    nodes: tuple[int, int] | int | None = None
    """Fewest and most nodes; None: the benchmark's."""
    count: int | None = None
    """Training graphs; None: the benchmark's, 128 or so, which models learn by heart."""
    held_out: int | None = None
    """Graphs that are validated on and as many tested on; None: the benchmark's."""
    seed: int = 0
    """Of all that is made."""

    def __post_init__(self) -> None:
        if self.nodes is not None:
            sizes = (self.nodes, self.nodes) if isinstance(self.nodes, int) else tuple(self.nodes)
            whole = len(sizes) == 2 and all(isinstance(n, int) for n in sizes)
            if not whole or not 4 <= sizes[0] <= sizes[1]:
                raise ConfigError(f"data.nodes: got {self.nodes!r}, allowed: [fewest, most], each at least 4")
            object.__setattr__(self, "nodes", sizes)
        for key in ("count", "held_out"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"data.{key}: got {value!r}, allowed: a positive whole number")


class MadeGraphs:
    """The graphs of a family, again and again the same ones.

    Raises ConfigError for a setting that the family does not have.
    """

    have_splits = True

    def __init__(self, name: str, config: MadeConfig) -> None:
        self.name, self.config = name, config
        if name == ATLAS and (config.nodes, config.count, config.held_out) != (None, None, None):
            raise ConfigError("data=atlas is what it is: it has no nodes, count or held_out")

    def __iter__(self) -> Iterator[Graph]:
        if self.name == ATLAS:
            yield from atlas()
            return
        for split, count in self.counts.items():
            for index in range(count):
                yield make_graph(self.name, self.nodes, self.config.seed, split, index)

    @property
    def nodes(self) -> tuple[int, int]:
        given = self.config.nodes
        return given if isinstance(given, tuple) else FAMILIES[self.name].nodes

    @property
    def counts(self) -> dict[str, int]:
        train, validation, test = FAMILIES[self.name].counts
        held_out = self.config.held_out
        return {
            "train": self.config.count or train,
            "validation": held_out or validation,
            "test": held_out or test,
        }

    @property
    def provenance(self) -> dict[str, Any]:
        if self.name == ATLAS:
            return {
                "name": ATLAS,
                "what": "1,253 graphs of up to seven nodes",
                "where": "networkx.graph_atlas_g",
                "licence": "BSD-3-Clause",
                "citation": "Read and Wilson, An Atlas of Graphs, Oxford 1998",
            }
        n, what = self.nodes, FAMILIES[self.name].what.partition(" of ")[0]
        return {
            "name": self.name,
            "what": f"{what} of {n[0]} to {n[1]} nodes, seed {self.config.seed}",
            "where": "made by foretell",
            "licence": "CC0-1.0",
            "citation": CITATION,
            "family": self.name,
            "nodes": list(n),
        }
