"""Molecules as graphs: an atom a node, a bond an edge, both with their kinds as labels.

They come from the domain of that name, as the registry has it, with all that its source can do: published data sets
(`data=moses_graphs`, `data=esol_graphs`: NAME_graphs of any), files of one's own (`data.path=assay.csv
data.format=molecules`), labels, scaffolds, cleaning. Stereo marks, which a graph of atoms cannot say, are left out and
counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import ConfigError, RecordError, nearest
from core.rejects import Reject
from domains import DOMAINS
from domains.formats.find_files import by_suffix
from domains.graphs.atoms import graph_of
from domains.graphs.graph import Graph

MOSES = "moses"
AS_GRAPHS = "_graphs"
FORMAT = "molecules"
"""Of `data.format`: files of any format that molecules are read from."""
_SUFFIXES = {FORMAT: (".smi", ".smiles", ".sdf", ".sd", ".mol2")}
"""Endings that say it by themselves; tables of molecules and of edges end alike."""
_STEREO = "@/\\"


def names() -> tuple[str, ...]:
    """Of the data sets of molecules, as graphs."""
    return tuple(f"{name}{AS_GRAPHS}" for name in DOMAINS.get("molecules").datasets)


def are_molecules(format_: str, path: Iterable[Path | str]) -> bool:
    """Whether files hold molecules: it is said, or their endings say so."""
    listed = [Path(one) for one in path]
    return format_ == FORMAT or (
        format_ == "auto" and bool(listed) and all(by_suffix(one, _SUFFIXES) for one in listed)
    )


class MoleculeGraphs:
    """The molecules of a data set or of files, again and again the same ones.

    Args:
        data: the name of a data set of molecules, with `_graphs` behind it.
        path: files, folders or patterns.
        options: those of the source of molecules.

    Raises ConfigError and what else that source raises.
    """

    have_splits = True

    def __init__(
        self,
        data: str | None = None,
        path: Iterable[Path | str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        given = dict(options or {})
        if given.get("stamp_column"):
            raise ConfigError(
                "data.stamp_column: graphs have no time", hint="data.split_column= takes a split of yours."
            )
        if given.get("random_copies"):
            raise ConfigError(
                "data.random_copies: a graph has no SMILES", hint="A walk is another one at every access."
            )
        if data is not None and data not in names():
            raise ConfigError(
                f"data={data}: no such data set{nearest(data, names())}", hint=f"Known: {', '.join(names())}."
            )
        self.moses = data == f"{MOSES}{AS_GRAPHS}"
        if self.moses:  # as they were published: each is parsed here, once
            given = {"canonical": "trusted", **given}
        self.name = data
        set_name = None if data is None else data.removesuffix(AS_GRAPHS)
        self.molecules: Any = DOMAINS.get("molecules").load("source")(set_name, path, **given)
        self.notes: Counter[str] = Counter()

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
            graph.labels, graph.group = dict(item.labels), self.molecules.group(item)
            graph.split, graph.place = self.molecules.split(item), item.place
            yield graph
        self.notes.update(self.molecules.notes)

    @property
    def suggested_split(self) -> dict[str, Any]:
        """The one that the molecules suggest. `k`: letters of graphs are hashes."""
        if self.moses:
            return {"rule": "given", "validation": 0.01, "leakage": False}
        return {**self.molecules.suggested_split, "k": 6}

    @property
    def total_bytes(self) -> int | None:
        return None if self.molecules.total_bytes is None else int(self.molecules.total_bytes)

    @property
    def bytes_read(self) -> int:
        return int(self.molecules.bytes_read)

    @property
    def provenance(self) -> dict[str, Any]:
        found: Mapping[str, Any] = self.molecules.provenance
        named = {} if self.name is None else {"name": self.name}
        return {**found, **named, "what": f"{found['what']}, as graphs", "family": "molecule"}
