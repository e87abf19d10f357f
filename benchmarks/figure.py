"""A figure of speeds beside peers: one group of horizontal bars a question, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, THEIRS = "#0072B2", "#B9B9B9"
"""Blue of Okabe and Ito's palette, and a grey: told apart by lightness as well."""


def draw(answers: dict[str, dict[str, Any]], path: Path) -> None:
    """Questions whose answer is a speed; each bar says its value, ours also how many times the best peer that is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars: list[tuple[str, float, str, str]] = []  # label, value, colour, text; a gap where the label is empty
    for question, found in answers.items():
        if found.get("unit") != "tokens/s":
            continue
        bars.append((question.replace("_", " "), 0.0, OURS, ""))
        ours = found.get("contender", "foretell")
        bars.append((ours, found["ours"], OURS, f"{found['ours']:,.0f}   {found['ratio']:.2f}x"))
        bars += [(name, speed, THEIRS, f"{speed:,.0f}") for name, speed in found["peers"].items()]
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.28 * len(bars)), layout="constrained")
    values = [value for _, value, _, _ in bars if value]
    axes.set_xscale("log")
    axes.set_xlim(min(values, default=1) / 2, max(values, default=1) * 4)
    for y, (label, value, colour, text) in enumerate(bars):
        if not value:
            axes.text(0.0, y, label, transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold")
            continue
        axes.barh(y, value, color=colour, height=0.8)
        axes.text(value * 1.06, y, text, va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [label if value else "" for label, value, _, _ in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlabel("tokens per second")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
