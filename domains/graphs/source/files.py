"""Files of graphs of any known format as one stream: each graph, or the Reject that stands for it.

Finds files behind folders and patterns, tells formats apart by their endings, and counts what is read. One file may
hold many graphs. What is untidy in a graph is the source's affair; a reader refuses what it cannot read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigError, InputError, RecordError, nearest
from core.rejects import Reject
from domains.formats.find_files import by_suffix, find_files
from domains.formats.text import InputFile
from domains.graphs.graph import Graph

SUFFIXES = {
    "edge_list": (".edges", ".edgelist", ".el", ".tsv", ".csv", ".txt"),
    "graphml": (".graphml", ".xml"),
    "gml": (".gml",),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson"),
    "npz": (".npz",),
    "graph6": (".g6", ".graph6"),
    "tu": ("_a.txt",),
    "matrix_market": (".mtx",),
}
DOCUMENTS = ("edge_list", "graphml", "gml", "json", "npz", "matrix_market")
"""Formats whose files hold one graph, as a rule: one that is damaged counts as a graph refused."""
WEIGHTS = ("drop", "label", "refuse")
WEIGHT = "weight"
"""The attribute of an edge that networkx and others write its weight to."""
_SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class ReadingConfig:
    """The keys below `data`, of files."""

    format: str = "auto"
    """Of all files; `auto` goes by their endings. `molecules`: SMILES, tables of them, SDF or MOL2, an atom a node; the
    keys are then those of molecules (data.labels, data.scaffolds)."""
    directed: bool = False
    """Of formats that do not say (edge list, .npz, TU): whether rows are arcs. A matrix of an undirected graph must be
    symmetric."""
    weights: str = "drop"
    """A third column, a matrix entry that is not 1, the attribute `weight` of GraphML, GML and node-link JSON: left out
    and counted (`drop`), read as the edge's label, or refused. NaN always refuses its graph."""
    node_label: str = "label"
    """GraphML, GML, JSON: the attribute that labels nodes, where every node has it."""
    edge_label: str = "label"
    """The same for edges."""
    bad_lines: str = "refuse"
    """Edge lists: a line with fewer than two columns refuses its graph, or is left out and counted (`drop`)."""

    def __post_init__(self) -> None:
        known = ("auto", *SUFFIXES, "molecules")
        if self.format not in known:
            raise ConfigError(
                f"data.format: got {self.format!r}{nearest(self.format, known)}", hint=f"Allowed: {', '.join(known)}."
            )
        for key, allowed in (("weights", WEIGHTS), ("bad_lines", ("refuse", "drop"))):
            if getattr(self, key) not in allowed:
                raise ConfigError(f"data.{key}: got {getattr(self, key)!r}, allowed: {', '.join(allowed)}")
        if not isinstance(self.directed, bool):
            raise ConfigError(f"data.directed: got {self.directed!r}, allowed: true, false")


@dataclass
class Reader:
    """What a format's function is given."""

    file: InputFile
    config: ReadingConfig
    notes: Counter[str]

    @property
    def stem(self) -> str:
        """The file's name without its endings: what a graph without a name is called."""
        return self.file.path.name.removesuffix(".gz").rpartition(".")[0] or self.file.path.name

    def weight(self, graph: str, text: str, line: int | None = None) -> str | None:
        """What becomes of an edge's weight: its label or None. Raises RecordError where it is refused or NaN."""
        _no_nan(graph, text, line)
        if self.config.weights == "label":
            return text
        if self.config.weights == "refuse":
            said = f"graph '{graph}': an edge has the weight or label {text!r}"
            raise RecordError("weighted", said, record=graph, position=line)
        self.notes["edge weights left out"] += 1
        return None

    def tie(self, graph: str, label: Any, weight: Any, line: int | None = None) -> str | None:
        """The label of an edge that has attributes: its own, or with data.weights=label its weight; None for neither.
        Raises RecordError as `weight`."""
        own = None if label is None else str(label)
        if weight is None:
            return own
        if self.config.edge_label == WEIGHT:
            _no_nan(graph, str(weight), line)
            return own
        read = self.weight(graph, str(weight), line)
        self.notes["edge labels left out, weights taken"] += read is not None and own is not None
        return own if read is None else read


