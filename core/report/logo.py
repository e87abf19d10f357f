"""Sequence logos: letters as high as they count, stacked position by position (Schneider and Stephens 1990).

Heights are given; `information` makes them from probabilities. Letters are drawn as outlines, so that they stay letters
at any size of the picture. Knows no alphabet: who draws says which letters and colours there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]
LEAST = 0.004
"""Letters lower than so many of the axis' heights are left out: they would be hairlines."""
_WIDTH = 0.92


def information(probabilities: Values) -> Values:
    """(T, A) shares of each letter -> (T, A) bits: each letter's part of log2 A less the entropy of its position."""
    p = np.clip(probabilities, 1e-12, 1.0)
    entropy = -(p * np.log2(p)).sum(axis=1)
    found: Values = probabilities * np.maximum(0.0, np.log2(p.shape[1]) - entropy)[:, None]
    return found


def draw_logo(ax: Axes, heights: Values, letters: str, colours: Mapping[str, str], *, top: float | None = None) -> None:
    """Stacks letters at positions 1 to T, the highest on top.

    Args:
        heights: (T, A) of each letter, none of them negative.
        letters: A of them.
        colours: by letter; others are grey.
        top: where the axis ends; None: a tenth above the highest stack.
    """
    from matplotlib.collections import PolyCollection

    from core.report.gallery import GREY

    limit = top or 1.1 * max(float(heights.sum(axis=1).max(initial=0.0)), 1e-9)
    outlines = {letter: _outline(letter) for letter in letters}
    shapes, faces = [], []
    for position, column in enumerate(heights, start=1):
        bottom = 0.0
        for i in np.argsort(column, kind="stable"):
            height, letter = float(column[i]), letters[i]
            if height > LEAST * limit:
                shapes.append(outlines[letter] * (_WIDTH, height) + (position - _WIDTH / 2, bottom))
                faces.append(colours.get(letter, GREY))
            bottom += height
    ax.add_collection(PolyCollection(shapes, facecolors=faces, linewidths=0))
    ax.set(xlim=(0.4, len(heights) + 0.6), ylim=(0, limit))


def name_positions(ax: Axes, text: Sequence[str]) -> None:
    """Writes the letter that really stood at each position below the axis."""
    ax.set_xticks(range(1, len(text) + 1), list(text), fontsize=max(4.5, min(9.0, 480 / len(text))))
    ax.grid(False, axis="x")


def _outline(letter: str) -> Values:
    """(P, 2) a letter's outline in the unit square; its holes are joined to it by lines of no width."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    parts = [np.asarray(part, np.float64) for part in path.to_polygons(closed_only=True)]
    whole = np.concatenate([parts[0], *(np.concatenate([hole, parts[0][-1:]]) for hole in parts[1:])])
    low, high = whole.min(axis=0), whole.max(axis=0)
    # an I without serifs would fill its place as a bar
    width = max(high[0] - low[0], 0.4 * (high[1] - low[1]))
    middle = np.array([(low[0] + high[0] - width) / 2, low[1]])
    found: Values = (whole - middle) / (width, high[1] - low[1])
    return found
