"""What published tables need beyond reading: labels under our names, mutations against the wild type, honest sides.

singles    one change trains, more test (the wild type trains)
distance   up to two changes train, more test: "two vs rest" of FLIP (Dallago et al. 2021)
positions  three in ten positions are kept for the test: variants that change those only are tested, variants of
           the others only train, mixed ones validate
groups     the mutated positions are the record's group, for rule=group
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from Bio.SeqRecord import SeqRecord

from core.errors import ResourceError
from core.order import permutation
from core.rejects import Reject
from domains.formats.mutations import mutations_between, parse_mutations
from domains.formats.seq_record import annotation, letters_of, make_record, name_of
from domains.proteins.source.datasets import DataSet

_KEPT_POSITIONS = 0.3
"""Of the wild type's positions: 9 % of double mutants are then tested on, 49 % train."""


def as_published(data: DataSet, records: Iterable[SeqRecord | Reject]) -> Iterator[SeqRecord | Reject]:
    """The records with their labels renamed and, of a scan, with mutations as id and label, and their side."""
    wild = data.wild_type.encode()
    kept = kept_positions(len(wild))
    for item in records:
        if isinstance(item, Reject):
            yield item
            continue
        found: dict[str, Any] = dict(annotation(item, "labels") or {})
        labels = {data.labels.get(name, name): value for name, value in found.items()}
        if wild:
            letters = letters_of(item)
            if len(letters) != len(wild):
                file, line, _ = annotation(item, "place") or ("", None, None)
                message = f"'{name_of(item)}' has {len(letters)} residues, its wild type {len(wild)}"
                yield Reject(file, 0, name_of(item), line, None, "reference_mismatch", message)
                continue
            mutant = mutations_between(wild, letters)
            labels = {"mutant": mutant, **labels}
            item.id = item.name = mutant
            item.annotations["split" if data.division != "groups" else "group"] = side(data.division, mutant, kept)
        item.annotations["labels"] = labels  # type: ignore[assignment]
        for name, ours in data.token_labels.items():
            item.letter_annotations[ours] = item.letter_annotations.pop(name)
        yield item


def kept_positions(length: int) -> frozenset[int]:
    """Positions from 0 whose variants are kept for the test: a draw of its own, the same for every seed of a split."""
    count = round(_KEPT_POSITIONS * length)
    return frozenset(permutation(length, "kept positions", length)[:count].tolist())


def side(division: str, mutant: str, kept: frozenset[int]) -> str:
    """train, validation or test of a variant; its positions under "groups"."""
    places = [place for _, place, _ in parse_mutations(mutant)]
    if division == "groups":
        return ",".join(str(place + 1) for place in places)
    if division in ("singles", "distance"):
        return "train" if len(places) <= (1 if division == "singles" else 2) else "test"
    inside = sum(place in kept for place in places)
    return "train" if not inside else "test" if inside == len(places) else "validation"


class SiteTable:
    """A Parquet table whose index holds the letters at a few sites, as records of the whole wild type.

    Raises ResourceError where pyarrow is missing.
    """

    def __init__(self, path: Path, data: DataSet) -> None:
        self.path, self.data = path, data
        self.records_in = 0
        self.bytes_read = 0
        self.notes: dict[str, int] = {}
        self.formats = ["sites"]
        self.paths = [path]

    @property
    def total_bytes(self) -> int:
        return self.path.stat().st_size

    def __iter__(self) -> Iterator[SeqRecord | Reject]:
        try:
            import pandas as pd

            frame = pd.read_parquet(self.path)
        except ImportError as error:
            raise ResourceError(
                f"{self.path.name} is Parquet, which needs pyarrow", hint="pip install pyarrow"
            ) from error
        self.records_in = 0
        wild = np.frombuffer(self.data.wild_type.encode(), np.uint8)
        columns = {name: frame[name].to_numpy() for name in self.data.labels}
        for row, letters in enumerate(frame.index):
            self.records_in = row + 1
            self.bytes_read = self.total_bytes * (row + 1) // len(frame)
            if len(letters) != len(self.data.sites) or not letters.isascii():
                message = f"{letters!r} is not of {len(self.data.sites)} residues"
                yield Reject(str(self.path), row, str(letters), None, None, "reference_mismatch", message)
                continue
            variant = wild.copy()
            variant[list(self.data.sites)] = np.frombuffer(letters.encode(), np.uint8)
            labels = {name: float(values[row]) for name, values in columns.items()}
            yield make_record(variant.tobytes(), letters, place=(str(self.path), None, None), labels=labels)
