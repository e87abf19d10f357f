"""Where windows lie in spans of tokens, by number: `WindowGrid` knows the n-th window without listing the others.

Windows of `length` tokens start every `stride` tokens. The first starts with its span and the last ends with it, so
with a stride of at most the length every token of every span is in some window; those in between are moved by a phase.
A span that fits into `length` is one window, shorter than the others where the span is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FREE_PHASE_WINDOWS = 8
"""In a span of so many lengths the phase is free, at the price of at times one window more; in a shorter one it moves
within the overlap that the windows have anyway."""


@dataclass(frozen=True)
class Stretches:
    """Stretches of tokens in columns (P,): windows, or whole records."""

    sequence: Ints
    start: Ints
    """First predicted token, counted from the sequence's first."""
    flat: Ints
    """The same token, counted from the store's first."""
    tokens: Ints
    """Tokens from `start` on."""
    context: Ints
    """Tokens of look-back before `start`."""
    eos: NDArray[np.bool_]
    """Whether it is a whole record, EOS to be added."""

    def __len__(self) -> int:
        return len(self.start)

    def positions(self, has_eos: bool) -> Ints:
        """(P,) positions that each takes in a batch."""
        return self.context + self.tokens + (self.eos & has_eos)

    def take(self, which: Ints | slice) -> Stretches:
        return Stretches(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class WindowGrid:
    """The windows of a set of spans, numbered in the order of the store.

    Args:
        spans: (S, 3) sequence, start, stop of the spans; they do not overlap, empty ones have no window.
        offsets: (N + 1,) where sequences begin in the store.
        length, stride, look_back: in tokens.
        phase: in [0, 1), which of the possible phases.
        whole: a span that is a whole record of at most so many tokens gets EOS; -1 for none.
        fixed_context: look-back may reach before the span, into the same sequence (validation); else it ends with it.
    """

    def __init__(
        self,
        spans: Ints,
        offsets: Ints,
        *,
        length: int,
        stride: int,
        phase: float = 0.0,
        look_back: int = 0,
        whole: int = -1,
        fixed_context: bool = False,
    ) -> None:
        spans = spans[spans[:, 2] > spans[:, 1]]
        low = offsets[spans[:, 0]] + spans[:, 1]
        spans, low = spans[order := np.argsort(low, kind="stable")], low[order]
        self.sequence, self.start = spans[:, 0], spans[:, 1]
        self.low, self.tokens = low, spans[:, 2] - spans[:, 1]
        self.length, self.stride, self.look_back = length, stride, look_back
        self._reach_back = self.start if fixed_context else np.zeros_like(self.start)
        self.is_record = (self.start == 0) & (self.tokens == np.diff(offsets)[self.sequence])
        self.eos = self.is_record & (self.tokens <= whole)
        beyond = np.maximum(self.tokens - length, 0)
        free = np.where(self.tokens >= FREE_PHASE_WINDOWS * length, stride, -beyond % stride + 1)
        self.phase = np.where(beyond > 0, (phase * free).astype(np.int64), 0)
        self.counts = -(-(beyond + self.phase) // stride) + 1
        self.first = np.concatenate(([0], np.cumsum(self.counts)))

    def __len__(self) -> int:
        return int(self.first[-1])

    def before(self, flat: Ints) -> Ints:
        """(E,) how many windows start before each of the store's tokens `flat` (E,)."""
        if not len(self.low):
            return np.zeros_like(flat)
        span = np.maximum(np.searchsorted(self.low, flat, side="left") - 1, 0)
        ahead = flat - self.low[span]
        inside = -(-(ahead + self.phase[span]) // self.stride)
        last = self.tokens[span] - self.length
        counts = np.where(ahead > last, self.counts[span], np.minimum(inside, self.counts[span]))
        return self.first[span] + np.where(ahead > 0, counts, 0)

    def stretches(self, numbers: Ints) -> Stretches:
        """The windows with these numbers (P,)."""
        span = np.searchsorted(self.first, numbers, side="right") - 1
        shift = (numbers - self.first[span]) * self.stride - self.phase[span]
        shift = np.clip(shift, 0, np.maximum(self.tokens[span] - self.length, 0))
        return Stretches(
            sequence=self.sequence[span],
            start=self.start[span] + shift,
            flat=self.low[span] + shift,
            tokens=np.minimum(self.tokens[span], self.length),
            context=np.minimum(shift + self._reach_back[span], self.look_back),
            eos=self.eos[span],
        )


def spread(n: Ints, share: float) -> Ints:
    """How many of the first `n` things are chosen when a `share` of all is, evenly spread, the first included."""
    return np.ceil(n * share).astype(np.int64) if share < 1 else n


def chosen(numbers: Ints, share: float) -> Ints:
    """Those of `numbers` that `spread` counts."""
    return numbers[spread(numbers + 1, share) > spread(numbers, share)]
