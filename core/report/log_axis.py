"""Logarithmic axes that are read without arithmetic: 40, 50, 60 instead of 4 x 10^1, 5 x 10^1, 6 x 10^1.

matplotlib names whole powers of ten and, on a short axis, multiples of them. Here the marks are 1, 2 and 5 times a
power where whole ones are too few, written as plain numbers; very large and very small ones stay powers.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, Locator, NullLocator

from core.report.curve import ticks

_STEPS = ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
_ENOUGH, _MOST = 3, 7


def plain_log(ax: Axes, which: str = "x") -> None:
    """Makes the axis (`x` or `y`) logarithmic, with plain numbers; what is drawn later is taken into account."""
    ax.set_xscale("log") if which == "x" else ax.set_yscale("log")
    axis: Axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(_Plain())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def marks(low: float, high: float) -> list[float]:
    """Three to seven round numbers within [low, high], both above 0: powers of ten, or multiples of them."""
    whole = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _STEPS:
        found = [step * 10.0**power for power in whole for step in steps]
        inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) >= _ENOUGH:
            return inside[:: -(-len(inside) // _MOST)]
    return ticks(low, high)


def written(value: float) -> str:
    """`40`, `1,500`, `0.02`; below 0.001 and from a million on a power: $10^{-5}$."""
    if 1e-3 * (1 - 1e-9) <= value < 1e6 or value <= 0:
        return f"{value:,.6g}"
    power = math.floor(math.log10(value) + 1e-9)
    factor = value / 10.0**power
    return f"$10^{{{power}}}$" if math.isclose(factor, 1) else rf"${factor:.3g}\times10^{{{power}}}$"


class _Plain(Locator):
    """Marks of the interval that is shown."""

    def __call__(self) -> list[float]:
        low, high = self.axis.get_view_interval()  # type: ignore[union-attr]
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        low, high = sorted((vmin, vmax))
        return marks(low, high) if 0 < low < high < math.inf else []
