"""The figure of translation: how many proteins come out without an error, by length."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from core.evaluation import MODEL
from core.report.gallery import BASELINE_COLOUR, MODEL_COLOUR, style
from domains.dna.figures import new_axes

_BINS = 8


@style()
def exact_by_length(
    exact: Mapping[str, NDArray[np.float64]], codons: NDArray[np.int64], *, ax: Axes | None = None
) -> Axes:
    """Share of genes read off without an error: per method (n,) 0 or 1, over (n,) codons in bins of equal width."""
    ax = ax or new_axes()
    edges = np.linspace(codons.min(), codons.max(), _BINS + 1)[:-1]  # most stretches are as long as they may be
    place = np.searchsorted(edges, codons, side="right")
    bins = np.unique(place)
    for name, found in exact.items():
        ax.plot(
            [codons[place == b].mean() for b in bins],
            [found[place == b].mean() for b in bins],
            color=MODEL_COLOUR if name == MODEL else BASELINE_COLOUR,
            marker="o",
            label=name.replace("_", " "),
        )
    ax.set(xlabel="codons", ylabel="share without an error", ylim=(-0.02, 1.02))
    ax.legend()
    return ax
