"""Forecasts out of an engine, whatever the tokens are: patches are rolled out, bins and digits are drawn and read back.

Tokens in, numbers out; frames and files are `forecast.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.sequence import Role
from core.sequence import Sequence as Tokens
from domains.time_series.tokenizer.shared import SeriesTokenizer

Values = NDArray[np.float64]

PATHS = 100
"""Drawn paths of real values, where quantiles come from draws: a decile is then known to 3 % of probability."""
SYMBOL_PATHS = 20
"""Drawn paths of bins and digits, each of which is read from its context anew: as many as Chronos draws."""


class Forecaster(Protocol):
    """What of core.engine.Engine is used here."""

    model: Any

    def forecast(self, contexts: Sequence[Tokens], horizon: int, **options: Any) -> list[Any]: ...

    def sample(self, prefixes: Sequence[Tokens], **options: Any) -> list[Any]: ...

    def score(self, sequences: Iterable[Tokens], *, mode: str) -> Iterable[Any]: ...


@dataclass(frozen=True)
class Ahead:
    """What a model says of the H steps after one context."""

    mean: Values
    """(H, C)"""
    quantiles: Values
    """(Q, H, C)"""


def forecast_contexts(
    engine: Forecaster,
    tokenizer: SeriesTokenizer[Any],
    contexts: Sequence[Tokens],
    horizon: int,
    *,
    levels: Sequence[float],
    draws: int = 0,
    seed: int = 0,
    ahead: Sequence[Tokens] | None = None,
) -> list[Ahead]:
    """What the model expects after each context.

    Args:
        levels: of the quantiles, in any order.
        draws: paths, where quantiles are not exact; 0: PATHS, or SYMBOL_PATHS of symbols.
        ahead: per context the known-ahead fields of the `horizon` steps to come; None where the token has none.

    Raises InputError for a context in which nothing is observed.
    """
    asked = sorted(set(levels))
    place = [asked.index(level) for level in levels]
    if tokenizer.spec.targets[0].is_symbol:
        return _drawn(engine, tokenizer, contexts, horizon, list(levels), draws or SYMBOL_PATHS, seed, ahead)
    for context in contexts:
        observed = context.observed.get(tokenizer.spec.targets[0].name)
        if not len(context) or (observed is not None and not observed.any()):
            raise InputError(
                f"series '{context.id}': none of its {len(context)} values is there, nothing can be forecast from them"
            )
    found = engine.forecast(contexts, horizon, levels=tuple(asked), draws=draws or PATHS, seed=seed, ahead=ahead)
    return [Ahead(np.asarray(f.mean), np.asarray(f.quantiles)[place]) for f in found]


def coming_fields(tokenizer: SeriesTokenizer[Any], sequence: Tokens, start: int, stop: int) -> Tokens | None:
    """The known-ahead fields of tokens [start, stop), None where the token has none."""
    names = [f.name for f in tokenizer.spec.fields if f.role is Role.KNOWN_AHEAD]
    if not names:
        return None
    arrays = {name: sequence.arrays[name][start:stop] for name in names}
    observed = {name: a[start:stop] for name, a in sequence.observed.items() if name in names}
    return Tokens(arrays, sequence.id, observed)


def _drawn(
    engine: Forecaster,
    tokenizer: SeriesTokenizer[Any],
    contexts: Sequence[Tokens],
    horizon: int,
    levels: list[float],
    draws: int,
    seed: int,
    ahead: Sequence[Tokens] | None,
) -> list[Ahead]:
    """Paths of symbols, drawn from the last tokens that the model reads, as values; those of one length together."""
    reads = int(engine.model.config.context)
    needed = tokenizer.tokens_ahead(horizon)
    room = max(reads - needed, reads // 2)
    prefixes = [tokenizer.last_tokens(context, room) for context in contexts]
    by_length: dict[int, list[int]] = {}
    for i, prefix in enumerate(prefixes):
        by_length.setdefault(len(prefix), []).append(i)
    found: dict[int, Ahead] = {}
    for length, members in by_length.items():
        coming = None
        if ahead is not None:
            coming = [_joined(tokenizer, prefixes[i], ahead[i]) for i in members]
        samples = engine.sample(
            [_targets_only(tokenizer, prefixes[i]) for i in members],
            max_length=length + needed,
            min_length=length + needed,
            draws=draws,
            seed=seed,
            grammar=tokenizer.grammar(missing=False),
            ahead=coming,
            rows=members,
        )
        for k, i in enumerate(members):
            paths = np.stack(
                [
                    tokenizer.continuation(s.sequence.slice(length, length + needed), contexts[i], horizon)
                    for s in samples[k * draws : (k + 1) * draws]
                ]
            )
            found[i] = Ahead(paths.mean(0)[:, None], np.quantile(paths, levels, axis=0)[..., None])
    return [found[i] for i in range(len(contexts))]


def _joined(tokenizer: SeriesTokenizer[Any], prefix: Tokens, ahead: Tokens) -> Tokens:
    names = list(ahead.arrays)
    return Tokens({name: np.concatenate([prefix.arrays[name], ahead.arrays[name]]) for name in names}, prefix.id)


def _targets_only(tokenizer: SeriesTokenizer[Any], prefix: Tokens) -> Tokens:
    """A prefix whose content hash, which its draws depend on, does not depend on masks and labels."""
    return replace(prefix, loss_mask={}, token_labels={})
