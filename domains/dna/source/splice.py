"""The splice junctions of UCI (mlbench's table `DNA`): 60 bases each, an exon-intron border, the other one, or neither.

The table has three bits a base: 100 = A, 010 = C, 001 = G, 000 = T. So read, position 31 and 32 are GT in 99 % of the
donors, and 29 and 30 are AG in 99 % of the acceptors. Rows that repeat a sequence are left out and counted. Five folds
of equal share of every class: one is tested on, half of the next validated on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from Bio.SeqRecord import SeqRecord

from core.errors import IntegrityError
from core.rejects import Reject
from domains.formats.rdata_table import read_rda_table
from domains.formats.seq_record import make_record

FOLDS = 5
_TABLE, _CLASS = "DNA", "Class"
_BASES = np.frombuffer(b"TACG", np.uint8)


class SpliceTable:
    """The rows of one DNA.rda; `core.ingest` sees it as files that are read."""

    formats = ("splice",)

    def __init__(self, path: Path, fold: int) -> None:
        self.paths, self.fold = [path], fold
        self.notes: Counter[str] = Counter()
        self.records_in = 0

    @property
    def total_bytes(self) -> int:
        return self.paths[0].stat().st_size

    @property
    def bytes_read(self) -> int:
        """All of it from the first row on: the table is read as a whole."""
        return self.total_bytes

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        self.notes.clear()
        self.records_in = 0
        letters, classes = self._read()
        kept: dict[bytes, tuple[int, str]] = {}
        for row, (text, label) in enumerate(zip(letters, classes, strict=True), 1):
            first = kept.setdefault(text, (row, label))
            if first[0] != row:
                self.notes["rows left out that repeat a sequence"] += 1
                self.notes["of them, of another class"] += first[1] != label
        folds = _folds({text: label for text, (_, label) in kept.items()})
        place = str(self.paths[0])
        for text, (row, label) in kept.items():
            self.records_in += 1
            tenth = folds[text]
            labels = {"class": label, "fold": tenth // 2}
            split = _side(tenth, self.fold)
            yield make_record(text, f"splice_{row}", place=(place, row, None), labels=labels, split=split)

    def _read(self) -> tuple[list[bytes], list[str]]:
        table = read_rda_table(self.paths[0], _TABLE)
        names = [name for name in table.columns if name != _CLASS]
        bits = np.stack([table[name].astype(str).to_numpy() == "1" for name in names], axis=1)
        bits = bits.reshape(len(table), -1, 3)
        if (bits.sum(axis=2) > 1).any():
            raise IntegrityError(f"{self.paths[0]}: three bits of one base have more than one 1")
        bases = _BASES[bits @ np.array([1, 2, 3])]
        return [row.tobytes() for row in bases], table[_CLASS].astype(str).tolist()


def _folds(classes: dict[bytes, str]) -> dict[bytes, int]:
    """Sequence to one of ten parts, each with its share of every class; by content, whatever the order of rows."""
    found: dict[bytes, int] = {}
    for label in sorted(set(classes.values())):
        members = [text for text, own in classes.items() if own == label]
        members.sort(key=lambda text: hashlib.blake2b(text, digest_size=16).digest())
        found |= {text: rank % (2 * FOLDS) for rank, text in enumerate(members)}
    return found


def _side(tenth: int, fold: int) -> str:
    if tenth // 2 == fold:
        return "test"
    return "validation" if tenth == 2 * ((fold + 1) % FOLDS) else "train"
