"""Pieces made to fit what is given: a voice beside the others, bars between two others, a continuation.

    best = fill(model.engine, model.tokenizer, score, voice_free(tokenizer, score, 1), draws=16)

A causal model has not read what is given further on, so several fillings are drawn and each is weighed by how likely
the model finds the given tokens after it: the weights of importance sampling, for draws from the model itself. On the
grid of `music_grid` anything can be given, as a template; `music_remi` and `music_tracks` make bars between others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError, nearest
from domains.formats.score import ONSET, Score, in_order, metre_ticks
from domains.music.tokenizer import GridTokenizer, RemiTokenizer, TranslationTokenizer
from domains.music.tokenizer.events import events_of, starts_of
from domains.music.tokenizer.remi import BAR, METRE, POSITION, TEMPO


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
    return _weighed(found)


def fill_bars(
    engine: Any,
    tokenizer: RemiTokenizer,
    score: Score,
    first: int,
    last: int,
    *,
    draws: int = 16,
    seed: int = 0,
    **options: Any,
) -> list[Filling]:
    """Fillings of the bars `first` to `last`, from 1, of a piece of events, the best first.

    The notes that begin in other bars stay as the tokenizer keeps them, and so do metres and tempi. Arguments as those
    of `fill`. Raises ConfigError for bars that there are not.
    """
    from domains.music.tokenizer.gap_grammar import GapGrammar

    given = tokenizer.canonical(score)
    begun = tokenizer.encode(given)
    tokens = np.asarray(begun.arrays["tokens"]).astype(np.int64)
    kinds = np.append(tokenizer.kinds[tokens], BAR)
    lines = np.flatnonzero(kinds == BAR)
    if not 1 <= first <= last < len(lines):
        raise ConfigError(f"fill.bars: got {first} to {last}, allowed: 1 to {len(lines) - 1}")
    length = int(lines[first - 1]) + 1
    length += int(kinds[length] == METRE)
    if kinds[length] == POSITION and kinds[length + 1] == TEMPO and tokens[length] == tokenizer.first[POSITION]:
        length += 2
    # Four times what the piece's fullest bar takes: a limit against bars that never end.
    room = 4 * int(np.diff(lines).max()) * (last - first + 1)
    grammar = GapGrammar(tokenizer, tokenizer.grammar(max_length=length + room), last)
    drawn = engine.sample(
        [begun.slice(0, length)], max_length=length + room, draws=draws, seed=seed, grammar=grammar, **options
    )
    start, stop = starts_of(events_of(given, tokenizer.config.steps), np.array([first - 1, last]), given.tpq)
    stays = given.notes[(given.notes[:, ONSET] < start) | (given.notes[:, ONSET] >= stop)]
    made = []
    for sample in drawn:
        sample.sequence.id = score.id
        try:
            notes = tokenizer.decode(sample.sequence).notes
        except RecordError:  # the piece begins with the gap, and nothing sounds in it
            notes = given.notes[:0]
        notes = notes[(notes[:, ONSET] >= start) & (notes[:, ONSET] < stop)]
        if len(stays) + len(notes):
            made.append(tokenizer.canonical(replace(given, notes=in_order(np.concatenate([stays, notes])))))
    sequences = [tokenizer.encode(one) for one in made]
    found = []
    for one, sequence, scored in zip(made, sequences, engine.score(sequences, mode="windows"), strict=True):
        bars = np.cumsum(tokenizer.kinds[sequence.arrays["tokens"].astype(np.int64)] == BAR)
        behind = np.asarray(scored.token_nll, np.float64)[: len(bars)][bars > last]
        found.append((one, float(np.nansum(behind))))
    if not found:
        raise ConfigError(f"none of {draws} draws has a note", hint="Draw more, or leave more of the piece.")
    return _weighed(found)


def _weighed(found: list[tuple[Score, float]]) -> list[Filling]:
    """Fillings of scores and the nats of what is given behind their gaps, the best first."""
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
    if isinstance(tokenizer, GridTokenizer):
        known: tuple[str, ...] = ("voice", "bars", "quarters")
    elif isinstance(tokenizer, RemiTokenizer):
        known = ("bars",)
    elif isinstance(tokenizer, TranslationTokenizer):
        known = ("file",)
    else:
        raise ConfigError(
            f"fill: music_grid makes a part anew, music_remi and music_tracks bars, and not {tokenizer.kind}",
            hint="Without fill, samples go on from the prompt.",
        )
    for name in options:
        if name not in known:
            raise ConfigError(
                f"fill.{name} is not known to {tokenizer.kind}{nearest(name, known)}",
                hint=f"Known: {', '.join(known)}.",
            )
    if len(options) != 1:
        raise ConfigError(f"fill: got {', '.join(options) or 'nothing'}, expected one of {', '.join(known)}")
    ((name, value),) = options.items()
    if isinstance(tokenizer, TranslationTokenizer):
        if value is not True:
            raise ConfigError(f"fill.file: got {value!r}, allowed: true")
        return _files_of(engine, tokenizer, score, n, drawing)
    if isinstance(tokenizer, RemiTokenizer):
        first, last = (int(end) for end in _two_numbers(name, value))
        found = fill_bars(engine, tokenizer, score, first, last, draws=n, **drawing)
        return [(made.score, made.nats) for made in found]
    if name == "voice":
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= tokenizer.config.voices:
            raise ConfigError(f"fill.voice: got {value!r}, allowed: 1 to {tokenizer.config.voices}")
        free = voice_free(tokenizer, score, value - 1)
    else:
        ends = _two_numbers(name, value)
        start, stop = ends if name == "quarters" else _quarters_of_bars(score, *(int(end) for end in ends))
        free = quarters_free(tokenizer, score, start, stop)
    return [(made.score, made.nats) for made in fill(engine, tokenizer, score, free, draws=n, **drawing)]


def _files_of(
    engine: Any, tokenizer: TranslationTokenizer, score: Score, n: int, drawing: Mapping[str, Any]
) -> list[tuple[Score, float]]:
    """Files that a model writes for a tune, and their own nats, the likeliest first."""
    question = tokenizer.question(tokenizer.encode(score))
    # A note is a letter of the tune at least, and up to 12 bytes: its two events and the longest waits before them.
    room = 128 + 12 * len(question)
    drawn = engine.sample([question], max_length=len(question) + room, draws=n, **drawing)
    found = []
    for sample in sorted(drawn, key=lambda sample: float(sample.nll)):
        sample.sequence.id = score.id
        try:
            made = tokenizer.decode(sample.sequence)
        except RecordError:  # a second mark
            continue
        if len(made.notes):
            found.append((made, float(sample.nll)))
    if not found:
        raise ConfigError(f"none of {n} draws is a file with a note", hint="Draw more, or with temperature=0.")
    return found


def _two_numbers(name: str, value: object) -> tuple[float, float]:
    """Raises ConfigError for anything else."""
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise ConfigError(f"fill.{name}: got {value!r}, expected two numbers: fill.{name}=[2,4]")
    return ends[0], ends[1]


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