def _no_nan(graph: str, weight: str, line: int | None) -> None:
    if weight.strip().lower() in ("nan", "+nan", "-nan"):
        raise RecordError("nan_weight", f"graph '{graph}': the weight of an edge is NaN", record=graph, position=line)


Read = Callable[[Reader], Iterator[Graph | RecordError]]


def _function(kind: str) -> Read:
    """The function that reads a format; imported where it is needed."""
    from domains.graphs.source import documents, json_graphs, matrices, texts

    return {
        "edge_list": texts.read_edge_list,
        "graphml": documents.read_graphml,
        "gml": documents.read_gml,
        "json": json_graphs.read_json,
        "jsonl": json_graphs.read_jsonl,
        "npz": matrices.read_npz,
        "graph6": texts.read_graph6,
        "tu": texts.read_tu,
        "matrix_market": matrices.read_matrix_market,
    }[kind]


def _items(kind: str, reader: Reader) -> Iterator[Graph | RecordError]:
    """What a file holds. Of a format of one document, damage is the one record that is refused; among many graphs it is
    an error, for nobody can say how many are lost."""
    file = reader.file
    try:
        for item in _function(kind)(reader):
            file.records += 1
            yield item
        if not file.records:
            raise RecordError("no_graph", f"{file.path}: no graph in it; data.format= tells what it is")
    except InputError as error:
        if file.records or kind not in DOCUMENTS:
            raise
        yield error if isinstance(error, RecordError) else RecordError("damaged_file", error.message)
        file.records += 1


class GraphFiles:
    """The graphs in files, folders and patterns.

    Raises InputError where there is no such file.
    """

    def __init__(self, paths: Iterable[Path | str], config: ReadingConfig | None = None) -> None:
        self.config = config or ReadingConfig()
        found = find_files(paths, SUFFIXES, "file of graphs")
        tu = {p.name.lower().removesuffix("_a.txt") for p in found if p.name.lower().endswith("_a.txt")}
        # The other files of a TU folder belong to its `_A.txt`.
        self.paths = [p for p in found if not _belongs(p.name.lower(), tu)]
        self.notes: Counter[str] = Counter()
        self.have_splits = self._first_has_split()
        self._done = 0
        self._current: InputFile | None = None

    @property
    def total_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.paths)

    @property
    def bytes_read(self) -> int:
        return self._done + (self._current.bytes_read if self._current else 0)

    @property
    def provenance(self) -> dict[str, Any]:
        names = [path.name for path in self.paths]
        return {"what": "files of one's own", "where": names, "bytes": self.total_bytes, "licence": ""}

    def __iter__(self) -> Iterator[Graph | Reject]:
        self.notes.clear()
        self._done = index = 0
        for path in self.paths:
            kind = self.format_of(path)
            file = self._current = InputFile(path, kind.replace("_", " "))
            reader = Reader(file, self.config, self.notes)
            for item in _items(kind, reader):
                if isinstance(item, Graph):
                    item.place = (str(path), *item.place[1:])
                    yield item
                else:
                    record, line = item.record or reader.stem, item.position
                    yield Reject(str(path), index, record, line, None, item.reason, item.message)
                index += 1
            self.notes.update(file.notes)
            self._done += path.stat().st_size
            self._current = None

    def format_of(self, path: Path) -> str:
        """Raises InputError for a file whose ending says nothing."""
        if self.config.format != "auto":
            return self.config.format
        order = {"tu": SUFFIXES["tu"], **SUFFIXES}
        kind = by_suffix(path, order)
        if kind is None:
            raise InputError(f"{path}: its ending names no format", hint=f"Give data.format=: {', '.join(SUFFIXES)}.")
        return kind

    def _first_has_split(self) -> bool:
        """Whether the first graph of a file of JSON lines says on which side it stands."""
        kinds = {self.format_of(path) for path in self.paths}
        if kinds != {"jsonl"}:
            return False
        first = next((item for item in GraphFiles.__iter__(self) if isinstance(item, Graph)), None)
        return first is not None and first.split in _SIDES


def _belongs(name: str, tu: set[str]) -> bool:
    return any(name.startswith(f"{stem}_") and not name.endswith("_a.txt") for stem in tu)
