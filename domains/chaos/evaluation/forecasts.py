"""Forecasts of the model under test, whatever its tokens: means of real values fed back, or symbols drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence as Tokens
from core.tokenizer import Tokenizer
from core.vocabulary import SPECIALS
from domains.chaos.evaluation.baselines.material import Values
from domains.chaos.source.trajectory import Trajectory


class Engine(Protocol):
    """What of core.engine.Engine is used here."""

    def roll_out(
        self, contexts: Iterable[Tokens], steps: int, *, mode: str = "mean", seed: int | None = None
    ) -> list[NDArray[np.float64]]: ...

    def sample(
        self, prefixes: Sequence[Tokens], *, max_length: int, min_length: int, temperature: float, seed: int | None
    ) -> list[Any]: ...


def forecast(
    engine: Engine,
    tokenizer: Tokenizer[Any],
    contexts: Sequence[Trajectory],
    steps: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Values]:
    """(steps, C) for each context, in order.

    Args:
        temperature: of models of symbols; 0 takes the likeliest symbol. Models of real values feed back their means.
        seed: of draws.
    """
    encoded = [tokenizer.encode(context) for context in contexts]
    if all(field.is_symbol for field in tokenizer.spec.targets):
        return _drawn(engine, tokenizer, encoded, steps, temperature, seed)
    with np.errstate(all="ignore"):
        paths = engine.roll_out(encoded, steps, mode="mean", seed=seed)
    return [np.asarray(path, np.float64)[0] for path in paths]


def _drawn(
    engine: Engine, tokenizer: Tokenizer[Any], encoded: list[Tokens], steps: int, temperature: float, seed: int
) -> list[Values]:
    """Contexts of one length at a time: a draw ends at a length that counts its prefix."""
    found: list[Values | None] = [None] * len(encoded)
    by_length: dict[int, list[int]] = {}
    for i, prefix in enumerate(encoded):
        by_length.setdefault(len(prefix), []).append(i)
    for length, members in by_length.items():
        prefixes = [encoded[i] for i in members]
        whole = length + steps
        drawn = engine.sample(prefixes, max_length=whole, min_length=whole, temperature=temperature, seed=seed)
        for i, sample in zip(members, drawn, strict=True):
            found[i] = _values(tokenizer, sample.sequence.slice(length, len(sample.sequence)), steps)
    return [values for values in found if values is not None]


def _values(tokenizer: Tokenizer[Any], sequence: Tokens, steps: int) -> Values:
    """(steps, C) of drawn symbols; NaN from the first one on that is no value (a special), or where the draw ended."""
    width = len(tokenizer.spec.targets)
    values = np.full((steps, width), np.nan)
    usable = min(len(sequence), steps)
    for field in tokenizer.spec.targets:
        assert field.vocabulary is not None
        special = np.flatnonzero(sequence.arrays[field.name][:usable] < len(SPECIALS))
        usable = int(special[0]) if len(special) else usable
    if usable:
        plain = Tokens({name: array[:usable] for name, array in sequence.arrays.items()})
        values[:usable] = tokenizer.decode(plain).values
    return values
