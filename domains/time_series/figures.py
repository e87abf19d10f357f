"""Figures of time series: each takes arrays and an `ax` to draw on, and makes its own where none is given.

Values in the data's own units, horizons in steps. The look is core.report.gallery's; nothing here computes or reads
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, MultipleLocator, NullLocator
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

Values = NDArray[np.number] | Sequence[float]

INK = "#2b3138"
_BANDS = ("#dbe9f6", "#b0d2ec", "#7db7e0")
"""From the widest band to the narrowest."""
_SHADES = ("#56b4e9", "#e69f00", "#cc79a7", "#d55e00", "#7a828a", "#b5bbc0")

_RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 10, 15, 25)
"""Where a logarithmic axis of ratios may have ticks."""


def words(model: str) -> str:
    return model.replace("_", " ")


@style()
def fan_chart(
    history: Values,
    truth: Values,
    quantiles: NDArray[np.floating],
    levels: Sequence[float],
    *,
    other: tuple[str, Values] | None = None,
    season: int = 0,
    title: str = "",
    ylabel: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What came before, what was expected as nested bands around a median, and what came.

    Args:
        history: (T,) steps before the origin, which is 0 on the axis.
        truth: (H,)
        quantiles: (Q, H) of `levels`, which are symmetric about 0.5.
        other: a baseline's name and points (H,).
        season: steps between the ticks; 0 leaves them to matplotlib.
    """
    ax = ax or new_axes(8.4, 3.2)
    before = np.arange(-len(np.asarray(history)), 0)
    ahead = np.arange(quantiles.shape[1])
    pairs = [(i, len(levels) - 1 - i) for i in range(len(levels) // 2)]
    shown = [pair for pair in pairs if round(levels[pair[1]] - levels[pair[0]], 2) in (0.9, 0.8, 0.5)]
    for colour, (low, high) in zip(_BANDS, shown, strict=False):
        band = f"{levels[high] - levels[low]:.0%} band"
        ax.fill_between(ahead, quantiles[low], quantiles[high], color=colour, linewidth=0, label=band)
    ax.plot(before, history, color=INK, linewidth=1.1, label="history")
    joined = np.concatenate([np.asarray(history)[-1:], truth])
    ax.plot(
        np.arange(len(joined)) + len(ahead) - len(joined), joined, color=DATA_COLOUR, linewidth=1.7, label="what came"
    )
    if other is not None:
        ax.plot(ahead, other[1], color=BASELINE_COLOUR, linewidth=1.2, linestyle=(0, (4, 2)), label=words(other[0]))
    ax.plot(ahead, quantiles[len(levels) // 2], color=MODEL_COLOUR, linewidth=1.7, label="foretell, median")
    ax.axvline(-0.5, color=GREY, linewidth=0.9, linestyle=":")
    ax.set(title=title, xlabel="steps from the origin", ylabel=ylabel)
    if 1 < season <= len(before):
        ax.xaxis.set_major_locator(MultipleLocator(season))
    ax.margins(x=0.01)
    return ax


@style()
def fan_charts(
    charts: Sequence[Mapping[str, object]], levels: Sequence[float], *, axes: Sequence[Axes] | None = None
) -> Figure:
    """Several fan charts below each other with one legend; each of `charts` holds the arguments of one, `axes` where
    one is drawn."""
    rows = panels(axes, len(charts), rows=len(charts), size=(9.2, 0.75 + 2.15 * len(charts)))
    for ax, chart in zip(rows, charts, strict=True):
        fan_chart(levels=levels, ax=ax, **chart)  # type: ignore[arg-type]
        ax.set_xlabel("")
    rows[-1].set_xlabel("steps from the origin")
    handles, labels = rows[0].get_legend_handles_labels()
    figure = figure_of(rows[0])
    if axes is None:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8.5, columnspacing=1.2)
    else:
        rows[0].legend(handles, labels, fontsize=8.5)
    return figure


@style()
def calibration(
    pits: Mapping[str, Values],
    coverages: Mapping[str, tuple[Values, Values]],
    *,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Left: how often the truth fell into each twentieth of the forecast; flat is calibrated. Right: the share of
    truths inside central bands against the share that should be.

    Args:
        pits: model to counts (20,).
        coverages: model to nominal and seen shares, in per cent.
    """
    left, right = panels(axes, 2, columns=2, size=(9.2, 3.7), width_ratios=(1.35, 1))
    for model, counts in pits.items():
        share = np.asarray(counts, float) / max(1.0, float(np.sum(counts)))
        edges = np.linspace(0, 1, len(share) + 1)
        mine = model == MODEL
        colour = MODEL_COLOUR if mine else BASELINE_COLOUR
        if mine:
            left.stairs(share * len(share), edges, fill=True, color=colour, alpha=0.25)
        left.stairs(share * len(share), edges, color=colour, linewidth=1.8, label=words(model))
    left.axhline(1, color=GREY, linewidth=0.9, linestyle=":")
    left.set(
        title="Where the truth falls in the forecast", xlabel="probability integral transform",
        ylabel="density (1: calibrated)", xlim=(0, 1), ylim=(0, 1.22 * left.get_ylim()[1]),
    )  # fmt: skip
    left.legend(loc="upper center", ncols=2)
    right.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, linestyle=":")
    for model, (nominal, seen) in coverages.items():
        colour = MODEL_COLOUR if model == MODEL else BASELINE_COLOUR
        right.plot(nominal, seen, color=colour, marker="o", markersize=3.5, label=words(model))
    right.set(
        title="Coverage of central bands", xlabel="should hold (%)", ylabel="holds (%)", xlim=(0, 100), ylim=(0, 100),
        aspect="equal",
    )  # fmt: skip
    right.legend(loc="upper left")
    return figure_of(left)


@style()
def error_by_step(curves: Mapping[str, Values], *, ylabel: str, ax: Axes | None = None) -> Axes:
    """Mean absolute error at each step ahead, (H,) a model."""
    ax = ax or new_axes(7.0, 3.8)
    shades = iter(_SHADES)
    for model, values in curves.items():
        mine = model == MODEL
        steps = np.arange(1, len(np.asarray(values)) + 1)
        ax.plot(
            steps, values, color=MODEL_COLOUR if mine else next(shades), linewidth=2.4 if mine else 1.4,
            marker="o" if mine else None, markersize=3.2, zorder=3 if mine else 2, label=words(model),
        )  # fmt: skip
    ax.set(title="Error by step ahead", xlabel="steps ahead", ylabel=ylabel)
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 3, 4, 6, 10]))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return ax


@style()
def dots(
    rows: Mapping[str, Sequence[Metric]], *, reference: float = 1.0, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """A line for each model, best first, with its value over all series and a small dot for each series.

    Args:
        rows: model to its metrics: over all series first, then each series. Values are ratios, on a logarithmic axis.
    """
    ordered = sorted(rows, key=lambda model: rows[model][0].value or 0.0)
    ax = ax or new_axes(8.0, 1.5 + 0.34 * len(ordered))
    markers = ("o", "s", "^", "D", "v", "P")
    seen: list[float] = []
    for y, model in enumerate(ordered):
        total, *single = rows[model]
        colour = MODEL_COLOUR if model == MODEL else BASELINE_COLOUR
        value = total.value or 0.0
        if total.low is not None and total.high is not None:
            ax.plot([total.low, total.high], [y, y], color=colour, linewidth=5, alpha=0.3, solid_capstyle="round")
        ax.plot(value, y, "o", color=colour, markersize=8, zorder=3)
        for k, row in enumerate(single):
            ax.plot(
                row.value or np.nan, y, markers[k % len(markers)], color=OTHER_COLOUR, markersize=4.5, alpha=0.85,
                label=row.split.partition("/")[0] if y == 0 else None,
            )  # fmt: skip
        seen += [r.value for r in rows[model] if r.value]
        ax.annotate(f"{value:.3g}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
    ax.axvline(reference, color=GREY, linewidth=0.9, linestyle=":")
    ax.set_xscale("log")
    ticks = [t for t in _RATIOS if min(seen) * 0.8 <= t <= max(seen) * 1.25]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_yticks(range(len(ordered)), [words(model) for model in ordered])
    ax.set_ylim(len(ordered) - 0.4, -0.6)
    ax.margins(x=0.05)
    ax.grid(False, axis="y")
    ax.set(title=title, xlabel=xlabel)
    if any(len(r) > 1 for r in rows.values()):
        ax.legend(loc="upper right", fontsize=8.5)
    return ax
