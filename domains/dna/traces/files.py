"""Clusters as text: `reads.txt`, a read a line, clusters apart by lines of `=`; `ground_truth.txt`, a strand a line.

The form of Microsoft's Clustered Nanopore Reads (Clusters.txt and Centers.txt; Srinivasavaradhan et al. 2021,
arXiv 2107.06440) and of TReconLM. Files differ in whether a line of `=` stands before each cluster, between two or
after each; the number of strands tells which, and without strands an empty first or last cluster is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.durable import resources_named, write_bytes_durably
from core.errors import InputError, RecordError
from core.rejects import Reject
from domains.dna.traces import cluster as letters
from domains.dna.traces.cluster import Cluster
from domains.formats.text import InputFile

SEPARATOR = "=" * 31
"""As the published files have it; three `=` or more are read."""


class ClusterFile:
    """One file of reads, with the file of its strands where there is one. Held in memory: 60 MB for 270,000 reads.

    Args:
        reads: the file of reads.
        truths: the file of strands, in the clusters' order; None where they are not known.
        most: reads that are taken of a cluster, the first ones.
        drop: whether a read that is empty or has other letters than A C G T is left out; else its cluster is refused.

    `notes` counts what was left out. Raises InputError where the numbers of clusters and strands differ, and for
    damage to a file.
    """

    def __init__(self, reads: Path, truths: Path | None = None, *, most: int | None = None, drop: bool = True) -> None:
        self.reads, self.truths, self.most, self.drop = reads, truths, most, drop
        self.notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[tuple[Cluster | Reject, int]]:
        """Each cluster, or the Reject that stands for it, with the 1-based line on which it begins."""
        self.notes.clear()
        truths = None if self.truths is None else _strands(self.truths)
        parts = self._parts(None if truths is None else len(truths))
        for index, (line, lines) in enumerate(parts):
            name = f"{self.reads.name.partition('.')[0]}_{index + 1}"
            try:
                yield Cluster(name, self._taken(lines, name), None if truths is None else truths[index]), line
            except RecordError as error:
                yield Reject(str(self.reads), index, name, line, None, error.reason, error.message), line

    def _parts(self, strands: int | None) -> list[tuple[int, list[str]]]:
        file = InputFile(self.reads, "reads, clusters apart by lines of =")
        parts: list[tuple[int, list[str]]] = [(1, [])]
        for number, raw in enumerate(file.lines(), 1):
            line = file.text(raw).strip()
            if len(line) >= 3 and not line.strip("="):
                parts.append((number + 1, []))
                file.records += 1
            else:
                parts[-1][1].append(line)
        self.notes.update(file.notes)
        for end in (-1, 0):  # a line of = behind the last cluster, or before the first
            surplus = strands is None or len(parts) > strands
            if surplus and len(parts) > 1 and not any(parts[end][1]):
                del parts[end]
        if strands is not None and len(parts) != strands:
            raise InputError(
                f"{self.reads} has {len(parts):,} clusters and {self.truths} {strands:,} strands: expected as many",
                hint="A cluster without reads still needs its line of =; strands stand in the clusters' order.",
            )
        return parts

    def _taken(self, lines: list[str], name: str) -> tuple[str, ...]:
        """The reads that are taken. Raises RecordError: no_reads, or why the first bad one is refused."""
        found = [letters.reason(line) for line in lines]
        good = tuple(line for line, bad in zip(lines, found, strict=True) if bad is None)
        if len(good) < len(lines):
            if not self.drop and any(lines):
                letters.canonical(Cluster(name, tuple(lines)))
            for bad, what in (
                ("empty", "empty reads"),
                ("ambiguous", "reads with N"),
                ("bad_letter", "unreadable reads"),
            ):
                if bad in found:
                    self.notes[f"{what} left out"] += found.count(bad)
        if not good:
            raise RecordError("no_reads", f"cluster '{name}' has no read of A C G T alone", record=name)
        lower = sum(not read.isupper() for read in good)
        if lower:
            self.notes["reads with lower case, read as upper case"] += lower
        if self.most is not None and len(good) > self.most:
            self.notes[f"reads beyond the first {self.most} of their cluster, left out"] += len(good) - self.most
            return good[: self.most]
        return good


def write_clusters(clusters: Iterable[Cluster], reads: Path | str, truths: Path | str | None = None) -> int:
    """Writes the file of reads and, where `truths` is given, that of the strands; says how many clusters.

    Raises InputError for a cluster without a truth where truths are to be written, ResourceError where a file cannot be
    written.
    """
    blocks: list[str] = []
    strands: list[str] = []
    for item in clusters:
        if truths is not None and not item.truth:
            raise InputError(f"cluster '{item.id}' has no truth to be written to {truths}")
        blocks.append("\n".join((*item.reads, SEPARATOR)) + "\n")
        strands.append(f"{item.truth}\n")
    with resources_named(Path(reads)):
        write_bytes_durably(Path(reads), "".join(blocks).encode("ascii"))
        if truths is not None:
            write_bytes_durably(Path(truths), "".join(strands).encode("ascii"))
    return len(blocks)


def _strands(path: Path) -> list[str]:
    file = InputFile(path, "strands, one a line")
    strands = [file.text(line).strip() for line in file.lines()]
    while strands and not strands[-1]:
        del strands[-1]
    return strands
