"""Figures of music: each takes arrays or scores and an `ax` to draw on, and makes its own where none is given.

Time in quarter notes, pitch as MIDI numbers with names at the Cs. The look is core.report.gallery's; nothing here
computes or reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.evaluation import MODEL, Metric
from core.report.gallery import (
    BASELINE_COLOUR,
    DATA_COLOUR,
    GREY,
    MODEL_COLOUR,
    OTHER_COLOUR,
    figure_of,
    new_axes,
    panels,
    style,
)
from domains.formats.score import DRUM, DURATION, ONSET, PITCH, TRACK, Score

Values = NDArray[np.float64]

COLOURS = {MODEL: MODEL_COLOUR, "test": DATA_COLOUR, "train": OTHER_COLOUR, "xz": GREY}
"""Every other name is a baseline's."""
VOICE_COLOURS = (MODEL_COLOUR, BASELINE_COLOUR, DATA_COLOUR, OTHER_COLOUR)
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def colour(model: str) -> str:
    return COLOURS.get(model, BASELINE_COLOUR)


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def piano_roll(score: Score, title: str, *, quarters: float = 32, ax: Axes | None = None) -> Axes:
    """The first `quarters` of a score: a bar for each note, coloured by track; drums are left out."""
    ax = ax or new_axes(width=7.2, height=2.6)
    notes = score.notes[(score.notes[:, DRUM] == 0) & (score.notes[:, ONSET] < quarters * score.tpq)]
    for track in np.unique(notes[:, TRACK]):
        mine = notes[notes[:, TRACK] == track]
        shade = VOICE_COLOURS[int(track) % len(VOICE_COLOURS)]
        spans = mine[:, [ONSET, DURATION]] / score.tpq
        for (onset, length), pitch in zip(spans.tolist(), mine[:, PITCH].tolist(), strict=True):
            ax.broken_barh([(onset, max(0.06, length - 0.06))], (pitch - 0.42, 0.84), color=shade, linewidth=0)
    low, high = (int(notes[:, PITCH].min()), int(notes[:, PITCH].max())) if len(notes) else (59, 61)
    octaves = [p for p in range(0, 128, 12) if low - 4 <= p <= high + 4]
    ax.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves], fontsize=8)
    ax.set_ylim(low - 3, high + 3)
    ax.set_xlim(0, quarters)
    ax.set_xticks(np.arange(0, quarters + 1, 4))
    ax.set_title(title, fontsize=9)
    return ax


@style()
def piano_rolls(
    left: Sequence[tuple[str, Score]], right: Sequence[tuple[str, Score]], *, quarters: float = 32,
    axes: Sequence[Axes] | None = None,
) -> Figure:  # fmt: skip
    """Real pieces on the left, samples on the right, under one axis of pitch; `axes` two a row."""
    rows = max(1, min(len(left), len(right)))
    size = (9.6, 1.9 * rows + 0.5)
    listed = panels(axes, 2 * rows, rows=rows, columns=2, size=size, sharex=True, sharey=True)
    grid = [listed[i : i + 2] for i in range(0, len(listed), 2)]
    for row in range(rows):
        for column, side in enumerate((left, right)):
            if row < len(side):
                piano_roll(side[row][1], side[row][0], quarters=quarters, ax=grid[row][column])
    bounds = [ax.get_ylim() for ax in listed]
    shown = [s.notes[s.notes[:, DRUM] == 0] for side in (left, right) for _, s in side[:rows]]
    pitches = np.concatenate([notes[:, PITCH] for notes in shown]) if shown else np.array([60])
    if len(pitches):
        bounds = [(float(pitches.min()) - 3, float(pitches.max()) + 3)]
        octaves = [p for p in range(0, 128, 12) if bounds[0][0] <= p <= bounds[0][1]]
        grid[0][0].set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves], fontsize=8)
    for ax in listed:
        ax.set_ylim(*bounds[0])
    for ax in grid[-1]:
        ax.set_xlabel("quarter notes")
    return figure_of(listed[0])


@style()
def shares(parts: Mapping[str, Values], names: Sequence[str], title: str, *, ax: Axes | None = None) -> Axes:
    """Bars side by side: the share of each kind in each source."""
    ax = ax or new_axes(width=7.2, height=3.2)
    width = 0.8 / max(1, len(parts))
    places = np.arange(len(names))
    for number, (source, counts) in enumerate(parts.items()):
        offset = (number - (len(parts) - 1) / 2) * width
        ax.bar(places + offset, counts / max(1.0, counts.sum()), width, color=colour(source), label=words(source))
    ax.set_xticks(places, names, fontsize=8)
    ax.grid(False, axis="x")
    ax.legend(fontsize=8)
    ax.set(title=title, ylabel="share of notes")
    return ax


@style()
def by_order(rows: Sequence[Metric], *, name: str, ax: Axes | None = None) -> Axes:
    """A line over the orders of each kind of n-gram, and the model's value across it with its interval."""
    ax = ax or new_axes(width=6.4, height=3.6)
    kinds: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row.model.startswith("order_") and row.value is not None:
            order, _, keys = row.model.removeprefix("order_").partition("_")
            kinds.setdefault(words(keys), []).append((int(order), row.value))
    for number, (keys, found) in enumerate(kinds.items()):
        orders, values = zip(*sorted(found), strict=True)
        label = "n-grams" + (f", {keys}" if keys else "")
        ax.plot(orders, values, "o-", color=(BASELINE_COLOUR, OTHER_COLOUR)[number % 2], markersize=4, label=label)
    for row in rows:
        if row.model == MODEL and row.value is not None:
            ax.axhline(row.value, color=MODEL_COLOUR, label=f"foretell {row.value:.3f}")
            if row.low is not None and row.high is not None:
                ax.axhspan(row.low, row.high, color=MODEL_COLOUR, alpha=0.15, linewidth=0)
        elif row.model == "xz" and row.value is not None:
            ax.axhline(row.value, color=GREY, linestyle="--", label=f"xz, given the training part {row.value:.3f}")
    ax.legend(fontsize=8)
    ax.set(title=words(name), xlabel="order: tokens of context", ylabel=words(name))
    return ax
