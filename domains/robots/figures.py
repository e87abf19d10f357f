"""Figures of robots: each takes arrays and an `ax` to draw on, and makes its own where none is given.

The look is core.report.gallery's; nothing here computes scores or reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.evaluation import MODEL
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

Values = NDArray[np.float64]
COLOURS = {
    MODEL: MODEL_COLOUR,
    "expert": DATA_COLOUR,
    "behaviour_cloning": BASELINE_COLOUR,
    "nearest_neighbour": OTHER_COLOUR,
    "random": "#d55e00",
}
"""Okabe and Ito's colours; every other name is grey."""
PANELS = 8
"""Columns that are drawn at most; more would be too small to read."""
FEW = 8
"""Different values up to which a histogram has no bins but bars."""


def colour(model: str) -> str:
    return COLOURS.get(model, GREY)


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def traces(truth: Values, predicted: Values, names: Sequence[str], *, axes: Sequence[Axes] | None = None) -> Figure:
    """Recorded columns and what was predicted a step ahead, a panel each, at most PANELS.

    Args:
        truth, predicted: (T, C); NaN where there is nothing.
        names: of the C columns.
        axes: one a column that is shown.
    """
    shown = min(PANELS, len(names))
    below = panels(axes, shown, rows=shown, size=(8.0, 1.15 * shown + 0.7), sharex=True)
    steps = np.arange(len(truth))
    for column, ax in enumerate(below):
        ax.plot(steps, truth[:, column], color=DATA_COLOUR, linewidth=1.6, label="recorded")
        ax.plot(steps, predicted[:, column], color=MODEL_COLOUR, linewidth=0.9, label="predicted")
        ax.set_ylabel(names[column], rotation=0, ha="right", va="center")
    below[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)
    below[-1].set_xlabel("steps")
    return figure_of(below[0])


@style()
def returns(by_model: Mapping[str, Sequence[float]], *, ax: Axes | None = None, label: str = "return") -> Axes:
    """A histogram of the model's episodes, with a line at the mean of every other policy."""
    ax = new_axes() if ax is None else ax
    mine = np.asarray(by_model[MODEL], float)
    every = np.concatenate([np.asarray(v, float) for v in by_model.values()])
    low, high = float(every.min()), float(every.max())
    room = 0.05 * (high - low) or 1.0
    edges = np.linspace(low - room, high + room, 31)
    ax.hist(mine, bins=edges.tolist(), color=colour(MODEL), alpha=0.85, label=f"foretell, mean {mine.mean():.3g}")
    for model, values in by_model.items():
        if model != MODEL:
            mean = float(np.mean(values))
            line = "-" if model in ("expert", "random") else "--"
            ax.axvline(mean, color=colour(model), linestyle=line, label=f"{words(model)} {mean:.3g}")
    ax.set_xlabel(label)
    ax.set_ylabel("episodes")
    ax.legend(fontsize=8)
    return ax


@style()
def successes(by_model: Mapping[str, Mapping[str, float]], *, ax: Axes | None = None) -> Axes:
    """Bars of success by task: the model, and a dot for every other policy.

    Args:
        by_model: per model a share from 0 to 1 by task.
    """
    tasks = list(by_model[MODEL])
    ax = new_axes(7.0, 0.34 * len(tasks) + 1.2) if ax is None else ax
    places = np.arange(len(tasks))[::-1]
    ax.barh(places, [by_model[MODEL][t] for t in tasks], color=colour(MODEL), alpha=0.85, label="foretell")
    for model, shares in by_model.items():
        if model != MODEL:
            ax.plot([shares[t] for t in tasks], places, "o", color=colour(model), markersize=5, label=words(model))
    ax.set_yticks(places, tasks)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("share of episodes that succeed")
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
