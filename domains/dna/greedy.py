"""The likeliest continuation of many prefixes, token by token: strands behind reads, proteins behind codons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from typing import TYPE_CHECKING, Any, Protocol

from core.sequence import Array, Sequence

if TYPE_CHECKING:
    from core.decoding.slots import Sample
    from core.engine import Score
    from core.grammar import Grammar

_TOGETHER = 32
"""Rows drawn together: on a CPU larger batches are not faster a row [width 128]."""


class Reader(Protocol):
    """What is asked of an engine."""

    def score(self, sequences: Iterable[Sequence], *, mode: str) -> Iterator[Score]: ...

    def sample(self, prefixes: Many[Sequence], *, max_length: int, **options: Any) -> list[Sample]: ...


def continued(
    engine: Reader,
    prefixes: Many[Sequence],
    room: Many[int],
    *,
    grammar: Grammar[Any] | None = None,
    limit: int | None = None,
) -> list[Array]:
    """Tokens behind each prefix, at most `room` of them. Those of like length are drawn together: few wait for others.

    Args:
        room: for each prefix.
        limit: tokens of a prefix and what is behind it, where the model reads no more at once.
    """
    found: list[Array] = [prefix.arrays["tokens"][:0] for prefix in prefixes]
    order = sorted(range(len(prefixes)), key=lambda i: len(prefixes[i]))
    for start in range(0, len(order), _TOGETHER):
        rows = order[start : start + _TOGETHER]
        most = max(len(prefixes[i]) + room[i] for i in rows)
        most = most if limit is None else min(most, limit)
        drawn = engine.sample([prefixes[i] for i in rows], max_length=most, temperature=0.0, grammar=grammar)
        for i, sample in zip(rows, drawn, strict=True):
            own = len(prefixes[i])  # max_length is that of the longest: a shorter one may have drawn more
            found[i] = sample.sequence.arrays["tokens"][own : own + room[i]]
    return found
