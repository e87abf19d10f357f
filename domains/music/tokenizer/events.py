"""A score on the grid of `music_remi` and `music_tracks`: what is kept of it, as whole numbers.

Times are steps of a quarter note, bars follow from the metres. Onsets move by at most half a step; lengths, velocities
and tempi to the nearest value of their tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import RecordError
from domains.formats.score import (
    DRUM,
    DURATION,
    ONSET,
    PITCH,
    PROGRAM,
    TEMPO_USUAL,
    VELOCITY,
    Score,
    in_order,
)

Whole = NDArray[np.int64]

DRUMS = 128
"""The program that stands for drums."""
METRES = tuple((n, d) for d in (2, 4, 8, 16) for n in range(1, 16) if 4 * n <= 12 * d)
"""Metres of up to 12 quarters a bar."""
MAX_QUARTERS = 12
VELOCITY_WIDTH = 8
"""A bin of velocities; its value is its middle, so at most 4 off: just noticeable is about 5 (of 127)."""
VELOCITIES = 128 // VELOCITY_WIDTH
_SLOWEST, _FASTEST, _TEMPI = 30.0, 300.0, 32
TEMPOS: Whole = np.rint(60e6 / np.geomspace(_SLOWEST, _FASTEST, _TEMPI)).astype(np.int64)
"""Microseconds a quarter, from slow to fast: 7.7 % apart, so at most 3.8 % off between 30 and 300 a minute."""
MAX_BARS = 100_000


def lengths_for(steps: int) -> Whole:
    """Note lengths in steps: every step up to a half note, then by an eighth of itself to twelve quarters."""
    found = list(range(1, 2 * steps + 1))
    while found[-1] < MAX_QUARTERS * steps:
        found.append(found[-1] + max(1, found[-1] // 8))
    return np.array(found, np.int64)


@dataclass(frozen=True)
class Events:
    """Notes by time, program, pitch, each of these at most once; tempi and metres at the bars where they change."""

    onset: Whole
    """(N,) steps."""
    program: Whole
    """(N,) 0 to 127, DRUMS for drums."""
    pitch: Whole
    velocity: Whole
    """(N,) bin."""
    length: Whole
    """(N,) index into the lengths."""
    tempo_at: Whole
    """(K,) steps; the first is 0."""
    tempo: Whole
    """(K,) index into TEMPOS."""
    metre_bar: Whole
    """(M,) bar from which on a metre holds; the first is 0."""
    metre: Whole
    """(M,) index into METRES."""


def bar_steps(metre: Whole, steps: int) -> Whole:
    """Steps of a bar of each metre."""
    table = np.array([4 * n * steps // d for n, d in METRES], np.int64)
    return table[metre]


def bars_of(events: Events, at: Whole, steps: int) -> tuple[Whole, Whole]:
    """The bar, and the step inside it, of times (n,) in steps."""
    sizes = bar_steps(events.metre, steps)
    starts = np.concatenate([[0], np.cumsum(np.diff(events.metre_bar) * sizes[:-1])])
    which = np.searchsorted(starts, at, "right") - 1
    inside = at - starts[which]
    return events.metre_bar[which] + inside // sizes[which], inside % sizes[which]


def starts_of(events: Events, bars: Whole, steps: int) -> Whole:
    """Where bars (n,) begin, in steps."""
    sizes = bar_steps(events.metre, steps)
    starts = np.concatenate([[0], np.cumsum(np.diff(events.metre_bar) * sizes[:-1])])
    which = np.searchsorted(events.metre_bar, bars, "right") - 1
    found: Whole = starts[which] + (bars - events.metre_bar[which]) * sizes[which]
    return found


def events_of(score: Score, steps: int) -> Events:
    """What is kept of a score. Raises RecordError: no_notes, unsupported_metre, too_long."""
    notes = score.notes
    if not len(notes):
        raise RecordError("no_notes", f"'{score.id}' has no notes", record=score.id)
    tpq = score.tpq
    onset = _nearest(notes[:, ONSET], steps, tpq)
    stop = _nearest(notes[:, ONSET] + notes[:, DURATION], steps, tpq)
    lengths = lengths_for(steps)
    length = nearest_index(lengths, np.maximum(1, stop - onset))
    program = np.where(notes[:, DRUM] == 1, DRUMS, notes[:, PROGRAM])
    velocity = np.clip(notes[:, VELOCITY], 0, 127) // VELOCITY_WIDTH
    metre_bar, metre = _metres(score, steps)
    blank = np.zeros(0, np.int64)
    plain = Events(blank, blank, blank, blank, blank, blank, blank, metre_bar, metre)
    last_bar = int(bars_of(plain, onset.max(keepdims=True), steps)[0][0])
    if last_bar > MAX_BARS:
        raise RecordError(
            "too_long", f"'{score.id}' has {last_bar:,} bars, expected up to {MAX_BARS:,}", record=score.id
        )
    kept = metre_bar <= last_bar
    tempo_at, tempo = _tempi(score, steps, int(onset.max()))
    return settled(
        Events(onset, program, notes[:, PITCH], velocity, length, tempo_at, tempo, metre_bar[kept], metre[kept])
    )


def settled(events: Events) -> Events:
    """Notes in order; of notes of one time, program and pitch the longest, then loudest."""
    order = np.lexsort((-events.velocity, -events.length, events.pitch, events.program, events.onset))
    onset, program, pitch = events.onset[order], events.program[order], events.pitch[order]
    first = np.append(True, (np.diff(onset) != 0) | (np.diff(program) != 0) | (np.diff(pitch) != 0))[: len(onset)]
    order = order[first]
    return Events(
        events.onset[order],
        events.program[order],
        events.pitch[order],
        events.velocity[order],
        events.length[order],
        events.tempo_at,
        events.tempo,
        events.metre_bar,
        events.metre,
    )


def score_of_events(events: Events, name: str, steps: int) -> Score:
    """The Score that events stand for, in ticks of a step; a track for each program."""
    programs = np.unique(events.program)
    drum = events.program == DRUMS
    notes = np.stack(
        [
            events.onset,
            lengths_for(steps)[events.length],
            events.pitch,
            events.velocity * VELOCITY_WIDTH + VELOCITY_WIDTH // 2,
            np.where(drum, 0, events.program),
            np.searchsorted(programs, events.program),
            drum,
        ],
        axis=1,
    )
    metres = np.array([METRES[m] for m in events.metre.tolist()], np.int64).reshape(-1, 2)
    return Score(
        name,
        steps,
        in_order(notes),
        np.stack([events.tempo_at, TEMPOS[events.tempo]], axis=1),
        np.concatenate([starts_of(events, events.metre_bar, steps)[:, None], metres], axis=1),
        tracks=tuple("drums" if p == DRUMS else f"program {p}" for p in programs.tolist()),
    )


def nearest_index(table: Whole, values: Whole) -> Whole:
    """Index of the nearest entry of a rising table, the lower one of two that are as near."""
    upper = np.clip(np.searchsorted(table, values), 1, len(table) - 1)
    lower = upper - 1
    return np.where(values - table[lower] <= table[upper] - values, lower, upper)


def _nearest(ticks: Whole, steps: int, tpq: int) -> Whole:
    return (2 * ticks * steps + tpq) // (2 * tpq)


def _metres(score: Score, steps: int) -> tuple[Whole, Whole]:
    """Bars at which the metre changes, and the metres; a change inside a bar holds from the next one."""
    index = {metre: i for i, metre in enumerate(METRES)}
    found = [(0, 0, index[4, 4])]  # bar, its start in steps, metre
    for tick, n, d in score.metres.tolist():
        if (n, d) not in index:
            raise RecordError(
                "unsupported_metre",
                f"'{score.id}', quarter {tick / score.tpq:g}: the metre {n}/{d} is none of those up to "
                f"{MAX_QUARTERS} quarters over 2, 4, 8 or 16",
                record=score.id,
            )
        bar, start, metre = found[-1]
        size = 4 * METRES[metre][0] * steps // METRES[metre][1]
        at = int(_nearest(np.array([tick]), steps, score.tpq)[0])
        passed = max(0, -(-(at - start) // size))
        if passed == 0:
            found.pop()
        found.append((bar + passed, start + passed * size, index[n, d]))
    kept = [row for i, row in enumerate(found) if i == 0 or row[2] != found[i - 1][2]]
    return np.array([row[0] for row in kept], np.int64), np.array([row[2] for row in kept], np.int64)


def _tempi(score: Score, steps: int, last: int) -> tuple[Whole, Whole]:
    """Steps at which the tempo changes, up to the last onset, and the tempi; the last of those at one step counts."""
    rows = score.tempos if len(score.tempos) else np.array([[0, TEMPO_USUAL]])
    at = _nearest(rows[:, 0], steps, score.tpq)
    # Log distance: a tempo is heard as a ratio. TEMPOS falls from slow to fast, so its negative logarithm rises.
    logs = -np.log(TEMPOS)
    values = -np.log(np.maximum(1, rows[:, 1]))
    upper = np.clip(np.searchsorted(logs, values), 1, len(logs) - 1)
    tempo = np.where(values - logs[upper - 1] <= logs[upper] - values, upper - 1, upper)
    if at[0] > 0:
        usual = int(np.abs(TEMPOS - TEMPO_USUAL).argmin())
        at, tempo = np.append(0, at), np.append(usual, tempo)
    final = np.append(np.diff(at) > 0, True) & (at <= last)
    at, tempo = at[final], tempo[final]
    changed = np.append(True, np.diff(tempo) != 0)[: len(at)]
    return at[changed], tempo[changed]
