"""The figure of translation: how many proteins come out without an error, by length."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from core.evaluation import MODEL
from core.report.gallery import BASELINE_COLOUR, MODEL_COLOUR, new_axes, style
from domains.dna.traces.figures import wilson

_BINS = 8
_LEAST = 20
"""Genes of a point; of fewer a share says little. Shorter ones are joined by the next longer."""


def by_length(codons: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) bin of each gene, 0 the shortest: like lengths together, at least `_LEAST` genes or all that there are."""
    bins = np.zeros(len(codons), np.int64)
    wanted = max(_LEAST, len(codons) // _BINS)
    lengths, sizes = np.unique(codons, return_counts=True)
    number, taken, left = 0, 0, len(codons)
    for i, (length, size) in enumerate(zip(lengths.tolist(), sizes.tolist(), strict=True)):
        bins[codons == length] = number
        taken, left = taken + size, left - size
        following = int(sizes[i + 1]) if i + 1 < len(sizes) else 0
        if left >= _LEAST and (taken >= wanted or (taken >= _LEAST and following >= wanted)):
            number, taken = number + 1, 0
    return bins


@style()
def exact_by_length(
    exact: Mapping[str, NDArray[np.float64]], codons: NDArray[np.int64], *, ax: Axes | None = None
) -> Axes:
    """Share of genes read off without an error: per method (n,) 0 or 1, over (n,) codons; bars are Wilson 95 %."""
    ax = ax or new_axes()
    bins = by_length(codons)
    points = np.unique(bins)
    for name, found in exact.items():
        sizes = [int((bins == b).sum()) for b in points]
        right = [int(found[bins == b].sum()) for b in points]
        share = np.array(right) / sizes
        ends = np.array([wilson(r, n) for r, n in zip(right, sizes, strict=True)])
        ax.errorbar(
            [codons[bins == b].mean() for b in points],
            share,
            yerr=np.abs(ends.T - share),
            color=MODEL_COLOUR if name == MODEL else BASELINE_COLOUR,
            marker="o",
            capsize=2.5,
            label=name.replace("_", " "),
        )
    ax.set(xlabel="codons", ylabel="share without an error", xlim=(0, codons.max() + 1), ylim=(-0.02, 1.02))
    ax.legend(loc="lower left")
    return ax
