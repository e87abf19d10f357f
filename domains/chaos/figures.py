"""Figures of chaos: each takes arrays and an `ax` to draw on, and makes its own where none is given.

Time is in Lyapunov times (or mean periods, where the label says so). The look is core.report.gallery's; nothing here
computes scores or reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from core.report.log_axis import plain_log
from core.report.orbits import Orbits

Values = NDArray[np.float64]
TRUTH = "truth"
INK = "#2b3138"
COLOURS = {
    MODEL: MODEL_COLOUR,
    TRUTH: DATA_COLOUR,
    "nvar": "#d55e00",
    "esn_500": BASELINE_COLOUR,
    "nearest_neighbour": OTHER_COLOUR,
    "context_parroting": "#56b4e9",
    "var": GREY,
    "persistence": "#b5bbc0",
}
"""Okabe and Ito's colours; every other name is grey."""
SEVERAL = 4
"""Panels of forecasts at most."""


def colour(model: str) -> str:
    return COLOURS.get(model, GREY)


def words(model: str) -> str:
    return {"esn_500": "ESN (500)", "nvar": "NVAR", "var": "VAR"}.get(model, model.replace("_", " "))


@style()
def phase_portraits(
    runs: Mapping[str, Values], channels: Sequence[str], *, lag: int = 1, axes: Sequence[Axes] | None = None
) -> Figure:
    """Orbits side by side, on the same axes: the first channel against the last, or a single one against its past.

    Args:
        runs: (T, C) by model, the truth among them; what is not finite is left out.
        lag: steps of delay where there is one channel only.
        axes: one a run.
    """
    size = (3.1 * len(runs) + 0.3, 3.4)
    across = panels(axes, len(runs), columns=len(runs), size=size, sharex=True, sharey=True)
    reference = _plane(next(iter(runs.values())), lag)
    low, high = reference.min(axis=0), reference.max(axis=0)
    room = 0.06 * np.where(high > low, high - low, 1.0)
    for ax, (model, run) in zip(across, runs.items(), strict=True):
        plane = _plane(run, lag)
        if len(plane) > 1:
            ax.plot(*plane.T, color=colour(model), linewidth=0.45, alpha=0.75, solid_capstyle="round")
            ax.plot(*plane[0], marker="o", markersize=4, color=INK, zorder=3)
        ax.set_title(words(model))
        ax.set_xlim(low[0] - room[0], high[0] + room[0])
        ax.set_ylim(low[1] - room[1], high[1] + room[1])
        ax.set_xlabel(channels[0])
        ax.grid(False)
    across[0].set_ylabel(channels[-1] if len(channels) > 1 else f"{channels[0]}, {lag} steps before")
    return figure_of(across[0])


def orbits(runs: Mapping[str, Values], channels: Sequence[str], *, lag: int = 1) -> Orbits:
    """The same orbits in space, for a page that turns them: the first, second and last channel, or delayed ones where
    there are fewer than three.

    Args:
        runs, channels, lag: as for `phase_portraits`.
    """
    spaces = {words(model): _space(run, lag) for model, run in runs.items()}
    first = channels[0]
    delayed = [f"{first}(t\N{MINUS SIGN}{k * lag})" for k in (1, 2)]
    names = [first, channels[1], channels[-1]] if len(channels) > 2 else [*channels, *delayed][:3]
    return Orbits(spaces, [colour(model) for model in runs], names)


