"""The automaton of traces: reads of one base or more between bars, a colon, then a strand, of exactly L bases if told.

Rows are numbers, so all rows move at once. Knows the ids it is given and nothing of records.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from core.vocabulary import EOS

if TYPE_CHECKING:
    from torch import Tensor

AT_READ, IN_READ, AT_STRAND = -2, -1, 0
"""A row stands before a read's first base, inside a read, or has so many bases of the strand (0, 1, 2 ...)."""


@dataclass
class TraceState:
    place: Tensor
    """(B,) int64"""

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.place[rows])

    def reset(self, rows: Tensor) -> Self:
        place = self.place.clone()
        place[rows] = AT_READ
        return type(self)(place)

    def clone(self) -> Self:
        return type(self)(self.place.clone())


class TraceGrammar:
    """`read|read:strand`.

    Args:
        bases: the ids of A, C, G, T.
        bar, colon: the ids that end a read and all reads.
        size: V, how many ids there are.
        length: L, bases of the strand; None for any number from 1.
    """

    def __init__(self, bases: Many[int], bar: int, colon: int, size: int, length: int | None = None) -> None:
        self.bases, self.bar, self.colon, self.size, self.length = list(bases), bar, colon, size, length

    def start(self, batch: int) -> TraceState:
        import torch

        return TraceState(torch.full((batch,), AT_READ))

    def allowed(self, state: TraceState) -> Tensor:
        import torch

        place, length = state.place, self.length
        allowed = torch.zeros((len(place), self.size), dtype=torch.bool)
        full = torch.zeros_like(place, dtype=torch.bool) if length is None else place >= length
        allowed[:, self.bases] = ~full[:, None]
        allowed[:, [self.bar, self.colon]] = (place == IN_READ)[:, None]
        allowed[:, EOS] = full if length is not None else place > AT_STRAND
        return allowed

    def advance(self, state: TraceState, tokens: Tensor) -> TraceState:
        import torch

        place = torch.where(state.place >= AT_STRAND, state.place + 1, IN_READ)
        place = torch.where(tokens == self.bar, AT_READ, place)
        return TraceState(torch.where(tokens == self.colon, AT_STRAND, place))
