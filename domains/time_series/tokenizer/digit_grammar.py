"""The automaton of series written as digits: sign, digits without a leading zero, comma; or nan, comma.

States: 0 between steps, 1 after a sign, 2 after nan, 3 after a leading zero, 3 + k after k digits. A table of allowed
symbols and one of next states are all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.vocabulary import EOS
from domains.time_series.tokenizer.digits import COMMA, FIRST_DIGIT, MINUS, MISSING, PLUS

_BETWEEN, _SIGN, _MISSING, _ZERO = range(4)


@dataclass(frozen=True)
class DigitState:
    """Where each row stands."""

    states: Tensor
    """(B,) int64"""

    def select(self, rows: Tensor) -> DigitState:
        return DigitState(self.states[rows.to(self.states.device)])

    def reset(self, rows: Tensor) -> DigitState:
        states = self.states.clone()
        states[rows.to(states.device)] = _BETWEEN
        return DigitState(states)

    def clone(self) -> DigitState:
        return DigitState(self.states.clone())


class DigitGrammar:
    """A `core.grammar.Grammar`.

    Args:
        size: symbols of the vocabulary, specials included.
        base: of the digits.
        longest: digits of a number at most.
        missing: whether a step may be missing.
    """

    def __init__(self, size: int, base: int, longest: int, *, missing: bool = True) -> None:
        states = 4 + longest
        self._allowed = torch.zeros(states, size, dtype=torch.bool)
        self._next = torch.zeros(states, size, dtype=torch.int64)
        digits = torch.arange(FIRST_DIGIT, FIRST_DIGIT + base)

        def go(state: int, symbols: Tensor | int, to: int) -> None:
            self._allowed[state, symbols] = True
            self._next[state, symbols] = to

        self._allowed[_BETWEEN, EOS] = True
        for sign in (PLUS, MINUS):
            go(_BETWEEN, sign, _SIGN)
        self._next[_BETWEEN, MISSING] = _MISSING  # what a prefix holds is followed, whether or not it may be drawn
        self._allowed[_BETWEEN, MISSING] = missing
        go(_SIGN, digits, _ZERO + 1)
        go(_SIGN, FIRST_DIGIT, _ZERO)
        for state in (_MISSING, *range(_ZERO, states)):
            go(state, COMMA, _BETWEEN)
        for count in range(1, longest):
            go(_ZERO + count, digits, _ZERO + count + 1)

    def start(self, batch: int) -> DigitState:
        return DigitState(torch.full((batch,), _BETWEEN, dtype=torch.int64))

    def allowed(self, state: Any) -> Tensor:
        return self._allowed[state.states.cpu()]

    def advance(self, state: Any, tokens: Tensor) -> DigitState:
        return DigitState(self._next[state.states.cpu(), tokens.cpu()])
