"""What is learned of a store's rows as arrays: classes, several classes, numbers; of whole records, of their single
tokens, or of pairs of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.finetuning.pairs import combined
from core.store import SPLITS, TokenStore

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """What is to be learned of `rows`.

    `values` (n, K): of classes a 1 at each that holds; of numbers themselves; NaN where it is not known. With
    `by_token` they are (tokens of these rows, K), end to end.
    """

    columns: tuple[str, ...]
    task: str
    """classify or regress."""
    names: tuple[str, ...]
    """(K,) the classes, or the columns of numbers or of yes and no."""
    exclusive: bool
    """Whether a record is of exactly one class."""
    rows: NDArray[np.int64]
    """(n,) rows of the store that have a label; of pairs those of the first record."""
    values: Values
    split: NDArray[np.int64]
    """(n,) index into SPLITS."""
    groups: NDArray[np.int64]
    """(n,) what moves together in folds: equal sequences, and the store's groups; of pairs (n, 2), of each record."""
    by_token: bool = False
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,) tokens of each row, of labels by token."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows in all, without a label, copies, copies in conflict, dropped for a conflict, of unknown records."""
    partners: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,) rows of the second record, of pairs."""
    pairs: str = ""
    """ordered or symmetric, of pairs."""

    @property
    def name(self) -> str:
        return "_".join(self.columns)

    @property
    def noun(self) -> str:
        return "pair" if self.pairs else "record"

    @cached_property
    def members(self) -> NDArray[np.int64]:
        """(M,) the rows of the store that are read, each once."""
        return np.unique(np.concatenate([self.rows, self.partners])) if self.pairs else self.rows

    @cached_property
    def halves(self) -> NDArray[np.int64]:
        """(n, 2) positions among `members` of a pair's records; (n, 1) of single records."""
        if not self.pairs:
            return np.arange(len(self.rows))[:, None]
        return np.searchsorted(self.members, np.stack([self.rows, self.partners], axis=1))

    def members_of(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions among `members` of all that the chosen ones read, each once."""
        return np.unique(self.halves[chosen]) if self.pairs else chosen

    def joined(self, vectors: Values, chosen: NDArray[np.int64] | None = None) -> Values:
        """What a head reads: of single records their own vectors, of pairs both.

        Args:
            vectors: (M, F) of all members; or of `members_of(chosen)`, where only these are asked for.
        """
        if not self.pairs:
            return vectors
        asked = self.halves if chosen is None else np.searchsorted(self.members_of(chosen), self.halves[chosen])
        return combined(vectors[asked[:, 0]], vectors[asked[:, 1]], self.pairs)

    def unseen(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """(m,) how many records of each are of no training pair, copies and groups counted as one record."""
        of = self.groups.reshape(len(self.rows), -1)
        return np.asarray((~np.isin(of[chosen], of[self.part("train")])).sum(axis=1), np.int64)

    def called(self, i: int, store: TokenStore) -> str:
        """A record's name, or those of a pair."""
        rows = (self.rows, self.partners) if self.pairs else (self.rows,)
        return " with ".join(f"'{store.ids[int(found[i])]}'" for found in rows)

    def part(self, split: str) -> NDArray[np.int64]:
        """Positions among `rows` of one of SPLITS."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def where(self, chosen: NDArray[np.int64]) -> Values:
        """Values of the chosen positions: (m, K), or of their tokens end to end."""
        if not self.by_token:
            return self.values[chosen]
        ends = np.cumsum(self.lengths)
        pieces = [self.values[ends[i] - self.lengths[i] : ends[i]] for i in chosen.tolist()]
        return np.concatenate(pieces) if pieces else self.values[:0]

    def with_split(self, split: NDArray[np.int64]) -> Labels:
        return replace(self, split=split)

    def describe(self) -> list[str]:
        """Some lines on how many there are and how they are distributed."""
        told = self.counts
        lines = [
            f"labels      {', '.join(self.columns)}: {len(self.rows):,} of {told['rows']:,} {self.noun}s have one"
            + (f", {told['missing']:,} without were left out" if told["missing"] else "")
        ]
        if told.get("unknown"):
            lines.append(f"unknown     {told['unknown']:,} pairs are of records that the store does not have")
        if self.pairs:
            unseen = self.unseen(self.part("test"))
            two, one = (int((unseen == n).sum()) for n in (2, 1))
            lines.append(
                f"pairs       {self.pairs}, of {len(self.members):,} records; training has seen neither record of "
                f"{two:,} test pairs, one of {one:,}"
            )
        if told["copies"]:
            lines.append(
                f"copies      {told['copies']:,} {self.noun}s equal another one; {told['conflicts']:,} of them disagree"
                + (f", {told['dropped']:,} were dropped" if told["dropped"] else "")
            )
        for split in SPLITS:
            values = self.where(self.part(split))
            lines.append(f"{split:<12}{len(self.part(split)):,}: {self._distribution(values)}")
        return lines

    def _distribution(self, values: Values) -> str:
        if not len(values):
            return "none"
        if self.task == "regress":
            known = [column[np.isfinite(column)] for column in values.T]
            texts = [
                f"{name} {c.min():.4g} to {c.max():.4g}, mean {c.mean():.4g}, deviation {c.std():.4g}"
                for name, c in zip(self.names, known, strict=True)
                if len(c)
            ]
            return "; ".join(texts)
        share = np.nanmean(values, axis=0)
        shown = np.argsort(-share, kind="stable")[:8].tolist()
        more = ", ..." if len(self.names) > len(shown) else ""
        return ", ".join(f"{self.names[i]} {100 * share[i]:.3g} %" for i in shown) + more
