"""The automaton of `music_remi` and `music_tracks`: whole notes at rising places of bars with a metre.

A row's state is a few numbers: the kind of its last symbol, where it is in the bar, which program plays, the last pitch
there. Symbols from which a piece could not be ended within the limit are not allowed. Knows ids, not scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from core.errors import ConfigError, nearest
from core.vocabulary import EOS
from domains.music.tokenizer.events import DRUMS, METRES, bar_steps
from domains.music.tokenizer.remi import (
    BAR,
    DRUM,
    LENGTH,
    METRE,
    PITCH,
    POSITION,
    PROGRAM,
    START,
    TEMPO,
    VELOCITY,
)
from domains.music.tokenizer.shared import pitch_classes_of

if TYPE_CHECKING:
    from torch import Tensor

    from domains.music.tokenizer.remi import RemiTokenizer

_KIND, _PLACE, _SIZE, _PROGRAM, _NOTED, _PITCH, _COUNT, _SUNG, _METRE = range(9)
_END_NOTE = {PITCH: 2, DRUM: 2, VELOCITY: 1, LENGTH: 0}
"""Symbols that are still needed after one of a note."""


@dataclass
class RemiState:
    """Where each row stands."""

    rows: Tensor
    """(B, 9) int64: kind of the last symbol; place in the bar, -1 for none yet; steps of the bar; program, -1 for none;
    1 where a note has begun at this place with this program, in tracks 1 where the track has begun; the last pitch
    there, -1 for none; tokens so far; 1 after the first note; metre, -1 for none."""

    @property
    def in_track(self) -> Tensor:
        """(B,) whether, in tracks, a program of this bar has been named."""
        return self.rows[:, _NOTED] == 1

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.rows[rows])

    def reset(self, rows: Tensor) -> Self:
        changed = self.rows.clone()
        changed[rows] = _start()
        return type(self)(changed)

    def clone(self) -> Self:
        return type(self)(self.rows.clone())


def _start() -> Tensor:
    import torch

    return torch.tensor([START, -1, 0, -1, 0, -1, 0, 0, -1])


class RemiGrammar:
    """See RemiTokenizer.grammar."""

    def __init__(
        self,
        tokenizer: RemiTokenizer,
        max_length: int | None,
        programs: tuple[int, ...] | None,
        key: str | None,
        low: int,
        high: int,
        metres: tuple[str, ...] | None,
    ) -> None:
        import torch

        self.size, self.by_track, self.max_length = len(tokenizer.vocabulary), tokenizer.by_track, max_length
        self.first, self.counts = tokenizer.first.tolist(), tokenizer.counts
        self.kinds = torch.from_numpy(tokenizer.kinds)
        self.bar_sizes = torch.from_numpy(bar_steps(np.arange(len(METRES)), tokenizer.config.steps))
        names = [f"{n}/{d}" for n, d in METRES]
        for metre in metres or ():
            if metre not in names:
                raise ConfigError(f"metres: {metre!r} is none that can be written{nearest(metre, names)}")
        self.metres = torch.tensor([metres is None or name in metres for name in names])
        self.programs = torch.tensor([programs is None or p in programs for p in range(DRUMS + 1)])
        classes = None if key is None else pitch_classes_of(key)
        self.pitches = torch.tensor([low <= p <= high and (classes is None or p % 12 in classes) for p in range(128)])
        melodic = bool(self.programs[:DRUMS].any())
        if not self.programs.any() or (melodic and not self.pitches.any()):
            raise ConfigError("programs, key, low and high leave nothing that may sound")
        if not self.pitches.any():
            self.programs[:DRUMS] = False
        if max_length is not None and max_length < 7:
            raise ConfigError(f"max_length={max_length}: the shortest piece has 7 tokens")

    def start(self, batch: int) -> RemiState:
        return RemiState(_start().repeat(batch, 1))

    def allowed(self, state: RemiState) -> Tensor:
        import torch

        rows = state.rows
        kind, place, program, noted = (rows[:, c] for c in (_KIND, _PLACE, _PROGRAM, _NOTED))
        batch = len(rows)

        def after(*kinds: int) -> Tensor:
            return torch.isin(kind, torch.tensor(kinds))

        parts = [torch.zeros((batch, count), dtype=torch.bool) for count in self.counts]
        first_bar = (kind == BAR) & (rows[:, _METRE] < 0)
        between = after(METRE, LENGTH, TEMPO) | ((kind == BAR) & ~first_bar)
        parts[BAR][:] = ((kind == START) | between)[:, None]
        others = torch.arange(len(METRES)) != rows[:, _METRE, None]
        parts[METRE][:] = (kind == BAR)[:, None] & self.metres & others
        ids = torch.arange(self.counts[POSITION])
        free = (ids > place[:, None]) & (ids < rows[:, _SIZE, None])
        # In tracks a place before the first program of a bar is one of a tempo; a program is followed by a place.
        placing = between | ((kind == PROGRAM) & self.by_track)
        parts[POSITION][:] = placing[:, None] & free
        parts[TEMPO][:] = ((kind == POSITION) & ((noted == 0) if self.by_track else True))[:, None]
        listed = torch.arange(DRUMS + 1)
        if self.by_track:
            parts[PROGRAM][:] = between[:, None] & self.programs & ((noted == 0)[:, None] | (listed > program[:, None]))
            sounding = ((kind == POSITION) & (noted == 1)) | (kind == LENGTH)
        else:
            rising = (noted == 0)[:, None] | (listed > program[:, None])
            other = listed != program[:, None]
            parts[PROGRAM][:] = (after(POSITION, TEMPO, LENGTH))[:, None] & self.programs & rising & other
            sounding = after(POSITION, TEMPO, LENGTH, PROGRAM) & (program >= 0)
        higher = torch.arange(128) > rows[:, _PITCH, None]
        parts[PITCH][:] = (sounding & (program != DRUMS))[:, None] & self.pitches & higher
        parts[DRUM][:] = (sounding & (program == DRUMS))[:, None] & higher
        parts[VELOCITY][:] = after(PITCH, DRUM)[:, None]
        parts[LENGTH][:] = (kind == VELOCITY)[:, None]
        if self.max_length is not None:
            left = self.max_length - rows[:, _COUNT] - 1
            for number, part in enumerate(parts):
                part &= (left >= self._needed(number, rows))[:, None]
        allowed = torch.zeros((batch, self.size), dtype=torch.bool)
        for number, part in enumerate(parts):
            allowed[:, self.first[number] : self.first[number] + part.shape[1]] = part
        allowed[:, EOS] = kind == LENGTH
        allowed[:, EOS] |= ~allowed.any(dim=1)  # of rows that have ended already and are still asked
        return allowed

    def _needed(self, kind: int, rows: Tensor) -> Tensor:
        """(B,) how many symbols a row must still have after one of `kind` before it may end, at most."""
        import torch

        batch = len(rows)
        if kind in _END_NOTE:
            return torch.full((batch,), _END_NOTE[kind])
        unnamed = (rows[:, _PROGRAM] < 0).long()
        if kind == PROGRAM:
            return torch.full((batch,), 4 if self.by_track else 3)
        if self.by_track:
            begun = rows[:, _NOTED] == 1
            # A place inside a track is followed by a note; one of a tempo by the tempo, then a bar may be needed.
            if kind == POSITION:
                return torch.where(begun, 3, 6)
            return torch.full((batch,), {BAR: 6, METRE: 5, TEMPO: 5}[kind])
        if kind in (POSITION, TEMPO):
            return 3 + unnamed
        # A bar may hold nothing that is allowed but a metre.
        return {BAR: 5, METRE: 4}[kind] + unnamed

    def advance(self, state: RemiState, tokens: Tensor) -> RemiState:
        import torch

        rows = state.rows.clone()
        kind = self.kinds[tokens]
        first = torch.tensor(self.first)
        value = tokens - first[kind.clamp(min=0)]
        rows[:, _COUNT] += 1
        rows[:, _KIND] = kind

        def put(where: Tensor, column: int, values: Tensor | int) -> None:
            rows[:, column] = torch.where(where, values, rows[:, column])

        put(kind == METRE, _METRE, value)
        put(kind == METRE, _SIZE, self.bar_sizes[value.clamp(0, len(self.bar_sizes) - 1)])
        put(kind == BAR, _PLACE, -1)
        put(kind == POSITION, _PLACE, value)
        put(kind == PROGRAM, _PROGRAM, value)
        fresh = (kind == BAR) | (kind == POSITION) | (kind == PROGRAM)
        put(fresh, _PITCH, -1)
        note = (kind == PITCH) | (kind == DRUM)
        put(note, _PITCH, value)
        put(note, _SUNG, 1)
        if self.by_track:
            put(kind == BAR, _NOTED, 0)
            put(kind == BAR, _PROGRAM, -1)
            put(kind == PROGRAM, _NOTED, 1)
            put(kind == PROGRAM, _PLACE, -1)
        else:
            put((kind == BAR) | (kind == POSITION), _NOTED, 0)
            put(note, _NOTED, 1)
        return RemiState(rows)
