"""How what is longer than the context is scored: the policy, and the windows that it cuts.

A window covers positions [begin, stop) of a record; its first `context` positions are look-back only. The counted parts
of a record's windows tile it without gap or overlap. Every window starts with "nothing before". Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.sequence import Sequence


@dataclass(frozen=True)
class WindowPolicy:
    """What is done with records that are longer than `length` tokens; those that fit are scored whole."""

    length: int = 0
    """Tokens that the model reads at once. 0: the model's training context."""
    look_back: int = -1
    """Tokens of context in front of what a window counts, at least. -1: half of the length."""
    carry: bool = False
    """Read on with carried state instead, chunk by chunk: exact, but only for patterns of M and S."""
    long: str = "window"
    """`refuse`: a record that does not fit is refused; `window`: it is cut as above."""

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("length", self.length >= 0, "0 (the context) or a positive number of tokens"),
            ("look_back", self.look_back >= -1, "-1 (half of the length), 0 or a positive number of tokens"),
            ("look_back", not self.length or self.look_back < self.length, f"less than the length {self.length}"),
            ("long", self.long in ("window", "refuse"), "window, refuse"),
        ):
            if not good:
                raise ConfigError(f"window.{name}: got {getattr(self, name)!r}, allowed: {allowed}")

    def resolve(self, model: ModelConfig) -> WindowPolicy:
        """The same with numbers in place of 0 and -1. Raises ConfigError where the model cannot carry state so."""
        if self.carry and "A" in model.mixers:
            raise ConfigError(
                f"window.carry: pattern {model.mixers} has attention, which carries no state of constant size",
                hint="Use overlapped windows (carry=false), or a model of M and S only.",
            )
        length = self.length or model.context
        look_back = length // 2 if self.look_back < 0 else self.look_back
        return replace(self, length=length, look_back=look_back)  # __post_init__ checks one against the other

    def describe(self) -> str:
        """One line for a report; of a resolved policy."""
        fit = f"records of up to {self.length} tokens are scored whole; longer ones "
        if self.long == "refuse":
            return fit + "are refused"
        if self.carry:
            return fit + "chunk by chunk with carried state"
        return (
            fit
            + f"in windows of {self.length} tokens, each after the first looking back over at least {self.look_back}"
        )


class Stretch(NamedTuple):
    """Tokens [start, start + tokens) of a Sequence: a record inside a larger array, without a copy."""

    source: Sequence
    start: int
    tokens: int


class Window(NamedTuple):
    """Positions [begin, stop) of a record, of which the first `context` are look-back."""

    begin: int
    stop: int
    context: int


def windows(positions: int, policy: WindowPolicy, *, eos: bool) -> Iterator[Window]:
    """Cuts a record of `positions` predicted positions (EOS counted where `eos`), by a resolved policy.

    Windows of a record that does not fit all have `length` positions, so the last one looks back further.
    """
    length = policy.length
    if positions <= length + eos:  # EOS is predicted but never read: it takes no room
        if positions:
            yield Window(0, positions, 0)
        return
    yield Window(0, length, 0)
    for start in range(length, positions, length - policy.look_back):
        stop = min(start + length - policy.look_back, positions)
        yield Window(stop - length, stop, start - (stop - length))
