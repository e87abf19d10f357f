"""Which figures an evaluation of forecasts shows, and what each of them says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MODEL, Metric, MetricTable
from core.report.gallery import Gallery
from domains.time_series import figures
from domains.time_series.evaluation.baselines import Forecasts
from domains.time_series.evaluation.measures import LEVELS, Errors
from domains.time_series.evaluation.origins import Panel

CHARTS = 4
"""Series whose forecasts are drawn, the first ones."""
HISTORY = 3
"""Seasons of history before an origin: more of them leave too little room for the forecast."""


def draw(
    out: Path | str,
    table: MetricTable,
    panel: Panel,
    forecasts: Mapping[str, Sequence[Forecasts]],
    errors: Mapping[str, Sequence[Errors]],
    *,
    label: str,
) -> None:
    """Fan charts, calibration, error by step, and each model's ratio to the reference."""
    gallery = Gallery(out)
    best = _best_baseline(table, label)
    _draw_fans(gallery, panel, forecasts, errors, best)
    _draw_dots(gallery, table, label)
    _draw_steps(gallery, panel, errors)
    _draw_calibration(gallery, errors, best)
    gallery.write()


def _best_baseline(table: MetricTable, label: str) -> str:
    """The one whose absolute error is least."""
    name = table.rows[0].name
    rows = [r for r in table.rows if r.name == name and r.split == label and r.model != MODEL and r.value is not None]
    return min(rows, key=lambda r: r.value or 0.0).model


def _draw_fans(
    gallery: Gallery,
    panel: Panel,
    forecasts: Mapping[str, Sequence[Forecasts]],
    errors: Mapping[str, Sequence[Errors]],
    best: str,
) -> None:
    """Of each of the first series the origin whose error is the median one: neither the best nor the worst."""
    charts, says = [], []
    for i, target in enumerate(panel.targets[:CHARTS]):
        truth = target.truth(panel.horizon)
        mine = forecasts[MODEL][i]
        with np.errstate(invalid="ignore"):
            per_origin = np.nanmean(np.abs(truth - mine.point), axis=1)
        usual = int(np.argsort(np.nan_to_num(per_origin, nan=np.inf))[np.isfinite(per_origin).sum() // 2])
        origin = int(target.origins[usual])
        first = max(0, origin - max(HISTORY * target.season, 2 * panel.horizon))
        when = "" if target.start is None or target.freq is None else f", from {_stamp(target, origin)}"
        charts.append(
            {
                "history": target.values[first:origin],
                "truth": truth[usual],
                "quantiles": mine.quantiles[usual],
                "other": (best, forecasts[best][i].point[usual]),
                "season": target.season if target.season <= panel.horizon else 0,
                "title": f"{target.id}{when}",
            }
        )
        says.append(f"{target.id} (mean absolute error {per_origin[usual]:.3g})")
    gallery.add(
        figures.fan_charts(charts, LEVELS),
        "forecasts",
        portrait=True,
        alt=f"Forecasts of {panel.horizon} steps with 50, 80 and 90 % bands beside what came: {', '.join(says)}",
        caption="Of each series the origin whose error is the median of all origins: neither the best nor the worst.",
    )


def _stamp(target: object, origin: int) -> str:
    from domains.formats.time_grid import advance

    stamp = advance(target.start, target.freq, origin)  # type: ignore[attr-defined]
    return str(stamp.astype("datetime64[m]")).replace("T", " ")


def _draw_dots(gallery: Gallery, table: MetricTable, label: str) -> None:
    name = table.rows[0].name
    rows: dict[str, list[Metric]] = {}
    for row in table.rows:
        if row.name == name and row.value is not None:
            rows.setdefault(row.model, []).append(row)
    reference = next(r.model for r in table.rows if r.name == name and r.value == 1 and r.model != MODEL)
    gallery.add(
        _figure(
            figures.dots(
                rows,
                title=f"Error over that of {figures.words(reference)}",
                xlabel="ratio of mean absolute errors, geometric mean over series (below 1: better)",
            )
        ),
        "mase_ratio",
        alt="Dot chart of each model's error ratio: "
        + ", ".join(f"{figures.words(model)} {found[0].value:.3g}" for model, found in rows.items()),
        caption=f"On {label}, with 95 % intervals over origins; small marks are single series.",
        listed=False,
    )


def _draw_steps(gallery: Gallery, panel: Panel, errors: Mapping[str, Sequence[Errors]]) -> None:
    scales = np.array([t.scale for t in panel.targets])
    curves = {
        model: np.nanmean(np.stack([e.by_step for e in found]) / scales[:, None], axis=0)
        for model, found in errors.items()
    }
    hopeless = 2.5 * min(float(np.nanmax(curve)) for curve in curves.values())
    shown = {model: curve for model, curve in curves.items() if model == MODEL or float(np.nanmax(curve)) <= hopeless}
    left_out = [figures.words(model) for model in curves if model not in shown]
    mine = curves[MODEL]
    gallery.add(
        _figure(figures.error_by_step(shown, ylabel=f"mean absolute error / scale (MASE, m = {panel.season})")),
        "error_by_step",
        alt=f"Line chart of the scaled error by step ahead: foretell from {mine[0]:.3g} at step 1 to {mine[-1]:.3g} at "
        f"step {len(mine)}",
        caption="Mean over series." + (f" Not shown, far above: {', '.join(left_out)}." if left_out else ""),
    )


def _draw_calibration(gallery: Gallery, errors: Mapping[str, Sequence[Errors]], best: str) -> None:
    pits = {model: np.sum([e.pit for e in errors[model]], axis=0) for model in (MODEL, best)}
    coverages = {}
    for model, counts in pits.items():
        # The band between levels k and 1 - k holds the bins between them.
        share = counts / max(1.0, counts.sum())
        half = len(share) // 2
        seen = [100 * share[k : len(share) - k].sum() for k in range(half - 1, 0, -1)]
        nominal = [100 * (1 - 2 * k / len(share)) for k in range(half - 1, 0, -1)]
        coverages[model] = (nominal, seen)
    mine = dict(zip(*coverages[MODEL], strict=True))
    gallery.add(
        figures.calibration(pits, coverages),
        "calibration",
        alt="Histogram of where the truth falls in the forecast distribution, and coverage of central bands: "
        + ", ".join(f"{n:.0f} % band holds {seen:.0f} %" for n, seen in mine.items() if round(n) in (50, 80, 90)),
        caption=f"foretell and {figures.words(best)}, the baseline with the least error. A U means bands that are too "
        "narrow, a hump bands that are too wide.",
    )


def _figure(ax: Axes) -> Figure:
    drawing = ax.get_figure()
    assert isinstance(drawing, Figure)
    return drawing
