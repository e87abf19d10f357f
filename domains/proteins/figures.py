"""Figures of proteins: each takes arrays and an `ax` to draw on, and makes its own where none is given.

Bits per residue, lengths in residues. The look is core.report.gallery's; nothing here computes or reads files.
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
from core.report.log_axis import plain_log
from core.report.logo import draw_logo, information, name_positions

Values = NDArray[np.number] | Sequence[float]

COLOURS = {
    MODEL: MODEL_COLOUR,
    "test": DATA_COLOUR,
    "train": OTHER_COLOUR,
    "site_independent": DATA_COLOUR,
    "residue_frequency": OTHER_COLOUR,
    "additive_ridge (fitted)": GREY,
}
"""Every other name is a baseline's."""
UNIFORM = float(np.log2(20))
NEAR_CHANCE = 0.1
"""Below this share of what certainty is worth, a logo says that nothing is certain."""
BY_CHEMISTRY = "AVLIMCFWYHKRDENQSTGP"
"""Residues side by side that replace each other: aliphatic, aromatic, charged, polar, special."""
_CHEMISTRY = {
    "AVLIMC": GREY,
    "FWYH": DATA_COLOUR,
    "KR": MODEL_COLOUR,
    "DE": "#d55e00",
    "NQST": OTHER_COLOUR,
    "GP": BASELINE_COLOUR,
}
RESIDUE_COLOURS = {letter: colour for letters, colour in _CHEMISTRY.items() for letter in letters}
"""Aliphatic grey, aromatic green, basic blue, acidic red, polar pink, glycine and proline yellow."""
_INK = "#2b3138"


