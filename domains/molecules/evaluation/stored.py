"""Molecules of a store as SMILES, and as letters for Markov tables: the symbols that training has, with start and end.

Canonical SMILES are compared as texts: the store's tokens spell them, so nothing is parsed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.baselines import Letters
from core.order import permutation
from core.sequence import Sequence
from core.store import TokenStore
from core.tokenizer import Tokenizer
from core.vocabulary import SPECIALS

Spans = NDArray[np.int64]
"""(S, 3) sequence, start, stop in tokens."""
NO_LETTER = 255
MOST_LETTERS = 200
BLOCK = 2**20
"""Tokens read at once."""


def smiles_of(sequence: Sequence, tokenizer: Tokenizer[Any]) -> str:
    """What a sequence's tokens spell; specials that a model drew are left out."""
    tokens = sequence.arrays["tokens"]
    if len(tokens) and tokens.min() < len(SPECIALS):
        sequence = Sequence({"tokens": tokens[tokens >= len(SPECIALS)]}, sequence.id)
    return str(tokenizer.decode(sequence).smiles)


def token_blocks(store: TokenStore, spans: Spans) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Tokens of many spans one after the other, and the length of each, in the store's order; few reads."""
    starts = store.offsets[spans[:, 0]] + spans[:, 1]
    order = np.argsort(starts, kind="stable")
    starts, lengths = starts[order], (spans[:, 2] - spans[:, 1])[order]
    at = 0
    while at < len(starts):
        first = int(starts[at])
        stop = max(at + 1, int(np.searchsorted(starts + lengths, first + BLOCK, side="right")))
        size = lengths[at:stop]
        tokens = store.read(first, int(starts[stop - 1] + size[-1])).arrays["tokens"].astype(np.int64)
        ends = np.cumsum(size)
        yield tokens[np.repeat(starts[at:stop] - first - (ends - size), size) + np.arange(ends[-1])], size
        at = stop


def stored_smiles(store: TokenStore, tokenizer: Any, spans: Spans) -> Iterator[str]:
    """The SMILES of each span, in the store's order."""
    for tokens, lengths in token_blocks(store, spans):
        yield from tokenizer.spell_many(tokens, lengths)


def some_spans(spans: Spans, limit: int, *counters: int | str) -> Spans:
    """`limit` of the spans drawn without replacement, in their order; all of them for a limit of 0."""
    if not limit or len(spans) <= limit:
        return spans
    return spans[np.sort(permutation(len(spans), "molecules", *counters)[:limit])]


@dataclass(frozen=True)
class Letterset:
    """Token ids that training uses as letters 0 .. n - 1, then one letter for the end, one for the start."""

    ids: NDArray[np.int64]
    """(n,) ascending."""
    vocabulary: int

    @property
    def size(self) -> int:
        return len(self.ids) + 2

    @property
    def end(self) -> int:
        return len(self.ids)

    @property
    def start(self) -> int:
        return len(self.ids) + 1

    def letters(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> Letters:
        """Each molecule as start, its tokens (255 for one that training does not have), end, and a gap (255)."""
        table = np.full(self.vocabulary, NO_LETTER, np.uint8)
        table[self.ids] = np.arange(len(self.ids))
        ends = np.cumsum(lengths + 3)
        text = np.full(int(ends[-1]) if len(ends) else 0, NO_LETTER, np.uint8)
        begins = ends - lengths - 3
        text[begins], text[ends - 2] = self.start, self.end
        text[np.repeat(begins + 1 - (np.cumsum(lengths) - lengths), lengths) + np.arange(len(tokens))] = table[tokens]
        return text


def letterset(blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]], vocabulary: int) -> Letterset:
    """The `MOST_LETTERS` most frequent ids of all molecules, fewer where there are not so many."""
    counts = np.zeros(vocabulary, np.int64)
    for tokens, _ in blocks:
        counts += np.bincount(tokens, minlength=vocabulary)
    order = np.argsort(-counts, kind="stable")[:MOST_LETTERS]
    return Letterset(np.sort(order[counts[order] > 0]), vocabulary)
