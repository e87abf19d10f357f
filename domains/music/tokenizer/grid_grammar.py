"""The automaton of `music_grid`: whole steps, a hold only where something sounds; ranges, key and given voices if told.

Rows are numbers, so all rows move at once. Knows the ids it is given and nothing of records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from core.vocabulary import EOS, SPECIALS

if TYPE_CHECKING:
    from torch import Tensor

HOLD, REST, FIRST_PITCH = range(3)
_HIGHEST = 2**40
"""More than any place or pitch."""


@dataclass
class GridState:
    """Where each row stands."""

    place: Tensor
    """(B,) int64 tokens so far."""
    sounding: Tensor
    """(B, voices + 1) int64 the place of the pitch that sounds in its voice's block, 0 for none; last, 1 once a note
    has begun."""

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.place[rows], self.sounding[rows])

    def reset(self, rows: Tensor) -> Self:
        place, sounding = self.place.clone(), self.sounding.clone()
        place[rows], sounding[rows] = 0, 0
        return type(self)(place, sounding)

    def clone(self) -> Self:
        return type(self)(self.place.clone(), self.sounding.clone())


class GridGrammar:
    """Steps of `voices` tokens each.

    Args:
        fits: (voices, pitches) bool, which pitches a voice may sing.
        size: V, how many ids there are.
        max_length: tokens at most; None for any number.
        crossing: whether a voice may begin above what sounds in the voice over it.
        rests: whether a voice that sings may fall silent.
        template: (T,) ids that must stand at their places, 0 where any may; the piece ends with it.
    """

    def __init__(
        self,
        fits: NDArray[np.bool_],
        size: int,
        max_length: int | None = None,
        *,
        crossing: bool = True,
        rests: bool = True,
        template: NDArray[np.integer] | None = None,
    ) -> None:
        self.fits, self.size, self.crossing, self.rests, self.template = fits, size, crossing, rests, template
        self.voices = len(fits)
        self.last = _HIGHEST if max_length is None else max(1, max_length // self.voices) * self.voices
        if template is not None:
            self.last = len(template)

    def start(self, batch: int) -> GridState:
        import torch

        return GridState(
            torch.zeros(batch, dtype=torch.int64), torch.zeros((batch, self.voices + 1), dtype=torch.int64)
        )

    def allowed(self, state: GridState) -> Tensor:
        import torch

        place, batch = state.place, len(state.place)
        voice = place % self.voices
        pitches = torch.from_numpy(self.fits)[voice]
        mine = state.sounding.gather(1, voice[:, None])[:, 0]
        if not self.crossing:
            above = torch.where(voice > 0, state.sounding.gather(1, (voice - 1).clamp(min=0)[:, None])[:, 0], 0)
            ceiling = torch.where(above > 0, above, _HIGHEST)
            pitches = pitches & (torch.arange(FIRST_PITCH, FIRST_PITCH + pitches.shape[1]) <= ceiling[:, None])
        # A piece of rests is none: the last token that could begin a note must.
        sung = state.sounding[:, -1] > 0
        rest = sung | (place < self.last - 1)
        if not self.rests:
            rest &= mine == 0
        block = torch.cat([(mine > 0)[:, None], rest[:, None], pitches], dim=1)
        allowed = torch.zeros((batch, self.size), dtype=torch.bool)
        ids = len(SPECIALS) + voice[:, None] * block.shape[1] + torch.arange(block.shape[1])
        allowed.scatter_(1, ids, block)
        allowed[:, EOS] = (voice == 0) & sung
        if self.template is not None:
            wanted = torch.from_numpy(np.append(self.template, EOS).astype(np.int64))[place.clamp(max=self.last)]
            only = torch.zeros_like(allowed).scatter_(1, wanted[:, None], True)
            allowed = torch.where((wanted > 0)[:, None], only, allowed)
            allowed[:, EOS] = place >= self.last
        else:
            full = place >= self.last
            allowed[full] = False
            allowed[full, EOS] = True
        return allowed

    def advance(self, state: GridState, tokens: Tensor) -> GridState:
        import torch

        voice = (state.place % self.voices)[:, None]
        before = state.sounding.gather(1, voice)[:, 0]
        place = (tokens - len(SPECIALS)) % (FIRST_PITCH + self.fits.shape[1])
        now = torch.where(place >= FIRST_PITCH, place, torch.where(place == REST, 0, before))
        sounding = state.sounding.scatter(1, voice, now[:, None])
        sounding[:, -1] |= (place >= FIRST_PITCH).long()
        return GridState(state.place + 1, sounding)