@style()
def forecasts(
    truths: Values,
    paths: Values,
    times: Sequence[float],
    *,
    steps: float,
    channel: str,
    unit: str = "Lyapunov times",
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """One panel a start: truth and forecast of one channel, and the line where the forecast stops being valid.

    Args:
        truths, paths: (S, H) of the channel.
        times: (S,) valid prediction times.
        steps: of one unit of time.
        axes: one a start, of the first SEVERAL.
    """
    count = min(SEVERAL, len(truths))
    below = panels(axes, count, rows=count, size=(8.0, 1.0 + 1.35 * count), sharex=True, sharey=True)
    at = np.arange(1, truths.shape[1] + 1) / steps
    low, high = np.nanmin(truths[:count]), np.nanmax(truths[:count])
    room = 0.15 * max(high - low, 1e-9)
    for i, ax in enumerate(below):
        ax.axvspan(0, times[i], color=MODEL_COLOUR, alpha=0.06, linewidth=0)
        ax.plot(at, truths[i], color=DATA_COLOUR, linewidth=2.4, alpha=0.85, label="truth")
        ax.plot(at, np.clip(paths[i], low - 3 * room, high + 3 * room), color=MODEL_COLOUR, linewidth=1.3, label=MODEL)
        ax.axvline(times[i], color=INK, linewidth=1.1, linestyle="--")
        note = (times[i], high + room)
        ax.annotate(f"{times[i]:.1f}", note, (4, -2), textcoords="offset points", va="top", fontsize=9, color=INK)
        ax.set_ylim(low - room, high + room)
        ax.set_ylabel(channel)
    below[0].set_title("Forecasts and how long they are valid")
    below[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0)
    below[-1].set_xlabel(f"{unit} from the end of the context")
    for ax in below:
        ax.set_xlim(0, at[-1])
    return figure_of(below[0])


@style()
def power_spectra(
    spectra: Mapping[str, tuple[Values, Values]], *, distances: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Smoothed power spectra of free runs beside the truth's: (frequencies per unit of time, (F,) shares)."""
    ax = ax or new_axes()
    for model, (frequencies, shares) in spectra.items():
        seen = shares > 0
        if not seen.any():
            continue
        note = f" ({distances[model]:.3f})" if model in distances and model != TRUTH else ""
        width = 3.0 if model == TRUTH else 1.5
        ax.plot(
            frequencies[seen], shares[seen], color=colour(model), linewidth=width, alpha=0.85, label=words(model) + note
        )
    ax.set_yscale("log")
    top = max((float(s.max()) for _, s in spectra.values()), default=1.0) or 1.0
    ax.set_ylim(top * 1e-7, top * 3)
    ax.set(title="Power spectra of free runs", ylabel="share of power", xlabel="cycles a Lyapunov time")
    ax.legend(title="model (Hellinger distance)", alignment="left")
    return ax


@style()
def return_map(maxima: Mapping[str, Values], *, channel: str, ax: Axes | None = None) -> Axes:
    """Each maximum of a channel against the one before: Lorenz's tent, where a model has it."""
    ax = ax or new_axes(width=4.8, height=4.4)
    for model, peaks in maxima.items():
        if len(peaks) > 1:
            size = 26 if model == TRUTH else 8
            ax.scatter(peaks[:-1], peaks[1:], s=size, alpha=0.55, linewidths=0, color=colour(model), label=words(model))
    ax.set(title="Successive maxima", xlabel=f"maximum of {channel}", ylabel="the next one")
    ax.legend()
    return ax


@style()
def error_growth(
    errors: Mapping[str, Values], *, steps: float, limit: float, lyapunov: bool, ax: Axes | None = None
) -> Axes:
    """The median error over starts, (H,) by model, on a logarithmic axis, with the slope that chaos gives an error.

    Args:
        steps: of one unit of time.
        limit: the error at which a forecast stops being valid.
        lyapunov: whether that unit is the Lyapunov time, in which errors grow by a factor of e.
    """
    ax = ax or new_axes(width=6.4, height=4.2)
    at = np.arange(1, len(next(iter(errors.values()))) + 1) / steps
    lowest = min((float(np.nanmin(v[np.isfinite(v) & (v > 0)])) for v in errors.values() if _usable(v)), default=0.1)
    for model, values in errors.items():
        if _usable(values):
            width, order = (2.4, 4) if model == MODEL else (1.3, 2)
            ax.plot(at, values, color=colour(model), linewidth=width, zorder=order, label=words(model))
    mine = errors.get(MODEL)
    if lyapunov and mine is not None and _usable(mine):
        start = mine[min(len(mine) - 1, round(steps / 2))]
        grown = start * np.exp(at - at[min(len(mine) - 1, round(steps / 2))])
        ax.plot(at[grown < 2], grown[grown < 2], color=INK, linewidth=1, linestyle=":", label=r"$e^{\lambda t}$")
    ax.axhline(limit, color=INK, linewidth=1, linestyle="--", zorder=5)
    ax.annotate(f"{limit:g}", (1.01, limit), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
    plain_log(ax, "y")
    ax.set_ylim(lowest / 2, 4)
    ax.set_xlim(0, at[-1])
    unit = "Lyapunov times" if lyapunov else "mean periods"
    ax.set(title="How errors grow", xlabel=f"{unit} from the end of the context", ylabel="NRMSE, median over starts")
    ax.legend(loc="lower right", fontsize=8.5)
    return ax


@style()
def prediction_times(
    times: Mapping[str, Sequence[float]],
    *,
    cap: float,
    title: str = "Valid prediction time",
    unit: str = "Lyapunov times",
    ax: Axes | None = None,
) -> Axes:
    """A dot a start and a bar at the mean, a row a model, the best at the top; the dashed line is the cap."""
    order = sorted(times, key=lambda model: -float(np.mean(times[model])))
    ax = ax or new_axes(width=6.4, height=1.2 + 0.46 * len(order))
    for row, model in enumerate(order):
        values = np.asarray(times[model], float)
        # A fixed zigzag instead of random jitter: the same evaluation draws the same picture.
        spread = 0.2 * np.sin(2.4 * np.arange(len(values)))
        ax.scatter(values, row + spread, s=20, alpha=0.55, linewidths=0, color=colour(model))
        mean = float(values.mean())
        ax.plot([mean] * 2, [row - 0.34, row + 0.34], color=INK, linewidth=2.2, zorder=3)
        ax.annotate(f"{mean:.2f}", (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
    ax.axvline(cap, color=GREY, linewidth=1, linestyle="--")
    ax.set_yticks(range(len(order)), [words(model) for model in order])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set_xlim(-0.02 * cap, 1.06 * cap)
    ax.set(title=title, xlabel=f"{unit} (cap {cap:g}); a dot a start, the bar their mean")
    return ax


def _plane(run: Values, lag: int) -> Values:
    """(T, 2) what of a run is drawn."""
    finite = run[np.isfinite(run).all(axis=1)]
    if finite.shape[1] > 1:
        return finite[:, [0, -1]]
    return np.stack([finite[lag:, 0], finite[: len(finite) - lag, 0]], axis=1)


def _space(run: Values, lag: int) -> Values:
    """(T, 3) what of a run is turned."""
    finite = run[np.isfinite(run).all(axis=1)]
    if finite.shape[1] > 2:
        return finite[:, [0, 1, -1]]
    length = max(0, len(finite) - 2 * lag)
    delayed = [finite[2 * lag - k * lag :, 0][:length] for k in (1, 2)]
    return np.stack([*finite[2 * lag :].T, *delayed][:3], axis=1)


def _usable(values: Any) -> bool:
    array = np.asarray(values, float)
    return bool((np.isfinite(array) & (array > 0)).any())
