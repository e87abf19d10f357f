"""Witten-Bell n-grams of every order at once, conditioned on the voice where tokens of voices alternate.

    p_k(s | c) = (n(c, s) + t(c) p_{k-1}(s | c')) / (n(c) + t(c))

n(c) is how often the last k tokens c were seen in training, t(c) after how many different symbols, c' is c without its
oldest token (Witten and Bell 1991, IEEE Trans. Inf. Theory 37:1085). Below order 0 every symbol is as likely. Contexts
are 64-bit hashes in sorted tables, so memory follows what was seen, not V^k, and any order fits: two of ten million
contexts share a hash with a probability of 3e-6. Knows tokens, not music.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

Tokens = NDArray[np.int64]
Hashes = NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""The constants of splitmix64 (Steele, Lea, Flood 2014)."""


@dataclass(frozen=True)
class _Order:
    """What was seen after contexts of one length."""

    contexts: Hashes
    """(C,) rising."""
    starts: Tokens
    """(C + 1,) where each context's pairs begin."""
    symbols: Tokens
    """(P,)"""
    counts: NDArray[np.float64]
    """(P,)"""


class NGrams:
    """Tables of orders 0 to `order` over ids below `size`.

    Args:
        period: P; a token's place in its piece modulo P is part of every context (voices), 1 for none.
    """

    def __init__(self, order: int, size: int, period: int = 1) -> None:
        self.order, self.size, self.period = order, size, period
        self._orders: list[_Order] = []

    def fit(self, pieces: Iterable[Tokens]) -> NGrams:
        """Counts pieces (T,) of ids. Raises InputError where there is none."""
        listed = [np.asarray(piece, np.int64) for piece in pieces if len(piece)]
        if not listed:
            raise InputError("no piece to count n-grams in", hint="Is the training split empty?")
        targets = np.concatenate(listed)
        contexts = [self._contexts(piece) for piece in listed]
        for k in range(self.order + 1):
            codes, place = np.unique(np.concatenate([c[k] for c in contexts]), return_inverse=True)
            seen, counts = np.unique(place * self.size + targets, return_counts=True)
            starts = np.searchsorted(seen, np.arange(len(codes) + 1) * self.size)
            self._orders.append(_Order(codes, starts, seen % self.size, counts.astype(np.float64)))
        return self

    def probabilities(self, piece: Tokens) -> NDArray[np.float64]:
        """(order + 1, T, V): after the tokens before it, the distribution of each token of a piece, by order."""
        piece = np.asarray(piece, np.int64)
        out = np.empty((self.order + 1, len(piece), self.size))
        p = np.full((len(piece), self.size), 1 / self.size)
        for k, codes in enumerate(self._contexts(piece)):
            p = out[k] = self._raised(k, codes, p)
        return out

    def nll(self, piece: Tokens) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(order + 1, T) nats of each token, and whether it was the most likely one, by order."""
        piece = np.asarray(piece, np.int64)
        p = self.probabilities(piece)
        nats = -np.log(p[:, np.arange(len(piece)), piece])
        return nats, p.argmax(axis=2) == piece

    def sample(self, n: int, length: int, rng: np.random.Generator, order: int | None = None) -> Tokens:
        """(n, length) pieces drawn from the table of an order, the highest where none is told."""
        top = self.order if order is None else order
        out = np.zeros((n, length), np.int64)
        for t in range(length):
            p = np.full((n, self.size), 1 / self.size)
            for k in range(top + 1):
                p = self._raised(k, self._last(out[:, max(0, t - k) : t], k, t), p)
            cumulative = p.cumsum(axis=1)
            drawn = (rng.random((n, 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
            out[:, t] = np.minimum(drawn, self.size - 1)
        return out

    def _raised(self, k: int, codes: Hashes, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distributions (R, V) of order k from those of order k - 1, for contexts `codes` (R,)."""
        table = self._orders[k]
        slot = np.minimum(np.searchsorted(table.contexts, codes), len(table.contexts) - 1)
        rows = np.flatnonzero(table.contexts[slot] == codes)
        if not len(rows):
            return p
        starts, stops = table.starts[slot[rows]], table.starts[slot[rows] + 1]
        kinds = stops - starts
        within = np.arange(kinds.sum()) - np.repeat(np.cumsum(kinds) - kinds, kinds)
        places = np.repeat(starts, kinds) + within
        raised = p.copy()
        raised[rows] *= kinds[:, None]
        raised[np.repeat(rows, kinds), table.symbols[places]] += table.counts[places]
        totals = np.add.reduceat(table.counts[places], np.cumsum(kinds) - kinds)
        raised[rows] /= (totals + kinds)[:, None]
        return raised

    def _contexts(self, piece: Tokens) -> list[Hashes]:
        """By order the hashes (T,) of what stands before each token; 0, a special, before the beginning."""
        codes = [_mixed((np.arange(len(piece)) % self.period).astype(np.uint64))]
        for k in range(1, self.order + 1):
            before = np.concatenate([np.zeros(min(k, len(piece)), np.int64), piece[: max(0, len(piece) - k)]])
            codes.append(_joined(codes[-1], before))
        return codes

    def _last(self, before: Tokens, k: int, place: int) -> Hashes:
        """The hashes (R,) of order k of rows whose last tokens are `before` (R, up to k)."""
        code = _mixed(np.full(len(before), place % self.period, np.uint64))
        for j in range(1, k + 1):
            code = _joined(code, before[:, -j] if j <= before.shape[1] else np.zeros(len(before), np.int64))
        return code


def _joined(code: Hashes, tokens: Tokens) -> Hashes:
    return _mixed(code * _ODD + tokens.astype(np.uint64) + np.uint64(1))


def _mixed(code: Hashes) -> Hashes:
    for shift, factor in zip((30, 27), _MIX, strict=True):
        code = (code ^ (code >> np.uint64(shift))) * factor
    return code ^ (code >> np.uint64(31))
