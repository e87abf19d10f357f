"""Figures of trace reconstruction: success by number of reads, errors along the strand, calibration of confidence.

Each takes numbers and an `ax` to draw on, and makes its own where none is given; nothing here reads files.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from core.evaluation import MODEL
from core.report.gallery import BASELINE_COLOUR, DATA_COLOUR, GREY, MODEL_COLOUR, OTHER_COLOUR, new_axes, style
from domains.dna.figures import words
from domains.dna.traces.distance import padded

COLOURS = {MODEL: MODEL_COLOUR, "poa": BASELINE_COLOUR, "majority": GREY}
_OTHERS = (OTHER_COLOUR, DATA_COLOUR)
_Z = 1.96
_LEAST = 30
"""Bases that a bin of the calibration needs: below, its share is noise."""


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which is no point even where all or none are right."""
    centre = (right + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * float(np.sqrt(right * (n - right) / n + _Z**2 / 4))
    return max(0.0, centre - half), min(1.0, centre + half)


def error_profile(strands: Many[str], truths: Many[str]) -> NDArray[np.float64]:
    """(L,) share of strands that have another base than the truth at a place, or none."""
    truth = padded(truths)
    found = np.zeros_like(truth)
    table = padded(strands)[:, : truth.shape[1]]
    found[:, : table.shape[1]] = table
    return np.asarray((found != truth).mean(0))


@style()
def success_by_reads(
    right: Mapping[str, Mapping[int, int]], counts: Mapping[int, int], *, ax: Axes | None = None
) -> Axes:
    """Share of strands without an error: per method and number of reads how many, of `counts` by number of reads."""
    ax = ax or new_axes()
    reads = np.array(sorted(counts))
    for k, (name, found) in enumerate(right.items()):
        share = np.array([found[n] / counts[n] for n in reads])
        ends = np.array([wilson(found[n], counts[n]) for n in reads])
        colour = COLOURS.get(name, _OTHERS[k % len(_OTHERS)])
        shift = 0.04 * (k - (len(right) - 1) / 2)  # intervals side by side
        ax.errorbar(
            reads + shift,
            share,
            yerr=np.abs(ends.T - share),
            color=colour,
            marker="o",
            markersize=4,
            capsize=2.5,
            label=words(name),
        )
    ax.set_xticks(reads)
    ax.set_ylim(bottom=0)
    ax.set(title="Strands without an error", xlabel="reads of the cluster", ylabel="share of clusters")
    ax.legend()
    return ax


@style()
def errors_by_position(profiles: Mapping[str, NDArray[np.float64]], *, ax: Axes | None = None) -> Axes:
    """Share of wrong bases (L,) at each place, a line for each method."""
    ax = ax or new_axes()
    for k, (name, share) in enumerate(profiles.items()):
        colour = COLOURS.get(name, _OTHERS[k % len(_OTHERS)])
        ax.plot(np.arange(1, len(share) + 1), share, color=colour, label=words(name))
    ax.axhline(0.75, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    ax.set_ylim(bottom=0)
    ax.set(title="Errors along the strand", xlabel="base of the strand", ylabel="share of wrong bases")
    ax.legend()
    return ax


@style()
def calibration(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = 15, ax: Axes | None = None
) -> Axes:
    """How often bases (n,) are right against the probability they were given, in bins of it; sizes as grey bars."""
    ax = ax or new_axes(height=4.2)
    edges = np.linspace(0.25, 1, bins + 1)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, bins - 1)
    sizes = np.bincount(place, minlength=bins)
    chosen = np.flatnonzero(sizes >= _LEAST)
    mean = np.array([confidence[place == b].mean() for b in chosen])
    hits = [int(right[place == b].sum()) for b in chosen]
    share = np.array([h / sizes[b] for h, b in zip(hits, chosen, strict=True)])
    ends = np.array([wilson(h, int(sizes[b])) for h, b in zip(hits, chosen, strict=True)]).reshape(-1, 2)
    centres = (edges[:-1] + edges[1:]) / 2
    ax.bar(centres, sizes / max(1, sizes.sum()), width=np.diff(edges), color="#e6e8ea", label="share of bases")
    ax.plot([0.25, 1], [0.25, 1], color=GREY, linestyle=":", linewidth=1.2, label="calibrated")
    ax.errorbar(
        mean,
        share,
        yerr=np.abs(ends.T - share),
        color=MODEL_COLOUR,
        marker="o",
        markersize=4,
        capsize=2.5,
        label=words(MODEL),
    )
    ax.set(title="Confidence of a base", xlabel="probability given by the model", ylabel="share that is right")
    ax.legend(loc="upper left")
    return ax
