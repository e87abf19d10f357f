"""What a fine-tuned model said of records whose label is known: a number beside the measured one, a class as a matrix.

Arrays in, a figure out, on axes of its own or given ones. Knows no run and no file; the look is the gallery's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from core.report.gallery import GREY, MODEL_COLOUR, figure_of, panels, style

Values = NDArray[np.float64]
_INK = "#2b3138"
_SHADES = LinearSegmentedColormap.from_list("shares", ["#ffffff", MODEL_COLOUR])
_NUMBERED = 12
"""Up to so many classes the number of records stands in each cell."""
_NAMED = 40
"""Up to so many classes each has its name at the axes."""


@dataclass(frozen=True)
class Numbers:
    """A label that is a number, of N records."""

    name: str
    measured: Values
    """(N,) in the label's own unit, as all others here."""
    predicted: Values
    low: Values
    """(N,) lower end of the model's interval."""
    high: Values

    @property
    def inside(self) -> float:
        """The share of records whose measured value lies within the interval."""
        return float(np.mean((self.low <= self.measured) & (self.measured <= self.high)))


@dataclass(frozen=True)
class Classes:
    """A label that is a class, of N records."""

    name: str
    classes: tuple[str, ...]
    measured: NDArray[np.int64]
    """(N,) index of the class that holds."""
    likeliest: NDArray[np.int64]
    """(N,) index of the class that the model finds likeliest."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C, C) records by measured class and by likeliest."""
        size = len(self.classes)
        return np.bincount(self.measured * size + self.likeliest, minlength=size * size).reshape(size, size)

    @property
    def right(self) -> float:
        """The share of records whose likeliest class is the measured one."""
        return float(np.mean(self.measured == self.likeliest))


@style()
def predicted_figure(labels: Sequence[Numbers | Classes], *, axes: Sequence[Axes] | None = None) -> Figure:
    """A panel for each label, two a row; each of one record at least.

    Raises ConfigError where as many axes as labels were not given.
    """
    n = len(labels)
    most = max(len(label.classes) if isinstance(label, Classes) else 0 for label in labels)
    side = max(4.4, 2.2 + 0.42 * min(most, _NAMED))
    rows, columns = -(-n // 2), min(n, 2)
    drawn = panels(axes, n, rows=rows, columns=columns, size=(side * columns + 0.6, side * rows))
    for label, ax in zip(labels, drawn, strict=True):
        numbers(label, ax) if isinstance(label, Numbers) else confusion(label, ax)
    return figure_of(drawn[0])


def numbers(label: Numbers, ax: Axes) -> Axes:
    """Measured against predicted: a dot and its interval for each record; on the diagonal they agree."""
    faint = float(np.clip(40 / max(1, len(label.measured)), 0.08, 0.5))
    ax.vlines(label.measured, label.low, label.high, color=MODEL_COLOUR, linewidth=1.4, alpha=faint)
    ax.scatter(label.measured, label.predicted, s=16, color=MODEL_COLOUR, alpha=min(0.9, 2 * faint + 0.2), linewidths=0)
    ends = np.concatenate([label.measured, label.predicted, label.low, label.high])
    low, high = float(ends.min()), float(ends.max())
    margin = 0.04 * (high - low) or 1.0
    ax.plot([low, high], [low, high], color=_INK, linewidth=0.9, zorder=0)
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    ax.locator_params(nbins=6)
    ax.set(title=label.name, xlabel="measured", ylabel="predicted")
    return ax


def confusion(label: Classes, ax: Axes) -> Axes:
    """Rows are measured classes, columns the likeliest; a cell is shaded by its share of the row."""
    counts, size = label.counts, len(label.classes)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    ax.imshow(shares, cmap=_SHADES, vmin=0, vmax=1)
    if size <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if shares[row, column] > 0.55 else _INK if count else GREY
            ax.annotate(f"{count:,}", (column, row), ha="center", va="center", color=ink, fontsize=9)
    if size <= _NAMED:
        ax.set_xticks(range(size), label.classes, rotation=35, ha="right", rotation_mode="anchor", fontsize=8.5)
        ax.set_yticks(range(size), label.classes, fontsize=8.5)
    ax.grid(False)
    ax.set(title=label.name, xlabel="likeliest class", ylabel="measured class")
    return ax
