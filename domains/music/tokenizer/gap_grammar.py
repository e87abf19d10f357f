"""The grammar of bars that are made anew between others: that of `music_remi` or `music_tracks` up to a bar line.

A row ends where the bar after the gap would begin, and what holds on behind the gap (metre, tempo) is not changed in
it. Knows ids and bars, not scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from core.vocabulary import EOS
from domains.music.tokenizer.remi import BAR, METRE, POSITION, TEMPO

if TYPE_CHECKING:
    from torch import Tensor

    from domains.music.tokenizer.remi import RemiTokenizer
    from domains.music.tokenizer.remi_grammar import RemiGrammar, RemiState


@dataclass
class GapState:
    """Where each row stands."""

    inner: RemiState
    bars: Tensor
    """(B,) int64: bars that have begun."""

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.inner.select(rows), self.bars[rows])

    def reset(self, rows: Tensor) -> Self:
        bars = self.bars.clone()
        bars[rows] = 0
        return type(self)(self.inner.reset(rows), bars)

    def clone(self) -> Self:
        return type(self)(self.inner.clone(), self.bars.clone())


class GapGrammar:
    """Rows go on from a beginning that ends inside bar `last` or before it, and end with that bar.

    Args:
        grammar: of pieces, with its limits.
        last: the last bar of the gap, from 1.
    """

    def __init__(self, tokenizer: RemiTokenizer, grammar: RemiGrammar, last: int) -> None:
        self.grammar, self.last = grammar, last
        first, counts = tokenizer.first.tolist(), tokenizer.counts
        self.bar = first[BAR]
        self.metres, self.tempi, self.places = (
            slice(first[kind], first[kind] + counts[kind]) for kind in (METRE, TEMPO, POSITION)
        )

    def start(self, batch: int) -> GapState:
        import torch

        return GapState(self.grammar.start(batch), torch.zeros(batch, dtype=torch.int64))

    def allowed(self, state: GapState) -> Tensor:
        allowed = self.grammar.allowed(state.inner)
        allowed[:, self.metres] = allowed[:, self.tempi] = False
        if self.grammar.by_track:  # there a place before the first program of a bar is one of a tempo
            allowed[:, self.places] &= state.inner.in_track[:, None]
        done = state.bars >= self.last
        allowed[:, EOS] = allowed[:, self.bar] & done
        allowed[:, self.bar] &= ~done
        allowed[:, EOS] |= ~allowed.any(dim=1)  # of rows that have ended already and are still asked
        return allowed

    def advance(self, state: GapState, tokens: Tensor) -> GapState:
        return GapState(self.grammar.advance(state.inner, tokens), state.bars + (tokens == self.bar))