def colour(model: str) -> str:
    return COLOURS.get(model, BASELINE_COLOUR)


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def bits_per_residue(parts: Mapping[str, Sequence[Metric]], *, ax: Axes | None = None) -> Axes:
    """A dot with its 95 % interval for each model, a row of them for each part of the test set."""
    models = list(dict.fromkeys(row.model for rows in parts.values() for row in rows))
    ax = ax or new_axes(width=7.2, height=1.2 + 0.24 * len(models) * len(parts))
    ticks, names, at = [], [], 0.0
    for part, rows in parts.items():
        ordered = sorted((r for r in rows if r.value is not None), key=lambda r: r.value or 0.0)
        for row in ordered:
            value = row.value or 0.0
            low, high = (value if end is None else end for end in (row.low, row.high))
            ax.plot([low, high], [at, at], color=colour(row.model), linewidth=2.4, alpha=0.55, solid_capstyle="round")
            ax.plot([value], [at], "o", color=colour(row.model), markersize=6.5)
            ax.annotate(f"{value:.3f}", (high, at), (6, 0), textcoords="offset points", va="center", fontsize=8)
            ticks.append(at)
            names.append(words(row.model))
            at += 1
        ax.annotate(part, (0, at - len(ordered) - 0.72), (2, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", fontsize=8.5, color=_INK, fontweight="bold", va="center")  # fmt: skip
        at += 1
    ax.set_yticks(ticks, names, fontsize=8.5)
    ax.set_ylim(at - 1.3, -1.3)
    ax.grid(False, axis="y")
    ax.margins(x=0.14)
    ax.set(title="Bits per residue", xlabel=f"bits per residue (uniform: {UNIFORM:.3f})")
    return ax


@style()
def bits_by_length(
    lengths: Values, bits: Values, known: NDArray[np.bool_], medians: Mapping[str, tuple[Values, Values]],
    *, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Bits per residue of each protein against its length; lines are running medians, (lengths, bits) by model.

    Args:
        known: (N,) whether training shares a protein's 8-mers: drawn as rings.
    """
    ax = ax or new_axes(width=8.4, height=4.2)
    x, y = np.asarray(lengths), np.asarray(bits)
    ax.scatter(x[~known], y[~known], s=11, alpha=0.35, linewidths=0, color=MODEL_COLOUR, label="a protein, honest")
    if known.any():
        ax.scatter(x[known], y[known], s=15, alpha=0.7, linewidths=0.8, facecolors="none", edgecolors=OTHER_COLOUR,
                   label="its 8-mers are in train")  # fmt: skip
    for model, (where, values) in medians.items():
        ax.plot(where, values, color=colour(model), label=f"median, {words(model)}", linewidth=2.2)
    ax.axhline(UNIFORM, color=GREY, linewidth=0.9, linestyle=":")
    low, high = np.quantile(y, [0.002, 0.998]) if len(y) else (0.0, 1.0)
    ax.set_ylim(min(low, UNIFORM - 0.6) - 0.1, max(high, UNIFORM) + 0.15)
    plain_log(ax)
    ax.set(title="Bits per residue by length", xlabel="length (residues)", ylabel="bits per residue")
    ax.legend(fontsize=8.5, ncols=2, loc="lower right")
    return ax


@style()
def likelihood_track(
    bits: Mapping[str, Values], letters: str, *, name: str = "", smooth: int = 11, ax: Axes | None = None
) -> Axes:
    """One protein from N to C: the model's bits of each residue as bars, running means as lines."""
    ax = ax or new_axes(width=9.0, height=3.2)
    mine = np.asarray(bits[MODEL], float)
    where = np.arange(1, len(mine) + 1)
    ax.bar(where, mine, width=1.0, color=MODEL_COLOUR, alpha=0.18, linewidth=0)
    for model, values in bits.items():
        ax.plot(where, running_mean(np.asarray(values, float), smooth), color=colour(model), label=words(model))
    ax.axhline(UNIFORM, color=GREY, linewidth=0.9, linestyle=":")
    if len(letters) <= 120:
        for position, letter in zip(where, letters, strict=True):
            ax.annotate(letter, (position, 0), (0, 2), textcoords="offset points", ha="center", fontsize=5.5)
    ax.set(title=f"Surprise along {name}" if name else "Surprise along a protein", xlabel="residue",
           ylabel="bits", xlim=(0.5, len(mine) + 0.5), ylim=(0, None))  # fmt: skip
    ax.legend(ncols=len(bits), loc="upper right", bbox_to_anchor=(1, 1.16), borderaxespad=0, fontsize=8.5)
    return ax


@style()
def expected_residues(
    shares: NDArray[np.float64], text: str, alphabet: str, *, name: str = "", ax: Axes | None = None
) -> Axes:
    """A sequence logo of what the model expected at each residue of a stretch, in bits; below, what stood there.

    Args:
        shares: (T, A) of each residue of the alphabet at each position.
        text: (T,) the residues.
    """
    ax = ax or new_axes(width=9.0, height=2.6)
    heights, most = information(shares), float(np.log2(len(alphabet)))
    draw_logo(ax, heights, alphabet, RESIDUE_COLOURS)
    name_positions(ax, text)
    title = f"What the model expects along {name}" if name else "What the model expects"
    vague = heights.sum(axis=1).max() < NEAR_CHANCE * most
    ax.set(title=f"{title}: nothing is certain" if vague else title, ylabel=f"bits (of {most:.2f})")
    return ax


@style()
def composition(shares: Mapping[str, Values], alphabet: str, *, ax: Axes | None = None) -> Axes:
    """Share of each residue (per cent) by source, residues of like chemistry side by side."""
    ax = ax or new_axes(width=8.4, height=3.4)
    order = [alphabet.index(letter) for letter in BY_CHEMISTRY]
    width = 0.8 / len(shares)
    for i, (model, values) in enumerate(shares.items()):
        where = np.arange(len(order)) + (i - (len(shares) - 1) / 2) * width
        ax.bar(where, 100 * np.asarray(values)[order], width * 0.9, color=colour(model), label=words(model))
    ax.set_xticks(range(len(order)), list(BY_CHEMISTRY))
    ax.grid(False, axis="x")
    ax.margins(x=0.01)
    ax.set(title="Composition", ylabel="per cent of residues")
    ax.legend(ncols=len(shares), loc="upper right")
    return ax


@style()
def kmer_distance(
    test: Values,
    spectra: Mapping[str, Values],
    divergences: Mapping[str, tuple[float, float, float]],
    *,
    k: int,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Left how far k-mers are from the test part (bits, with intervals), right the frequency of each pair of neighbours
    against the test part's; on the diagonal they agree.
    """
    left, right = panels(axes, 2, columns=2, size=(9.0, 4.2), width_ratios=(1, 1.15))
    for row, (model, (value, low, high)) in enumerate(divergences.items()):
        left.plot([low, high], [row, row], color=colour(model), linewidth=2.4, alpha=0.55, solid_capstyle="round")
        left.plot([value], [row], "o", color=colour(model), markersize=7)
        left.annotate(f"{value:.3f}", (value, row), (0, 8), textcoords="offset points", ha="center", fontsize=8.5)
    left.set_yticks(range(len(divergences)), [words(model) for model in divergences])
    left.set_ylim(len(divergences) - 0.5, -0.6)
    left.grid(False, axis="y")
    left.margins(x=0.15)
    left.set(title=f"Distance of {k}-mers from the test part", xlabel="Jensen-Shannon divergence (bits)")
    reference = np.asarray(test)
    for model, frequencies in spectra.items():
        values = np.asarray(frequencies)
        seen = (reference > 0) & (values > 0)
        right.scatter(reference[seen], values[seen], s=14, alpha=0.45, linewidths=0, color=colour(model),
                      label=words(model), rasterized=True)  # fmt: skip
    right.set(xscale="log", yscale="log", title="Pairs of neighbours", xlabel="frequency in the test part",
              ylabel="frequency in the sequences")  # fmt: skip
    right.minorticks_off()
    low, high = (end(right.get_xlim()[i], right.get_ylim()[i]) for i, end in ((0, min), (1, max)))
    right.plot([low, high], [low, high], color=_INK, linewidth=0.9, zorder=0)
    right.set(xlim=(low, high), ylim=(low, high))
    right.legend(markerscale=1.8, loc="upper left", fontsize=8.5)
    return figure_of(left)


@style()
def novelty(
    copies: Mapping[str, Values], identities: Mapping[str, Values], *, axes: Sequence[Axes] | None = None
) -> Figure:
    """Left the longest stretch copied from training, right the identity to the nearest training protein; one dot a
    sequence, the mean as a bar.
    """
    left, right = panels(axes, 2, columns=2, size=(9.0, 1.4 + 0.5 * len(copies)), sharey=True)
    for ax, values, title, unit in (
        (left, copies, "Longest copy from training", "residues"),
        (right, identities, "Nearest training protein", "per cent identity"),
    ):
        for row, (model, found) in enumerate(values.items()):
            dots = np.asarray(found, float)
            # A fixed zigzag instead of random jitter: the same evaluation draws the same picture.
            spread = 0.22 * np.sin(2.4 * np.arange(len(dots)))
            ax.scatter(dots, row + spread, s=16, alpha=0.55, linewidths=0, color=colour(model))
            ax.plot([dots.mean()] * 2, [row - 0.33, row + 0.33], color=_INK, linewidth=2)
        ax.set_yticks(range(len(values)), [words(model) for model in values])
        ax.grid(False, axis="y")
        ax.set(title=title, xlabel=unit)
    if max(float(np.max(v)) for v in copies.values()) > 60:
        plain_log(left)
    left.invert_yaxis()
    return figure_of(left)


@style()
def variant_scatter(
    measured: Values, predicted: Values, changes: Values, *, rho: float, xlabel: str = "log-likelihood ratio (nats)",
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Measured score against the model's prediction, lighter for more changes."""
    ax = ax or new_axes(width=5.2, height=4.6)
    counts = np.asarray(changes)
    shades = {
        int(n): alpha
        for n, alpha in zip(np.unique(counts), np.linspace(0.75, 0.25, len(np.unique(counts))), strict=True)
    }
    for n, alpha in shades.items():
        rows = counts == n
        ax.scatter(np.asarray(predicted)[rows], np.asarray(measured)[rows], s=9, alpha=alpha, linewidths=0,
                   color=MODEL_COLOUR, label=f"{n} change{'s' if n > 1 else ''}", rasterized=True)  # fmt: skip
    ax.set(title=f"Variant effects (Spearman {rho:.3f})", xlabel=xlabel, ylabel="measured score")
    if len(shades) > 1:
        ax.legend(markerscale=1.8, fontsize=8.5)
    return ax


@style()
def roc(curves: Mapping[str, tuple[Values, Values, float]], *, ax: Axes | None = None) -> Axes:
    """(false positive rate, true positive rate, area) by model; the diagonal is chance."""
    ax = ax or new_axes(width=5.0, height=4.6)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
    for model, (false, true, area) in curves.items():
        ax.plot(false, true, color=colour(model), label=f"{words(model)}, {area:.3f}")
    ax.set(title="Above the median or not", xlabel="false positive rate", ylabel="true positive rate",
           xlim=(0, 1), ylim=(0, 1.01), aspect="equal")  # fmt: skip
    ax.legend(fontsize=8.5, loc="lower right", title="area under the curve", title_fontsize=8.5)
    return ax


def running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of up to `width` neighbours around each value, NaN left out."""
    counted = np.isfinite(values)
    kernel = np.ones(min(width, max(1, len(values))))
    sums = np.convolve(np.where(counted, values, 0.0), kernel, "same")
    n = np.convolve(counted.astype(float), kernel, "same")
    means: NDArray[np.float64] = np.divide(sums, n, out=np.full(len(sums), np.nan), where=n > 0.5)
    return means
