"""What is known of records beside their tokens: the split's keys, names, lengths, letters or ranges, spans, pairs.

A pass over a source gathers it. Of a store that is prepared in parts each part's is kept in a file and joined to those
of the parts before, and what comes of it is what one pass over everything would have gathered.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from core.data_report import LetterCounts, ValueRanges
from core.errors import IntegrityError
from core.split import SplitConfig, SplitKeys, SplitPlan

Spans = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""(S, 3) row, start, stop in tokens, and (S,) index into SPLITS."""


class Names:
    """Ids of rows: as the source calls them, a taken one with a number behind it."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.renamed = 0

    def free(self, name: str, index: int) -> str:
        """`name`, or where it is taken `name.2`, `name.3` ...; the `index`-th record of all, where it has none."""
        wanted, number = name or f"record_{index + 1}", 2
        found = wanted
        while found in self.taken:
            found, number = f"{wanted}.{number}", number + 1
        return found

    def take(self, free: str, name: str) -> None:
        """Keeps an id that was free for a record of that name."""
        self.taken.add(free)
        self.renamed += free != name


class Gathered:
    """Of the records of one source, in order.

    Args:
        complement: see `SplitKeys`.
    """

    def __init__(self, split: SplitConfig, complement: NDArray[np.uint8] | None = None) -> None:
        self.keys = SplitKeys(split, complement)
        """Of the records that the split deals out: those that are kept, or those that a survey found."""
        self.letters, self.ranges = LetterCounts(), ValueRanges()
        self.names: list[str] = []
        """Of each row, as the source calls it; empty where it has no name."""
        self.unnamed: dict[int, int] = {}
        """Row to number in the stream of records, of rows without a name."""
        self.renamed = 0
        """Rows whose id is not the record's name."""
        self.lengths: list[int] = []
        """Natural units of each row."""
        self.tokens: NDArray[np.int64] = np.zeros(0, np.int64)
        """(N,) tokens of each row."""
        self.cuts: list[tuple[int, int, int, int]] = []
        """(row, start, stop, split) in tokens, where records are cut."""
        self.pairs: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self.planned: list[int] = []
        """Of a survey: per item of the source its record's index in the plan, -1 where it was refused."""
        self.records_in = 0
        """Records that came, refused ones included."""
        self.numbered: list[int] = []
        """Which of the rejects, in order, are numbered in the stream of records; others are in their file."""
        self.notes: Counter[str] = Counter()
        self.own_labels: set[str] = set()
        """Labels that the tokenizer wrote, so that a record can be made again."""

    def ids(self, names: Names, first: int = 0) -> list[str]:
        """Of each row.

        Args:
            names: knows those of the parts before.
            first: records that came in those.
        """
        found = []
        for row, name in enumerate(self.names):
            free = names.free(name, first + self.unnamed.get(row, 0))
            names.take(free, name)
            found.append(free)
        self.renamed = names.renamed
        return found

    def spans(self, plan: SplitPlan, first: int, *, cut: bool) -> Spans:
        """Of each row: the whole of it on the side that the plan says, or where records were cut the places noted.

        Args:
            first: number of the first row among the plan's records.
        """
        if cut:
            table = np.array(self.cuts, dtype=np.int64).reshape(-1, 4)
            return table[:, :3], table[:, 3].astype(np.uint8)
        rows = np.arange(len(self.tokens))
        return np.stack([rows, np.zeros_like(rows), self.tokens], axis=1), plan.split[first : first + len(rows)]

    def length_facts(self) -> dict[str, float]:
        lengths = np.array(self.lengths)
        least, most = int(lengths.min()), int(lengths.max())
        return {"min": least, "median": float(np.median(lengths)), "max": most, "total": int(lengths.sum())}

    def join(self, other: Gathered) -> None:
        """The records of `other` behind those there are."""
        rows, records, planned = len(self.names), self.records_in, len(self.keys)
        self.keys.join(other.keys)
        self.letters.join(other.letters)
        self.ranges.join(other.ranges)
        self.names += other.names
        self.unnamed |= {row + rows: index + records for row, index in other.unnamed.items()}
        self.lengths += other.lengths
        self.tokens = np.concatenate([self.tokens, other.tokens])
        self.cuts += [(row + rows, *rest) for row, *rest in other.cuts]  # type: ignore[misc]
        self.pairs = np.concatenate([self.pairs, other.pairs + rows])
        self.planned += [at + planned if at >= 0 else -1 for at in other.planned]
        self.records_in += other.records_in
        self.notes.update(other.notes)
        self.own_labels |= other.own_labels

    def to_bytes(self, **facts: Any) -> bytes:
        """As a file of numpy's; `facts` are plain values that it is to keep as well."""
        keys = self.keys
        plain = {
            "groups": _none_where_all_are(keys.groups),
            "stamps": _none_where_all_are(keys.stamps),
            "splits": _none_where_all_are(keys.splits),
            "names": self.names,
            "unnamed": list(self.unnamed.items()),
            "records_in": self.records_in,
            "numbered": self.numbered,
            "notes": self.notes,
            "own_labels": sorted(self.own_labels),
            "ranges": self.ranges.to_state(),
            "facts": facts,
        }
        file = io.BytesIO()
        arrays: dict[str, Any] = {
            "plain": np.frombuffer(json.dumps(plain, sort_keys=True).encode(), np.uint8),
            "key_lengths": np.array(keys.lengths, np.int64),
            "digests": np.frombuffer(b"".join(keys.digests), np.uint8),
            "letters": self.letters.by_byte(),
            "lengths": np.array(self.lengths, np.int64),
            "tokens": self.tokens,
            "cuts": np.array(self.cuts, np.int64).reshape(-1, 4),
            "pairs": self.pairs,
            "planned": np.array(self.planned, np.int64),
            **keys.sample.to_arrays(),
        }
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(
        cls, data: bytes, split: SplitConfig, complement: NDArray[np.uint8] | None
    ) -> tuple[Gathered, Mapping[str, Any]]:
        """What `to_bytes` was given. Raises IntegrityError where the bytes are not whole."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                arrays = dict(found)
            plain = json.loads(arrays["plain"].tobytes())
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise IntegrityError(f"a file of what was gathered is damaged: {error}") from error
        self = cls(split, complement)
        keys, n = self.keys, len(arrays["key_lengths"])
        keys.lengths = arrays["key_lengths"].tolist()
        keys.digests = [piece.tobytes() for piece in arrays["digests"].reshape(-1, 16)]
        keys.groups, keys.stamps, keys.splits = (plain[name] or [None] * n for name in ("groups", "stamps", "splits"))
        keys.sample.join(arrays)
        self.letters.counts += arrays["letters"]
        self.ranges = ValueRanges.from_state(plain["ranges"])
        self.names, self.unnamed = plain["names"], dict(plain["unnamed"])
        self.lengths, self.tokens = arrays["lengths"].tolist(), arrays["tokens"]
        self.cuts = [(row, start, stop, side) for row, start, stop, side in arrays["cuts"].tolist()]
        self.pairs, self.planned = arrays["pairs"], arrays["planned"].tolist()
        self.records_in, self.numbered, self.notes = plain["records_in"], plain["numbered"], Counter(plain["notes"])
        self.own_labels = set(plain["own_labels"])
        return self, plain["facts"]


def _none_where_all_are(values: list[Any]) -> list[Any] | None:
    return values if any(value is not None for value in values) else None
