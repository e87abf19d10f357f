"""The learning curve as inline SVG that keeps its line widths and letters at any width of the page.

Lines are stretched with the box they stand in; ticks and names are HTML beside them. Knows nothing of runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RUNS = 8
"""Colours of lines that stand for runs; beyond so many the lines are dashed."""
_POINTS = 400
"""Drawn per line; longer ones are averaged in steps, more would not be seen on a screen."""


@dataclass(frozen=True)
class Line:
    """One line of a curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class LearningCurve:
    """Loss over steps, tokens or seconds. The first line is drawn faint (training), the second strong (validation)."""

    title: str
    lines: Sequence[Line]
    x_label: str
    y_label: str
    references: Mapping[str, float] = field(default_factory=dict)
    """Dashed levels by name: the best baseline."""
    note: str = ""
    apart: bool = False
    """Lines are of different runs: each has a colour of its own, and its name a button that hides it."""
    log: bool = False
    """On a logarithmic axis: squared errors, which fall by orders of magnitude. What is not positive is left out."""

    def html(self) -> str:
        lines = [(line.name, *self._scaled(*_thinned(line))) for line in self.lines]
        lines = [line for line in lines if len(line[1])]
        if not lines:
            return '<p class="note">No steps were recorded.</p>'
        x_low, x_high = float(min(x.min() for _, x, _ in lines)), float(max(x.max() for _, x, _ in lines))
        levels = {
            name: math.log10(y) if self.log else y for name, y in self.references.items() if y > 0 or not self.log
        }
        low, high = _range([y for _, _, y in lines], list(levels.values()), whole=self.log)
        marked = powers(low, high) if self.log else ticks(low, high)
        written = [_short(10**y) for y in marked] if self.log else numbers(marked)
        unit = f"{self.y_label}, logarithmic" if self.log else self.y_label

        def across(x: float) -> float:
            return 100 * (x - x_low) / (x_high - x_low or 1)

        def down(y: float) -> float:
            return 100 * (high - y) / (high - low)

        grid = "".join(f'<line class="grid" x1="0" x2="100" y1="{down(y):.2f}" y2="{down(y):.2f}"/>' for y in marked)
        grid += "".join(
            f'<line class="reference" x1="0" x2="100" y1="{down(y):.2f}" y2="{down(y):.2f}"/>' for y in levels.values()
        )
        looks = [f"run{i % RUNS} dashes{i // RUNS % 3}" if self.apart else f"line{i % 3}" for i in range(len(lines))]
        paths = "".join(
            f'<path class="{look}" d="{_path([across(v) for v in x], [down(v) for v in y])}"/>'
            for look, (_, x, y) in zip(looks, lines, strict=True)
        )
        marks = "".join(
            f'<span class="tick y" style="top:{down(y):.2f}%">{text}</span>'
            for y, text in zip(marked, written, strict=True)
        ) + "".join(
            f'<span class="tick x" style="left:{across(x):.2f}%">{text}</span>'
            for x, text in zip(ticks(x_low, x_high), numbers(ticks(x_low, x_high)), strict=True)
        )
        value = (lambda y: 10.0**y) if self.log else float
        ends = "; ".join(f"{name} from {value(y[0]):.4g} to {value(y[-1]):.4g}" for name, _, y in lines)
        says = escape(f"{self.y_label} over {self.x_label}: {ends}")
        legend = "".join(
            f'<li{f" data-line={i}" if self.apart else ""}><svg viewBox="0 0 24 8" aria-hidden="true">'
            f'<path class="{look}" fill="none" d="M0 4H24"/></svg>{escape(name)}</li>'
            for i, (look, (name, _, _)) in enumerate(zip(looks, lines, strict=True))
        )
        legend += "".join(
            '<li><svg viewBox="0 0 24 8" aria-hidden="true"><line class="reference" x2="24" y1="4" y2="4"/></svg>'
            f"{escape(name.replace('_', ' '))}: {y:.4g}</li>"
            for name, y in self.references.items()
        )
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="card"><ul class="legend">{legend}<li>{escape(unit)}</li></ul>'
            f'<div class="curve"><div class="area" data-from="{x_low!r}" data-to="{x_high!r}" '
            f'data-low="{low!r}" data-high="{high!r}"{" data-log" if self.log else ""}>'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
            f'aria-label="{says}">{grid}{paths}</svg>{marks}</div>'
            f'<span class="axis">{escape(self.x_label)}</span></div></div>{note}'
        )

    def _scaled(self, x: Values, y: Values) -> tuple[Values, Values]:
        if not self.log:
            return x, y
        return x[y > 0], np.log10(y[y > 0])


def powers(low: float, high: float) -> list[float]:
    """What a logarithmic axis shows within [low, high], exponents of ten: at most six whole ones; where there are less
    than two, those of 1, 2 and 5 times a power; where there are less than two of these as well, round exponents."""
    whole = list(range(math.ceil(low), math.floor(high) + 1))
    if len(whole) > 1:
        return [float(p) for p in whole[:: -(-len(whole) // 6)]]
    found = [p + math.log10(m) for p in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    inside = [y for y in found if low <= y <= high]
    return inside if len(inside) > 1 else ticks(low, high)


def _short(value: float) -> str:
    """Of a logarithmic axis: 0.2, 50, 1e-04."""
    return f"{value:.2g}" if 1e-3 <= value < 1e4 else f"{value:.1e}".replace(".0e", "e")


def sparkline(values: Sequence[float]) -> str:
    """A small curve without axes; an empty string for fewer than two values."""
    _, y = _thinned(Line("", range(len(values)), values))
    if len(y) < 2:
        return ""
    low, high = _range([y], [])
    xs = np.linspace(0, 100, len(y))
    ys = 100 * (high - np.clip(y, low, high)) / (high - low)
    path = f'<path class="line1" d="{_path(list(xs), list(ys))}"/>'
    return f'<svg class="spark" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{path}</svg>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within [low, high], steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    if not rough > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def numbers(values: Sequence[float]) -> list[str]:
    """Ticks as short as they can be, all with the same decimals: 12k, 3.5M, 1.90."""
    largest = max((abs(v) for v in values), default=0.0)
    size, letter = next(((s, c) for s, c in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= 10 * s), (1.0, ""))
    scaled = [v / size for v in values]
    decimals = next((d for d in range(6) if all(abs(v - round(v, d)) < 1e-9 for v in scaled)), 6)
    return [f"{v:.{decimals}f}{letter if v else ''}" for v in scaled]


def _thinned(line: Line) -> tuple[Values, Values]:
    x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(x) <= _POINTS:
        return x, y
    starts = np.unique(np.linspace(0, len(x), _POINTS, endpoint=False).astype(np.int64))
    sizes = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def _range(lines: Sequence[Values], references: Sequence[float], *, whole: bool = False) -> tuple[float, float]:
    """Where the values lie but for the first few, which start from chance and would flatten all that follows."""
    low = min([float(y.min()) for y in lines] + list(references))
    high = max([float(np.quantile(y, 1.0 if whole else 0.97)) for y in lines] + list(references))
    margin = 0.06 * (high - low) or max(abs(high), 1.0) * 0.01
    return low - margin, high + margin


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in zip(xs, ys, strict=True))
