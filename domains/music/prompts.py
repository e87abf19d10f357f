"""Pieces made to fit what is given: a voice beside the others, bars between two others, a continuation.

    best = fill(model.engine, model.tokenizer, score, voice_free(tokenizer, score, 1), draws=16)

A causal model has not read what is given further on, so several fillings are drawn and each is weighed by how likely
the model finds the given tokens after it: the weights of importance sampling, for draws from the model itself under the
given tokens as a template. For `music_grid`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from domains.formats.score import Score, metre_ticks
from domains.music.tokenizer import GridTokenizer


@dataclass(frozen=True)
class Filling:
    """One way to fill the gap."""

    score: Score
    nats: float
    """Of the given tokens, having read those that were filled in before them: less is better."""
    weight: float
    """Its share among the draws."""


def voice_free(tokenizer: GridTokenizer, score: Score, voice: int) -> NDArray[np.bool_]:
    """(T,) the tokens of voice `voice`, from 0 for the highest. Raises ConfigError for one that there is not."""
    voices = tokenizer.config.voices
    if not 0 <= voice < voices:
        raise ConfigError(f"voice: got {voice}, allowed: 0 to {voices - 1}")
    free: NDArray[np.bool_] = np.arange(len(tokenizer.encode(score))) % voices == voice
    return free


def quarters_free(tokenizer: GridTokenizer, score: Score, start: float, stop: float) -> NDArray[np.bool_]:
    """(T,) the tokens of all voices from quarter note `start` up to `stop`. Raises ConfigError for an empty range."""
    step = np.arange(len(tokenizer.encode(score))) // tokenizer.config.voices
    free: NDArray[np.bool_] = (step >= start * tokenizer.config.steps) & (step < stop * tokenizer.config.steps)
    if not free.any():
        raise ConfigError(f"quarters {start:g} to {stop:g} are none of the piece's")
    return free


def fill(
    engine: Any,
    tokenizer: GridTokenizer,
    score: Score,
    free: NDArray[np.bool_],
    *,
    draws: int = 16,
    seed: int = 0,
    **options: Any,
) -> list[Filling]:
    """Fillings of the tokens where `free` (T,), the best first.

    Args:
        engine: a core.engine.Engine.
        draws: how many are drawn and weighed.
        options: of Engine.sample (temperature, top_p ...).

    A hold that is given after a gap goes on from what the gap leaves sounding; where that is nothing it is a defect of
    the draw, which is left out. Raises ConfigError where no draw is left.
    """
    tokens = np.asarray(tokenizer.encode(score).arrays["tokens"]).astype(np.int64)
    grammar = tokenizer.grammar(template=np.where(free, 0, tokens))
    drawn = engine.sample(draws, max_length=len(tokens), seed=seed, grammar=grammar, **options)
    found: list[tuple[Score, float]] = []
    sequences = [sample.sequence for sample in drawn]
    for sequence, scored in zip(sequences, engine.score(sequences, mode="windows"), strict=True):
        sequence.id = score.id
        made = tokenizer.decode(sequence)
        if not np.array_equal(tokenizer.encode(made).arrays["tokens"][~free], tokens[~free]):
            continue
        found.append((made, float(np.nansum(np.asarray(scored.token_nll, np.float64)[: len(free)][~free]))))
    if not found:
        raise ConfigError(f"none of {draws} draws fits what is given", hint="Draw more, or leave more free.")
    nats = np.array([n for _, n in found])
    weights = np.exp(nats.min() - nats)
    weights /= weights.sum()
    order = np.argsort(nats, kind="stable")
    return [Filling(found[i][0], float(nats[i]), float(weights[i])) for i in order.tolist()]


def fill_part(
    engine: Any,
    tokenizer: Any,
    score: Score,
    n: int,
    drawing: Mapping[str, Any],
    **options: Any,
) -> list[tuple[Score, float]]:
    """What `foretell sample prompt=FILE fill.NAME=` writes: fillings of a score and their nats, the best first.

    Args:
        n: how many are drawn; those that do not fit are left out.
        drawing: of Engine.sample (temperature, seed ...).
        options: one of `voice`, from 1 for the highest, `bars`, first and last from 1, or `quarters`, from the first up
            to the second, from 0.

    Raises ConfigError for another option (the nearest is shown), several, a value that is none, or another tokenizer.
    """
    known = ("voice", "bars", "quarters")
    if not isinstance(tokenizer, GridTokenizer):
        raise ConfigError(
            f"fill: a part is made anew on the grid of music_grid, not by {tokenizer.kind}",
            hint="Without fill, samples go on from the prompt.",
        )
    for name in options:
        if name not in known:
            raise ConfigError(f"fill.{name} is unknown{nearest(name, known)}", hint=f"Known: {', '.join(known)}.")
    if len(options) != 1:
        raise ConfigError(f"fill: got {', '.join(options) or 'nothing'}, expected one of {', '.join(known)}")
    ((name, value),) = options.items()
    if name == "voice":
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= tokenizer.config.voices:
            raise ConfigError(f"fill.voice: got {value!r}, allowed: 1 to {tokenizer.config.voices}")
        free = voice_free(tokenizer, score, value - 1)
    else:
        ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
        if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
            raise ConfigError(f"fill.{name}: got {value!r}, expected two numbers: fill.{name}=[2,4]")
        start, stop = ends if name == "quarters" else _quarters_of_bars(score, *(int(end) for end in ends))
        free = quarters_free(tokenizer, score, start, stop)
    return [(made.score, made.nats) for made in fill(engine, tokenizer, score, free, draws=n, **drawing)]


def _quarters_of_bars(score: Score, first: int, last: int) -> tuple[float, float]:
    """Where bars `first` to `last` begin and end. Raises ConfigError for bars that there are not."""
    lines = [0]
    changes = metre_ticks(score)
    while lines[-1] < score.end:
        at = int(np.searchsorted(changes[:, 0], lines[-1], "right")) - 1
        following = changes[at + 1, 0] if at + 1 < len(changes) else np.iinfo(np.int64).max
        lines.append(int(min(lines[-1] + changes[at, 1], following)))
    if not 1 <= first <= last < len(lines):
        raise ConfigError(f"fill.bars: got {first} to {last}, allowed: 1 to {len(lines) - 1}")
    return lines[first - 1] / score.tpq, lines[last] / score.tpq


def go_on(
    engine: Any, tokenizer: Any, score: Score, *, length: int, draws: int = 1, seed: int = 0, **options: Any
) -> list[Score]:
    """Continuations of a piece, each with it at its beginning; for any tokenizer of music.

    Args:
        length: tokens in all, at most.
        options: of Engine.sample.
    """
    start = tokenizer.encode(score)
    grammar = tokenizer.grammar(max_length=length)
    drawn = engine.sample([start], max_length=length, draws=draws, seed=seed, grammar=grammar, **options)
    for number, sample in enumerate(drawn, 1):
        sample.sequence.id = f"{score.id}.{number}"
    return [tokenizer.decode(sample.sequence) for sample in drawn]
