"""Graphs in lines of text: edge lists, graph6, and the folders of TUDataset (arXiv 2007.08663)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.errors import InputError, RecordError
from domains.formats.text import InputFile
from domains.graphs.graph import Graph
from domains.graphs.source.files import Reader

Item = Graph | RecordError
_GRAPH_LINE = re.compile(r"#\s*graph\s+(\S+)", re.IGNORECASE)
_COLUMNS = re.compile(r"[\s,;]+")
_TU_PARTS = {
    "indicator": "_graph_indicator.txt",
    "graph": "_graph_labels.txt",
    "node": "_node_labels.txt",
    "edge": "_edge_labels.txt",
}


def read_edge_list(reader: Reader) -> Iterator[Item]:
    """Lines `u v`, or `u v weight`; `#` and `%` begin comments, and `# graph NAME` the next graph. Nodes are whatever
    names stand there; a first line `source target`, `from to` or `u v` is a header."""
    name, place, pairs, ties, trouble = "", {}, [], [], None  # type: ignore[var-annotated]
    began = 1

    def done() -> Item:
        if trouble is not None:
            return trouble
        edges = np.array(pairs, np.int64).reshape(-1, 2)
        labels = tuple(map(str, ties)) if ties and None not in ties else None
        return Graph(
            name or reader.stem, len(place), edges, None, labels, reader.config.directed, place=("", began, None)
        )

    for number, raw in enumerate(reader.file.lines(), start=1):
        line = reader.file.text(raw).strip()
        if line.startswith(("#", "%")):
            if found := _GRAPH_LINE.match(line):
                if pairs or trouble is not None or name:
                    yield done()
                name, place, pairs, ties, trouble, began = found[1], {}, [], [], None, number
            continue
        columns = [c for c in _COLUMNS.split(line) if c]
        if not columns or trouble is not None:
            continue
        graph = name or reader.stem
        if len(columns) < 2:
            if reader.config.bad_lines == "drop":
                reader.notes["lines with fewer than two columns left out"] += 1
                continue
            text = f"graph '{graph}', line {number}: expected two nodes, got {line[:40]!r}"
            trouble = RecordError("short_line", text, record=graph, position=number)
            continue
        if not pairs and {c.lower() for c in columns[:2]} in ({"source", "target"}, {"from", "to"}, {"u", "v"}):
            reader.notes["header lines"] += 1
            continue
        try:
            ties.append(reader.weight(graph, columns[2], number) if len(columns) > 2 else None)
        except RecordError as error:
            trouble = error
            continue
        pairs.append(tuple(place.setdefault(c, len(place)) for c in columns[:2]))
    if pairs or trouble is not None or name:
        yield done()


def read_graph6(reader: Reader) -> Iterator[Item]:
    """A graph a line (McKay's format), undirected and without loops; a line that is none is a reject."""
    for number, raw in enumerate(reader.file.lines(), start=1):
        line = raw.strip()
        if line.removeprefix(b">>graph6<<"):
            name = f"{reader.stem}_{number}"
            try:
                yield Graph(name, *graph6(line), place=("", number, None))
            except ValueError as error:
                yield RecordError("no_graph6", f"line {number}: {error}", record=name, position=number)


def graph6(line: bytes) -> tuple[int, np.ndarray]:
    """Nodes and edges. Raises ValueError for a line that is none."""
    line = line.removeprefix(b">>graph6<<")
    if not line:
        raise ValueError("no letter of graph6")
    values = np.frombuffer(line, np.uint8).astype(np.int64) - 63
    if (values < 0).any() or (values > 63).any():
        raise ValueError(f"letter {chr(line[int(np.argmax((values < 0) | (values > 63)))])!r} is no letter of graph6")
    wide = 0 if values[0] < 63 else 3 if len(values) > 1 and values[1] < 63 else 6
    skip = {0: 0, 3: 1, 6: 2}[wide]
    size = values[:1] if not wide else values[skip : skip + wide]
    n = 0
    for value in size.tolist():
        n = 64 * n + value
    body = values[max(1, skip + wide) :]
    pairs = n * (n - 1) // 2
    if len(body) != -(-pairs // 6) or len(size) != max(1, wide):
        raise ValueError(f"{n} nodes need {-(-pairs // 6)} letters, got {len(body)}")
    bits = np.unpackbits(body.astype(np.uint8)[:, None], axis=1)[:, 2:].ravel()[:pairs]
    # Column by column of the upper triangle: (0,1), (0,2), (1,2), (0,3) ...
    v, u = np.tril_indices(n, -1)
    there = bits.astype(bool)
    return n, np.stack([u[there], v[there]], axis=1).astype(np.int64)


def read_tu(reader: Reader) -> Iterator[Item]:
    """`DS_A.txt` with `DS_graph_indicator.txt` and, where they are there, labels of graphs, nodes and edges. Numbers
    start at 1; each undirected edge stands twice, and one that stands once refuses its graph as `not_symmetric`.

    Raises InputError, with file and line, where the files do not fit together or hold what is no number: which graph
    that spoils, nobody can say.
    """
    path = reader.file.path
    stem = path.name[: -len("_A.txt")]
    found = {what: _column(path.with_name(stem + ending)) for what, ending in _TU_PARTS.items()}
    owner_text = found["indicator"]
    owner_path = path.with_name(stem + _TU_PARTS["indicator"])
    if owner_text is None:
        raise InputError(f"{path}: beside it stands no {owner_path.name}")
    owners = [(line, _tu_number(owner_path, line, word)) for line, word in owner_text]
    before, most = 1, max(len(owners), len(found["graph"] or ()))
    for line, graph in owners:
        if not before <= graph <= most:
            said = f"expected the number of a graph from {before} to {most}, got {graph}"
            raise InputError(f"{owner_path}, line {line}: {said}", hint="Nodes stand in the order of their graphs.")
        before = graph
    owner = np.array([graph for _, graph in owners], np.int64) - 1
    pairs = []
    for line, raw in enumerate(reader.file.lines(), start=1):
        words = [word for word in _COLUMNS.split(reader.file.text(raw).strip()) if word]
        if words and len(words) != 2:
            raise InputError(f"{path}, line {line}: expected two node numbers, got {len(words)}")
        pair = [_tu_number(path, line, word) for word in words]
        if odd := [node for node in pair if not 1 <= node <= len(owner)]:
            said = f"{path}, line {line}: an edge names node {odd[0]}; there are nodes 1 to {len(owner)}"
            raise InputError(said, hint="Numbers of TU files start at 1." if odd[0] == 0 else "")
        pairs += [pair] if pair else []
    ends = np.array(pairs, np.int64).reshape(-1, 2) - 1
    nodes, edges, wholes = (_words(found[what]) for what in ("node", "edge", "graph"))
    for what, column, count in (("node", nodes, len(owner)), ("edge", edges, len(ends))):
        if column is not None and len(column) != count:
            raise InputError(f"{path}: {len(column)} {what} labels for {count} {what}s")
    n_graphs = int(owner.max(initial=-1)) + 1
    if wholes is not None and len(wholes) != n_graphs:
        raise InputError(f"{path}: {len(wholes)} labels for {n_graphs} graphs")
    order = np.argsort(owner[ends[:, 0]], kind="stable")
    starts = np.searchsorted(owner[ends[order, 0]], np.arange(n_graphs + 1))
    first = np.searchsorted(owner, np.arange(n_graphs + 1))
    for g in range(n_graphs):
        name, chosen = f"{stem}_{g + 1}", order[starts[g] : starts[g + 1]]
        inside = ends[chosen] - first[g]
        n = int(first[g + 1] - first[g])
        if (owner[ends[chosen, 1]] != g).any():
            yield RecordError("dangling_edge", f"graph '{name}': an edge leads to another graph's node", record=name)
            continue
        if not reader.config.directed:
            forth = inside[:, 0] <= inside[:, 1]
            codes = np.sort(inside[forth] @ [n, 1]), np.sort(inside[~forth] @ [1, n])
            loops = inside[forth][inside[forth, 0] == inside[forth, 1]] @ [n, 1]
            if not np.array_equal(np.setdiff1d(codes[0], loops), np.unique(codes[1])):
                text = f"graph '{name}': an edge stands in one direction only"
                yield RecordError("not_symmetric", text, record=name)
                continue
            chosen, inside = chosen[forth], inside[forth]
        yield Graph(
            name,
            n,
            inside,
            None if nodes is None else tuple(nodes[first[g] : first[g + 1]]),
            None if edges is None else tuple(edges[i] for i in chosen.tolist()),
            reader.config.directed,
            labels={} if wholes is None else {"label": wholes[g]},
        )


def _column(path: Path) -> list[tuple[int, str]] | None:
    """The lines of a file with their numbers, None where it is not there."""
    if not path.is_file():
        return None
    file = InputFile(path, "TU labels")
    return [(at, file.text(line).strip()) for at, line in enumerate(file.lines(), start=1) if line.strip()]


def _words(column: list[tuple[int, str]] | None) -> list[str] | None:
    return None if column is None else [word for _, word in column]


def _tu_number(path: Path, line: int, word: str) -> int:
    """Raises InputError for what is no whole number."""
    try:
        return int(word)
    except ValueError:
        raise InputError(f"{path}, line {line}: expected a whole number, got {word[:40]!r}") from None
