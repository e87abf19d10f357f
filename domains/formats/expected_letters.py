"""What a model expected at each letter of a stretch: the shares of an alphabet's letters that a sequence logo shows.

For tokenizers of one letter a token; where tokens are pieces or k-mers, a letter has no distribution of its own and
there is nothing to show. Knows no domain: who asks names the letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.vocabulary import Vocabulary

BEFORE = 1024
"""Tokens of context that are read before a stretch, at most."""
LOOKED_AT = 2**14
"""Tokens from a span's start in which the stretch is looked for, at most: a second's work."""


class Foreseer(Protocol):
    """What of core.engine.Engine is used here."""

    def score_spans(self, store: TokenStore, spans: NDArray[np.int64]) -> Iterable[NDArray[np.float32]]: ...

    def next_symbols(self, sequence: Sequence) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Expected:
    """A stretch as it is, and as it was expected letter by letter."""

    record: str
    """Its record's id."""
    first: int
    """The first letter's place in the record, counted from 1."""
    text: str
    """(T,) letters that stood there."""
    shares: NDArray[np.float64]
    """(T, A) of each letter of the alphabet; they sum to 1."""


def likeliest_stretch(
    engine: Foreseer, store: TokenStore, span: NDArray[np.int64], letters: str, *, length: int = 60
) -> Expected | None:
    """The stretch of a span that the model finds most likely, letter by letter: where it has most to say.

    A record's first letter is left out where there is another stretch: one that most records begin with (the M of
    proteins) says nothing of this one, and would draw every stretch to the start.

    Args:
        span: (3,) sequence, start, stop in tokens.
        letters: the alphabet, each of them a symbol of the store's one target field.

    Returns None where tokens are no letters of the alphabet, or the span has no stretch of that length in them.
    """
    vocabulary = store.spec.targets[0].vocabulary
    if len(store.spec.targets) != 1 or vocabulary is None or not _is_by_letter(vocabulary, letters):
        return None
    row, start, stop = (int(v) for v in span)
    looked_at = np.array([[row, start, min(stop, start + LOOKED_AT)]])
    (nats,) = engine.score_spans(store, looked_at)
    (sequence,) = read_spans(store, looked_at)
    name = store.spec.targets[0].name
    ids = vocabulary.encode(letters)
    counted = np.isin(sequence.arrays[name], ids) & np.isfinite(nats)
    if len(counted) < length:
        return None
    sums = np.convolve(np.where(counted, nats, np.inf), np.ones(length), "valid")
    if start == 0 and np.isfinite(sums[1:]).any():
        sums[0] = np.inf
    begin = int(np.argmin(sums))
    if not np.isfinite(sums[begin]):
        return None
    before = min(begin, BEFORE)
    read: Any = sequence.slice(begin - before, begin + length)
    logs = engine.next_symbols(read)[before : before + length, ids].astype(np.float64)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    text = "".join(vocabulary.decode(sequence.arrays[name][begin : begin + length]))
    return Expected(store.ids[row], start + begin + 1, text, shares / shares.sum(axis=1, keepdims=True))


def _is_by_letter(vocabulary: Vocabulary, letters: str) -> bool:
    """Whether every letter is a symbol, and no symbol is more than one of them."""
    alphabet = set(letters)
    return alphabet <= set(vocabulary.symbols) and not any(
        len(s) > 1 and set(s) <= alphabet for s in vocabulary.symbols
    )
