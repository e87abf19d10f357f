"""Order-k Markov tables: what a sceptic asks for before believing in a network.

One table counts every order from 0 to K in one pass over the data, so that the orders are compared on the same counts.
Two rules turn counts into probabilities: half a count is added (Krichevsky and Trofimov 1981), or they are interpolated
with the next lower order. Letters are small integers; the table knows neither tokenizers nor stores.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, InputError

Letters = NDArray[np.uint8]
"""(T,) codes: 0..size-1 are letters of the alphabet, everything else is no letter (an ambiguity code, a gap)."""

Counts = NDArray[np.integer]

HALF_COUNT = 0.5
"""Added to each count by the plain rule. On E. coli (90 % / 10 %, both strands) it gives 1.936 bits a base at order 7,
1.976 at order 9 and 2.095 at order 11."""

MAX_CELLS = 4**13
"""Bound on the cells of the highest order: 4^12 (DNA at order 11) is 67 MB of counts."""

SMALL_TABLE = 2**20
"""Cells up to which counts are 64 bits wide; a mer of a larger table is too rare to be seen 2^32 times."""

_FEW = 64
"""Where a table has this many times more cells than there are letters to count, going through all of it costs more."""

BLOCK = 2**20
"""Letters that are worked on at a time; bounds the working memory to about 100 MB."""


@dataclass(frozen=True)
class MarkovRule:
    """How counts become probabilities."""

    order: int
    """Letters of context."""
    interpolation: float = 0.0
    """0: add half a count to each letter. w > 0: p_k = (n + w p_{k-1}) / (N + w), down to the uniform distribution;
    w = 256 was the best of 1..2048 on E. coli at order 11 (1.928 bits a base)."""

    def __post_init__(self) -> None:
        if self.order < 0:
            raise ConfigError(f"order={self.order}: a Markov order is 0 or more")
        if not 0 <= self.interpolation < np.inf:
            raise ConfigError(f"interpolation={self.interpolation}: 0 (half counts) or a positive weight")

    @property
    def name(self) -> str:
        """What the baseline is called in tables: `markov_7`, `markov_11_interpolated`."""
        return f"markov_{self.order}" + ("_interpolated" if self.interpolation else "")


class MarkovTable:
    """Counts of every (k+1)-mer for k = 0..order.

    Where fewer than k letters stand right before a position (the start of a piece, or after something that is no
    letter), the longest usable context is taken. A target that is no letter has no probability: its nll is NaN, so that
    a model can be compared on exactly the letters that are left.

    Args:
        order: the highest order K.
        size: V, letters of the alphabet.
        complement: (V,) the complement of each letter; given, both strands of every piece are counted.
    """

    def __init__(self, order: int, size: int, *, complement: Sequence[int] | None = None) -> None:
        if order < 0 or not 1 <= size <= 250:
            raise ConfigError(f"a Markov table needs order >= 0 and 1 to 250 letters, got order={order}, size={size}")
        if size ** (order + 1) > MAX_CELLS:
            raise ConfigError(
                f"order={order} over {size} letters needs {size ** (order + 1):,} counts, the limit is {MAX_CELLS:,}",
                hint="Take a lower order.",
            )
        self.order = order
        self.size = size
        self.complement = None if complement is None else np.asarray(complement, np.int64)
        if self.complement is not None and sorted(self.complement) != list(range(size)):
            raise ConfigError(f"complement={list(self.complement)} is not a permutation of 0..{size - 1}")
        self._by_depth: list[Counts] = [
            np.zeros((size**k, size), np.int64 if size ** (k + 1) <= SMALL_TABLE else np.uint32)
            for k in range(order + 1)
        ]
        self._counts: list[Counts] | None = None

    def one_strand(self) -> MarkovTable:
        """The same pieces as they were read, without their reverse complements; they are not counted again."""
        table = copy.copy(self)
        table.complement, table._counts = None, None
        return table

    def add(self, letters: Letters) -> None:
        """Count one piece (T,), each letter at the longest context that it has; `counts` sums up the shorter ones."""
        self._counts = None
        for _, targets, contexts, usable in self._blocks(letters, self.order):
            depth = np.where(targets < self.size, usable, -1)
            for k in np.unique(depth[depth >= 0]):
                keep, table = depth == k, self._by_depth[k]
                cells = (contexts[keep] % self.size**k) * self.size + targets[keep]
                if len(cells) * _FEW > table.size:
                    seen = np.bincount(cells, minlength=table.size).reshape(table.shape)
                    np.add(table, seen, out=table, casting="unsafe")
                else:
                    np.add.at(table.reshape(-1), cells, np.ones((), table.dtype))

    def fit(self, pieces: Iterable[Letters]) -> MarkovTable:
        for piece in pieces:
            self.add(piece)
        return self

    @property
    def counts(self) -> list[Counts]:
        """Per order k, (V^k, V): how often each letter follows each context (its last letter is the lowest digit)."""
        if self._counts is None:
            if not any(table.any() for table in self._by_depth):
                raise InputError("the Markov table has seen no letters: nothing can be predicted from it")
            tables = [table.copy() for table in self._by_depth]
            for k in reversed(range(self.order)):
                tables[k] += tables[k + 1].reshape(self.size, *tables[k].shape).sum(axis=0, dtype=tables[k].dtype)
            if self.complement is not None:
                for table in tables:
                    table += _other_strand(table, self.complement)
            self._counts = tables
        return self._counts

    def nll(self, letters: Letters, rule: MarkovRule) -> NDArray[np.float64]:
        """(T,) -log p of each letter given those before it in the piece, in nats; NaN where it is no letter."""
        nll = np.full(len(letters), np.nan)
        for start, targets, contexts, usable in self._blocks(letters, rule.order):
            letter = np.flatnonzero(targets < self.size)
            p = self.probabilities(contexts[letter], usable[letter], rule)
            nll[start + letter] = -np.log(p[np.arange(len(letter)), targets[letter]])
        return nll

    def probabilities(
        self, contexts: NDArray[np.int64], usable: NDArray[np.int64], rule: MarkovRule
    ) -> NDArray[np.float64]:
        """(R, V) distributions of the next letter, each row summing to 1.

        Args:
            contexts: (R,) the preceding letters as one number, the last of them its lowest digit.
            usable: (R,) how many of the digits are there.
        """
        if rule.order > self.order:
            raise ConfigError(f"order={rule.order}, but this table counts up to order {self.order}")
        p = np.full((len(contexts), self.size), 1 / self.size)
        depth = np.minimum(usable, rule.order)
        for k in range(rule.order + 1):
            # The plain rule looks at one order only; interpolation climbs through all that are usable.
            rows = np.flatnonzero(depth >= k if rule.interpolation else depth == k)
            if not len(rows):
                continue
            n = self.counts[k][contexts[rows] % self.size**k].astype(np.float64)
            prior = rule.interpolation * p[rows] if rule.interpolation else HALF_COUNT
            n += prior
            p[rows] = n / n.sum(axis=1, keepdims=True)
        return p

    def sample(self, n: int, length: int, rule: MarkovRule, rng: np.random.Generator) -> NDArray[np.uint8]:
        """(n, length) sequences drawn from the table."""
        contexts = np.zeros(n, np.int64)
        out = np.empty((n, length), np.uint8)
        for t in range(length):
            cumulative = self.probabilities(contexts, np.full(n, t), rule).cumsum(axis=1)
            drawn = (rng.random((n, 1)) >= cumulative).sum(axis=1)
            out[:, t] = np.minimum(drawn, self.size - 1)
            contexts = (contexts * self.size + out[:, t]) % self.size**rule.order
        return out

    def _blocks(
        self, letters: Letters, order: int
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """(start, targets, contexts, usable) of one block of positions after the other, each (B,)."""
        for start in range(0, len(letters), BLOCK):
            back = min(start, order)
            window = letters[start - back : start + BLOCK].astype(np.int64)
            is_letter = window < self.size
            digits = np.where(is_letter, window, 0)
            contexts = np.zeros(len(window), np.int64)
            for j in range(1, min(order, len(window) - 1) + 1):
                contexts[j:] += digits[:-j] * self.size ** (j - 1)
            positions = np.arange(len(window))
            gaps = np.where(is_letter, 0, positions + 1)
            last_gap = np.concatenate([[0], np.maximum.accumulate(gaps)[:-1]])
            usable = np.minimum(positions - last_gap, order)
            yield start, window[back:], contexts[back:], usable[back:]


def _other_strand(table: Counts, complement: NDArray[np.int64]) -> Counts:
    """The counts of the reverse complement: a (k+1)-mer read backwards with each letter complemented."""
    size = table.shape[1]
    length = round(np.log(table.size) / np.log(size)) if size > 1 else 1
    mers = table.reshape((size,) * length).transpose()
    for axis in range(length):
        mers = np.take(mers, complement, axis=axis)
    return np.ascontiguousarray(mers).reshape(table.shape)


def best_rule(
    table: MarkovTable, pieces: Sequence[Letters], rules: Sequence[MarkovRule]
) -> tuple[MarkovRule, dict[MarkovRule, float]]:
    """The rule with the least nats per letter over `pieces` (the validation split, never the test), and all of them.

    Raises InputError where the pieces hold no letter.
    """
    scores = {}
    for rule in rules:
        sums = np.array([[np.nansum(nll), np.isfinite(nll).sum()] for nll in (table.nll(p, rule) for p in pieces)])
        total, n = sums.reshape(-1, 2).sum(axis=0)
        if not n:
            raise InputError("no letters to choose a Markov order on", hint="Is the validation split empty?")
        scores[rule] = float(total / n)
    return min(scores, key=scores.__getitem__), scores
