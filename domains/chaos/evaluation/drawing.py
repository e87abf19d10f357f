"""Which figures an evaluation of chaos shows, of its first system, and what each of them says in words."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MODEL, MetricTable
from core.report.gallery import Gallery
from domains.chaos import figures
from domains.chaos.evaluation.baselines.material import Values
from domains.chaos.evaluation.geometry import spectra
from domains.chaos.evaluation.horizon import NRMSE_LIMIT, vpt_nrmse
from domains.chaos.evaluation.measuring import TRUTH, Forecasts, Found, FreeRuns
from domains.chaos.source.lyapunov import first_decorrelation

FEWER = 1
"""Baselines beside the model where more would hide each other: the best one."""


def draw(gallery: Gallery, table: MetricTable, found: Found, *, label: str, unit: str) -> None:
    """Every figure that there are numbers for.

    Args:
        label: of the split column; one that says zero_shot goes into the files' names.
        unit: what follows a metric's name: empty for Lyapunov times.
    """
    times = "mean periods" if unit else "Lyapunov times"
    end = unit + ("_zero_shot" if label.endswith("_zero_shot") else "")
    row = table.find(f"vpt_cap{unit}", label)
    cap = float(row.value) if row and row.value else 10.0
    by_model = found.scores["vpt_nrmse_0.4"]
    means = ", ".join(f"{figures.words(m)} {np.mean(v):.2f}" for m, v in by_model.items())
    gallery.add(
        _figure(figures.prediction_times(by_model, cap=cap, unit=times)),
        f"prediction_times{end}",
        alt=f"Dots of valid prediction times by model, in {times}. Means: {means}",
        caption=f"{times.capitalize()} until the error first exceeds {NRMSE_LIMIT} standard deviations, on {label}. "
        "Every model starts from the same contexts.",
    )
    first = found.forecasts[0]
    _draw_forecasts(gallery, first, cap, times, end)
    _draw_growth(gallery, first, times, end)
    if found.free_runs:
        _draw_free_runs(gallery, found.free_runs[0], by_model, end)


def _draw_forecasts(gallery: Gallery, first: Forecasts, cap: float, times: str, end: str) -> None:
    case, path = first.case, first.paths[MODEL]
    valid = vpt_nrmse(path, first.truth, case.sigma, case.steps, cap)
    # from the worst to the best, so that the panels show the range and not the luckiest starts
    shown = np.argsort(valid, kind="stable")[np.linspace(0, len(valid) - 1, min(4, len(valid))).astype(int)]
    picture = figures.forecasts(
        first.truth[shown, :, 0],
        path[shown, :, 0],
        valid[shown].tolist(),
        steps=case.steps,
        channel=case.channels[0],
        unit=times,
    )
    gallery.add(
        picture,
        f"forecasts{end}",
        alt=f"{len(shown)} panels of truth and forecast over time; valid for "
        + ", ".join(f"{v:.2f}" for v in valid[shown])
        + f" {times}",
        caption="From the shortest to the longest valid forecast. The dashed line is where the error over all channels "
        f"exceeds {NRMSE_LIMIT}.",
    )


def _draw_growth(gallery: Gallery, first: Forecasts, times: str, end: str) -> None:
    medians = {model: np.median(errors, axis=0) for model, errors in first.errors.items()}
    step = {model: float(values[0]) for model, values in medians.items()}
    gallery.add(
        _figure(
            figures.error_growth(
                medians, steps=first.case.steps, limit=NRMSE_LIMIT, lyapunov=first.case.lyapunov is not None
            )
        ),
        f"error_growth{end}",
        alt=f"Line chart, logarithmic, of the median error over {times}. After one step: "
        + ", ".join(f"{figures.words(m)} {v:.2g}" for m, v in step.items()),
        caption="A model that has the dynamics loses a factor of e a Lyapunov time, the dotted line; one that has not "
        "loses it faster. Each factor of 10 in the first error is worth 2.3 Lyapunov times.",
    )


def _draw_free_runs(gallery: Gallery, long: FreeRuns, times: dict[str, list[float]], end: str) -> None:
    case = long.case
    rivals = sorted((m for m in times if m != MODEL), key=lambda m: -float(np.mean(times[m])))[:FEWER]
    shown = {TRUTH: long.truths[0], **{m: long.runs[m][0] for m in (MODEL, *rivals)}}
    lag = first_decorrelation(long.truths[0])
    divergence = ", ".join(f"{figures.words(m)} {v:.2f}" for m, v in long.scores["dstsp"].items())
    gallery.add(
        figures.phase_portraits(shown, case.channels, lag=lag),
        f"phase_portraits{end}",
        portrait=True,
        orbits=figures.orbits(shown, case.channels, lag=lag),
        alt=f"Phase portraits of {', '.join(figures.words(m) for m in shown)}. State space divergence: {divergence}",
        caption=f"Free runs of {len(long.truths[0]):,} steps from the end of one context (the dot), far beyond any "
        "valid forecast.",
    )
    rate = case.steps  # points a unit of time
    drawn: dict[str, tuple[Values, Values]] = {}
    for model, run in shown.items():
        if np.isfinite(run).all():
            shares = spectra(run).mean(axis=1)
            drawn[model] = (np.arange(len(shares)) / len(run) * rate, shares)
    distances = {m: long.scores["dh_smoothed"][m] for m in drawn if m != TRUTH}
    gallery.add(
        _figure(figures.power_spectra(drawn, distances=distances)),
        f"power_spectra{end}",
        alt="Smoothed power spectra on a logarithmic axis. Hellinger distance from the truth: "
        + ", ".join(f"{figures.words(m)} {v:.3f}" for m, v in distances.items()),
        caption="Mean over channels. Another true trajectory lies "
        f"{long.scores['dh_smoothed'].get(TRUTH, float('nan')):.3f} from the truth.",
    )
    peaks = {model: maxima(run[:, -1]) for model, run in shown.items() if np.isfinite(run).all()}
    if min((len(p) for p in peaks.values()), default=0) > 10 or len(peaks.get(TRUTH, ())) > 10:
        gallery.add(
            _figure(figures.return_map(peaks, channel=case.channels[-1])),
            f"return_map{end}",
            alt=f"Scatter plot of each maximum of {case.channels[-1]} against the one before, "
            + ", ".join(f"{figures.words(m)} {len(p)} maxima" for m, p in peaks.items()),
            caption="The map that a flow draws here is nearly one-dimensional, and its shape is the system's.",
        )


def maxima(values: Values) -> Values:
    """The local maxima of a series (T,), by the parabola through three points."""
    before, at, after = values[:-2], values[1:-1], values[2:]
    top = (at > before) & (at >= after)
    before, at, after = before[top], at[top], after[top]
    bend = before - 2 * at + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros(len(at)), where=bend != 0)
    peak: Values = at - 0.25 * (before - after) * shift
    return peak


def _figure(ax: Axes) -> Figure:
    drawing = ax.get_figure()
    assert isinstance(drawing, Figure)
    return drawing
