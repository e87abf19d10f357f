"""Where graphs come from: made by code (`data=planar`), or read from files (`data.path=graphs.jsonl`).

A source tidies what it reads by its policies and says which graphs are the same: copies are told by what is equal for
isomorphic graphs, so they stand on one side of a split however their nodes are numbered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, RecordError, nearest
from core.rejects import Reject
from domains.graphs.graph import Graph, Policies, degrees, tidy
from domains.graphs.isomorphism import invariant
from domains.graphs.properties import NODES_ASKED, PROPERTIES, check_properties, mark
from domains.graphs.source.files import GraphFiles, ReadingConfig
from domains.graphs.source.made import NAMES, MadeConfig, MadeGraphs
from domains.graphs.source.molecules import MoleculeGraphs, are_molecules
from domains.graphs.source.molecules import names as molecule_sets


def open_source(
    data: str | None = None, path: Iterable[Path | str] | Path | str | None = None, **options: Any
) -> GraphSource:
    """A source of graphs: `data` names a family that code makes, or a data set of molecules; `path` files, folders or
    patterns.

    Args:
        options: the fields of Policies; `properties`, names of exact facts that become labels; `asked`, how many nodes
            are marked for questions about them, see `properties.mark`; of a family the fields
            of MadeConfig, of molecules those of their own source, of files those of ReadingConfig.

    Raises:
        ConfigError: neither or both are given, an unknown name or option (the nearest is shown) or value.
        InputError: no such file.
    """
    if (data is None) == (path is None):
        raise ConfigError("give either data=NAME or data.path=FILES")
    known = [f.name for f in fields(Policies)]
    policies = from_keys(Policies, {k: v for k, v in options.items() if k in known}, "data")
    rest = {k: v for k, v in options.items() if k not in (*known, "properties", "asked")}
    wanted, asked = options.get("properties", ()), options.get("asked", 0)
    listed = [path] if isinstance(path, Path | str) else list(path or ())
    if data in molecule_sets() or (data is None and are_molecules(rest.get("format") or "auto", listed)):
        return _molecules(data, listed, {k: v for k, v in rest.items() if k != "format"}, wanted, policies, asked)
    properties = check_properties(wanted)
    if data is not None:
        if data not in NAMES:
            known = [*NAMES, *molecule_sets()]
            raise ConfigError(
                f"data={data}: no such data set{nearest(data, known)}", hint=f"Known: {', '.join(known)}."
            )
        return GraphSource(MadeGraphs(data, from_keys(MadeConfig, rest, "data")), policies, properties, asked)
    return GraphSource(GraphFiles(listed, from_keys(ReadingConfig, rest, "data")), policies, properties, asked)


def _molecules(
    data: str | None,
    path: Sequence[Path | str],
    options: Mapping[str, Any],
    wanted: Sequence[str] | str,
    policies: Policies,
    asked: int,
) -> GraphSource:
    """Molecules as graphs; of `data.properties` what is none of a graph is one of a molecule (logp)."""
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    of_graphs = check_properties([name for name in names if name in PROPERTIES])
    chemical = {"properties": [name for name in names if name not in PROPERTIES]} if names else {}
    molecules = MoleculeGraphs(data, path or None, {**options, **chemical})
    return GraphSource(molecules, policies, of_graphs, asked)


class GraphSource:
    """Graphs with their groups, sides, labels and places; a `core.ingest.RecordSource`."""

    canonical_letters: ClassVar[str] = ""
    values_name: ClassVar[str] = "degrees"
    remedies: ClassVar[Mapping[str, str]] = {
        "dangling_edge": "Node numbers start at 0 in JSON lines, at 1 in Matrix Market and TU files: do theirs?",
        "not_symmetric": "data.directed=true reads such rows as arcs.",
        "too_many_nodes": "data.max_nodes= sets how many nodes a graph may have.",
        "short_line": "data.bad_lines=drop leaves such lines out and counts them.",
        "weighted": "data.weights=drop leaves weights out, data.weights=label reads them as labels of edges.",
        "no_json": "A file of JSON lines holds one whole graph a line.",
    }

    def __init__(
        self,
        graphs: MadeGraphs | GraphFiles | MoleculeGraphs,
        policies: Policies | None = None,
        properties: Sequence[str] = (),
        asked: int = 0,
    ) -> None:
        if not isinstance(asked, int) or asked < 0:
            raise ConfigError(f"data.asked: got {asked!r}, allowed: 0 or more")
        needed = max((NODES_ASKED.get(name, 0) for name in properties), default=0)
        if asked < needed:
            least = next(name for name in properties if NODES_ASKED.get(name, 0) == needed)
            raise ConfigError(f"data.properties: '{least}' is about marked nodes", hint=f"Set data.asked={needed}.")
        self.graphs, self.policies, self.properties, self.asked = graphs, policies or Policies(), properties, asked
        self.records_in = 0
        self._notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Graph | Reject]:
        self.records_in = 0
        self._notes.clear()
        for graph in self.graphs:
            self.records_in += 1
            if isinstance(graph, Reject):
                yield replace(graph, index=self.records_in - 1)
                continue
            try:
                neat = tidy(graph, self.policies, self._notes)
                yield mark(neat, self.asked) if self.asked else neat
            except RecordError as error:
                file, line, offset = graph.place
                yield Reject(file, self.records_in - 1, graph.id, line, offset, error.reason, error.message)

    def files_apart(self) -> list[Path]:
        """The files, each of which can be read by itself. Raises ConfigError for graphs that code makes."""
        if not isinstance(self.graphs, GraphFiles):
            raise ConfigError(
                "graphs that code makes, and molecules as graphs, are prepared by one process",
                hint="Use launcher=inprocess.",
            )
        self._all_files = list(self.graphs.paths)
        return self._all_files

    def restrict(self, start: int, stop: int) -> None:
        """From now on the graphs of these files alone; `files_apart` has been asked."""
        assert isinstance(self.graphs, GraphFiles)
        self.graphs.paths = self._all_files[start:stop]

    @property
    def notes(self) -> Mapping[str, int]:
        """What was left out or unusual in the current pass, with how often."""
        return dict(self._notes + Counter(getattr(self.graphs, "notes", {})))

    @property
    def total_bytes(self) -> int | None:
        return getattr(self.graphs, "total_bytes", None)

    @property
    def bytes_read(self) -> int:
        return int(getattr(self.graphs, "bytes_read", 0))

    @property
    def provenance(self) -> dict[str, Any]:
        return self.graphs.provenance

    @property
    def suggested_split(self) -> dict[str, Any]:
        """As made or as a file's `split` says, else at random. `k`: letters here are hashes, see `letters`."""
        rule = "given" if self.graphs.have_splits else "random"
        return dict(getattr(self.graphs, "suggested_split", {"rule": rule, "k": 6}))

    def name(self, record: Graph) -> str:
        return record.id

    def letters(self, record: Graph) -> NDArray[np.uint8]:
        """(m,) one an edge, one for a graph without any: random bytes that isomorphic graphs share, so that copies are
        found and the leakage score is the share of edges whose graph stands in training as well."""
        seed = int.from_bytes(invariant(record), "little")
        return np.frombuffer(np.random.Generator(np.random.Philox(key=seed)).bytes(max(1, len(record.edges))), np.uint8)

    def values(self, record: Graph) -> NDArray[np.float64]:
        """(n, 1) degrees: what a report shows in place of letters."""
        return degrees(record)[:, None].astype(np.float64)

    def piece(self, record: Graph, start: int, stop: int) -> Graph:
        """Refused: a part of a walk refers to nodes that it does not show. Raises ConfigError."""
        raise ConfigError("graphs cannot be cut", hint="Choose split.rule=random, group or given; not last.")

    def group(self, record: Graph) -> str | None:
        return record.group

    def split(self, record: Graph) -> str | None:
        return record.split

    def stamp(self, record: Graph) -> Any:
        return None

    def labels(self, record: Graph) -> dict[str, Any]:
        """Those of the record, and the properties that were asked for."""
        return {**record.labels, **{name: PROPERTIES[name](record) for name in self.properties}}

    def place(self, record: Graph) -> tuple[str, int | None, int | None]:
        """File, line and byte offset."""
        return record.place
