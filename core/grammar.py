"""What a grammar can do: an automaton over a batch of rows that says which symbols may come next.

Sampling under a grammar makes every sample parse. The probability mass that it removes is reported with the samples, so
that a reader can tell the model from the mask. Grammars are made by tokenizers; this page knows only their form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from torch import Tensor


class GrammarState(Protocol):
    """Where each row of a batch stands in the automaton."""

    def select(self, rows: Tensor) -> Self:
        """The states of `rows` (R,) int64, in that order; rows may repeat."""
        ...

    def reset(self, rows: Tensor) -> Self:
        """A state in which `rows` (R,) stand at the start again."""
        ...

    def clone(self) -> Self: ...


State = TypeVar("State", bound=GrammarState)


class Grammar(Protocol[State]):
    def start(self, batch: int) -> State: ...

    def allowed(self, state: State) -> Tensor:
        """(B, V) bool: the symbols that may come next; at least one in every row, EOS where the sequence may end."""
        ...

    def advance(self, state: State, tokens: Tensor) -> State:
        """The state after `tokens` (B,) int64 were taken."""
        ...
