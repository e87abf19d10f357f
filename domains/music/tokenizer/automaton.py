"""Finite automata over symbols as grammars: a table from state and id to the next state, with a way home from each.

With a limit of tokens, only symbols are allowed from which a legal end can still be reached: a sample never stops in
the middle of something. Rows are numbers, so all rows move at once. Knows nothing of music.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.vocabulary import EOS

if TYPE_CHECKING:
    from torch import Tensor

_NEVER = 2**30


@dataclass
class Place:
    """Where each row stands."""

    state: Tensor
    """(B,) int64"""
    count: Tensor
    """(B,) int64 tokens so far."""

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.state[rows], self.count[rows])

    def reset(self, rows: Tensor) -> Self:
        state, count = self.state.clone(), self.count.clone()
        state[rows], count[rows] = 0, 0
        return type(self)(state, count)

    def clone(self) -> Self:
        return type(self)(self.state.clone(), self.count.clone())


class Automaton:
    """The grammar of a finite automaton.

    Args:
        table: (S, V) the state after each id, -1 where it is not allowed; state 0 is the start.
        ends: (S,) bool, where a sequence may end.
        max_length: tokens at most; None for any number.

    Raises ConfigError where `max_length` is too short for any sequence.
    """

    def __init__(self, table: NDArray[np.int64], ends: NDArray[np.bool_], max_length: int | None = None) -> None:
        import torch

        home = _distances(table, ends)
        if max_length is not None and home[0] > max_length:
            raise ConfigError(f"max_length={max_length}: the shortest sequence has {home[0]} tokens")
        # Symbols that lead to where no end can be reached are no symbols at all.
        table = np.where((table >= 0) & (home[table] < _NEVER), table, -1)
        self.table, self.ends = torch.from_numpy(table), torch.from_numpy(ends)
        self.home = torch.from_numpy(home)
        self.max_length = max_length

    def start(self, batch: int) -> Place:
        import torch

        return Place(torch.zeros(batch, dtype=torch.int64), torch.zeros(batch, dtype=torch.int64))

    def allowed(self, place: Place) -> Tensor:
        following = self.table[place.state]
        allowed = following >= 0
        if self.max_length is not None:
            left = self.max_length - place.count - 1
            allowed &= self.home[following.clamp(min=0)] <= left[:, None]
        allowed[:, EOS] = self.ends[place.state]
        allowed[:, EOS] |= ~allowed.any(dim=1)  # of rows that have ended already and are still asked
        return allowed

    def advance(self, place: Place, tokens: Tensor) -> Place:
        following = self.table[place.state, tokens]
        return Place(following.clamp(min=0), place.count + 1)


def _distances(table: NDArray[np.int64], ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(S,) the least number of symbols from each state to an end."""
    home = np.where(ends, 0, _NEVER)
    while True:
        reached = np.where(table >= 0, home[table], _NEVER).min(axis=1) + 1
        closer = np.minimum(home, reached)
        if (closer == home).all():
            return home
        home = closer


class Table:
    """Rules gathered by name, then numbered; the name given first is the start."""

    def __init__(self, ids: Mapping[str, int], size: int) -> None:
        self.ids, self.size = ids, size
        self._number: dict[Hashable, int] = {}
        self._rules: dict[tuple[int, int], int] = {}
        self._ends: set[int] = set()
        self._alike: list[tuple[int, int]] = []

    def state(self, name: Hashable) -> int:
        return self._number.setdefault(name, len(self._number))

    def rule(self, start: Hashable, symbols: str | tuple[str, ...], stop: Hashable) -> None:
        """Each of `symbols` (characters of a text, or a tuple of symbols) leads from `start` to `stop`."""
        a, b = self.state(start), self.state(stop)
        for symbol in symbols:
            self._rules[a, self.ids[symbol]] = b

    def words(self, start: Hashable, words: tuple[str, ...], last: str, stop: Hashable) -> None:
        """Each of `words`, letter by letter, then `last`, leads from `start` to `stop`."""
        for word in words:
            for n, letter in enumerate(word):
                self.rule((start, word[:n]) if n else start, letter, (start, word[: n + 1]))
            self.rule((start, word), last, stop)

    def alike(self, name: Hashable, other: Hashable) -> None:
        """`name` goes on, and ends, as `other` does wherever it has no rule of its own."""
        self._alike.append((self.state(name), self.state(other)))

    def ends(self, name: Hashable) -> None:
        self._ends.add(self.state(name))

    def made(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        table = np.full((len(self._number), self.size), -1, np.int64)
        for (state, symbol), following in self._rules.items():
            table[state, symbol] = following
        ends = np.zeros(len(self._number), bool)
        ends[sorted(self._ends)] = True
        changed = True
        while changed:  # what is alike may be like a third
            before = table.copy()
            for name, other in self._alike:
                table[name] = np.where(table[name] >= 0, table[name], table[other])
                ends[name] |= ends[other]
            changed = not np.array_equal(before, table)
        return table, ends
