"""Figures of DNA: each takes arrays and an `ax` to draw on, and makes its own where none is given.

Bits per base, positions in bases. The look is core.report.gallery's; nothing here computes or reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from core.evaluation import MODEL, Metric
from core.report.gallery import BASELINE_COLOUR, DATA_COLOUR, GREY, MODEL_COLOUR, OTHER_COLOUR, new_axes, style
from core.report.log_axis import plain_log
from core.report.logo import draw_logo, information, name_positions
from domains.dna.tokenizer.letters import BASES

Values = NDArray[np.number] | Sequence[float]

COLOURS = {MODEL: MODEL_COLOUR, "test": DATA_COLOUR, "train": OTHER_COLOUR}
"""Every other name is a baseline's."""
BASE_COLOURS = {"A": DATA_COLOUR, "C": MODEL_COLOUR, "G": BASELINE_COLOUR, "T": "#d55e00"}
"""Green, blue, yellow and red, as sequencers' traces have them, in the tones that colour-blind readers tell apart."""


def colour(model: str) -> str:
    return COLOURS.get(model, BASELINE_COLOUR)


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def learning_curve(
    training: tuple[Values, Values],
    validation: tuple[Values, Values],
    *,
    references: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Bits per base over steps: (steps, values) of each training step and of each validation, baselines dashed."""
    ax = ax or new_axes()
    ax.plot(*training, color=GREY, alpha=0.5, linewidth=0.9, label="training")
    ax.plot(*validation, color=MODEL_COLOUR, marker="o", markersize=3.5, label="validation")
    for name, value in (references or {}).items():
        ax.axhline(value, color=BASELINE_COLOUR, linestyle="--", linewidth=1.3, label=words(name))
    ends = [v for v in (*np.asarray(validation[1]), *(references or {}).values()) if np.isfinite(v)]
    if ends:
        room = max(max(ends) - min(ends), 0.02)
        ax.set_ylim(min(ends) - 0.25 * room, max(ends) + 0.25 * room)
    ax.set(title="Learning curve", xlabel="step", ylabel="bits per base")
    ax.legend()
    return ax


@style()
def bits_per_base(rows: Sequence[Metric], *, ax: Axes | None = None) -> Axes:
    """A bar for each model with its 95 % interval, shortest first; the axis does not start at 0 and says so."""
    rows = sorted((r for r in rows if r.value is not None), key=lambda r: r.value or 0.0)
    ax = ax or new_axes(height=1.3 + 0.27 * len(rows))
    values = np.array([r.value for r in rows], float)
    ends = np.array([[_or(r.low, v), _or(r.high, v)] for r, v in zip(rows, values, strict=True)])
    left = values.min() - 0.35 * max(float(np.ptp(values)), 0.01)
    where = np.arange(len(rows))[::-1]
    ax.barh(where, values - left, left=left, height=0.68, color=[colour(r.model) for r in rows])
    ax.errorbar(values, where, xerr=np.abs(ends.T - values), fmt="none", ecolor="#2b3138", elinewidth=1.2, capsize=2.5)
    ax.set_yticks(where, [words(r.model) for r in rows])
    for value, end, y in zip(values, ends[:, 1], where, strict=True):
        ax.annotate(f"{value:.3f}", (end, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.margins(x=0.12)
    ax.set_xlim(left=left)
    ax.grid(False, axis="y")
    ax.set(title="Bits per base on the test part", xlabel=f"bits per base (axis starts at {left:.3g})")
    return ax


@style()
def per_position(
    positions: Values,
    curves: Mapping[str, Values],
    *,
    xlabel: str = "position in the test part (kb)",
    ax: Axes | None = None,
) -> Axes:
    """Bits per base along the sequence, one line a model."""
    ax = ax or new_axes(width=8.4, height=3.4)
    for model, values in curves.items():
        ax.plot(positions, values, color=colour(model), label=words(model), linewidth=1.5, alpha=0.9)
    ax.axhline(2, color=GREY, linewidth=0.9, linestyle=":")
    ax.set(title="Bits per base along the sequence", xlabel=xlabel, ylabel="bits per base")
    ax.margins(x=0.01)
    ax.legend(ncols=len(curves), loc="upper right", bbox_to_anchor=(1, 1.14), borderaxespad=0)
    return ax


@style()
def expected_bases(shares: NDArray[np.float64], text: str, *, name: str = "", ax: Axes | None = None) -> Axes:
    """A sequence logo of what the model expected at each base of a stretch, in bits; below, what stood there.

    Args:
        shares: (T, 4) of A, C, G and T at each position.
        text: (T,) the bases.
    """
    ax = ax or new_axes(width=9.0, height=2.4)
    draw_logo(ax, information(shares), BASES, BASE_COLOURS)
    name_positions(ax, text)
    ax.set(title=f"What the model expects along {name}" if name else "What the model expects", ylabel="bits (of 2)")
    return ax


@style()
def kmer_spectrum(
    test: Values,
    spectra: Mapping[str, Values],
    *,
    k: int,
    divergences: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Each k-mer's frequency in samples (or training pieces) against the test part; on the diagonal they agree."""
    ax = ax or new_axes(width=5.4, height=5.0)
    for model, frequencies in spectra.items():
        note = f", JS {divergences[model]:.4f} bits" if divergences and model in divergences else ""
        seen = (np.asarray(test) > 0) & (np.asarray(frequencies) > 0)
        ax.scatter(
            np.asarray(test)[seen], np.asarray(frequencies)[seen],
            s=6, alpha=0.35, linewidths=0, color=colour(model), label=words(model) + note, rasterized=True,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", title=f"{k}-mer spectrum", xlabel="frequency in the test part",
           ylabel="frequency in the sequences")  # fmt: skip
    ax.minorticks_off()
    low = min(ax.get_xlim()[0], ax.get_ylim()[0])
    high = max(ax.get_xlim()[1], ax.get_ylim()[1])
    ax.plot([low, high], [low, high], color="#2b3138", linewidth=0.9, zorder=0)
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    ax.legend(markerscale=2.5, loc="upper left")
    return ax


@style()
def gc_histogram(fractions: Mapping[str, Values], *, ax: Axes | None = None) -> Axes:
    """The GC fraction of single sequences: samples, test pieces of the same length, and others, as outlines."""
    ax = ax or new_axes()
    pooled = np.concatenate([np.asarray(v, float) for v in fractions.values()])
    low, high = float(pooled.min()), float(pooled.max())
    bins = np.linspace(low - 0.01, high + 0.01, 25)
    for model, values in fractions.items():
        counts, _ = np.histogram(np.asarray(values, float), bins)
        share = counts / max(1, counts.sum())
        ax.stairs(share, bins, color=colour(model), linewidth=2, label=words(model), alpha=0.95)
        ax.stairs(share, bins, color=colour(model), fill=True, alpha=0.1)
    ax.set(title="GC content of single sequences", xlabel="GC fraction", ylabel="share of sequences")
    ax.legend()
    return ax


@style()
def codon_positions(values: Mapping[str, Mapping[str, Metric]], *, ax: Axes | None = None) -> Axes:
    """Bits per base by place (codon position 1, 2, 3, noncoding), grouped bars with intervals, one colour a model."""
    ax = ax or new_axes()
    places = list(next(iter(values.values())))
    _grouped(ax, places, values)
    ax.set(title="Bits per base by codon position", ylabel="bits per base")
    return ax


@style()
def strand_asymmetry(forward: Values, reverse: Values, *, ax: Axes | None = None) -> Axes:
    """Each block read forwards against the same block read backwards on the other strand."""
    ax = ax or new_axes(width=5.0, height=4.6)
    ax.scatter(forward, reverse, s=14, alpha=0.6, linewidths=0, color=MODEL_COLOUR)
    both = np.concatenate([np.asarray(forward, float), np.asarray(reverse, float)])
    ends = [float(both.min()) - 0.02, float(both.max()) + 0.02]
    ax.plot(ends, ends, color="#2b3138", linewidth=0.9, zorder=0)
    ax.set(title="Two strands of one sequence", xlabel="forward (bits per base)",
           ylabel="reverse complement (bits per base)", xlim=ends, ylim=ends, aspect="equal")  # fmt: skip
    return ax


@style()
def longest_copies(lengths: Mapping[str, Values], *, ax: Axes | None = None) -> Axes:
    """How long the longest stretch copied from the training part is, one dot a sequence, the mean as a bar."""
    ax = ax or new_axes(height=1.2 + 0.6 * len(lengths))
    for row, (model, values) in enumerate(lengths.items()):
        found = np.asarray(values, float)
        # A fixed zigzag instead of random jitter: the same evaluation draws the same picture.
        spread = 0.22 * np.sin(2.4 * np.arange(len(found)))
        ax.scatter(found, row + spread, s=18, alpha=0.6, linewidths=0, color=colour(model))
        ax.plot([found.mean()] * 2, [row - 0.33, row + 0.33], color="#2b3138", linewidth=2)
    ax.set_yticks(range(len(lengths)), [words(model) for model in lengths])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    if max(float(np.max(v)) for v in lengths.values()) > 100:
        plain_log(ax)
    ax.set(title="Longest copy from the training part", xlabel="bases, either strand")
    return ax


def _grouped(ax: Axes, places: Sequence[str], values: Mapping[str, Mapping[str, Metric]]) -> None:
    """Grouped bars with intervals on an axis that starts below the lowest."""
    flat = [v for rows in values.values() for m in rows.values() for v in (m.value, m.low) if v is not None]
    floor = min(flat) - 0.3 * max(max(flat) - min(flat), 0.01)
    width = 0.8 / len(values)
    for i, (model, rows) in enumerate(values.items()):
        heights = np.array([_or_nan(rows[p].value) for p in places])
        ends = np.array([[_or(rows[p].low, h), _or(rows[p].high, h)] for p, h in zip(places, heights, strict=True)])
        where = np.arange(len(places)) + (i - (len(values) - 1) / 2) * width
        bars: dict[str, Any] = {"width": width * 0.92, "bottom": floor, "color": colour(model), "label": words(model)}
        ax.bar(where, heights - floor, **bars)
        ax.errorbar(where, heights, yerr=np.abs(ends.T - heights), fmt="none", ecolor="#2b3138", elinewidth=1.2)
    ax.set_xticks(range(len(places)), places)
    ax.grid(False, axis="x")
    ax.set_ylim(bottom=floor)
    ax.legend(ncols=len(values))


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
