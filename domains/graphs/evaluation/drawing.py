"""Which figures an evaluation of graphs shows, and what each of them says in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.evaluation import MINUS, MODEL, MetricTable
from core.report.gallery import Gallery
from domains.graphs import figures
from domains.graphs.evaluation.samples import ER, Counts
from domains.graphs.graph import Graph

SHOWN = 16
"""Graphs of each kind in the grid."""
SHARES = ("vun_all", "valid_all", "unique_all", "novelty_all", "valid_parse_share", "vun_grammar")


def draw(
    gallery: Gallery,
    table: MetricTable,
    *,
    label: str,
    test: list[Graph],
    drawn: list[Graph | None],
    random: list[Graph],
    counts: Counts,
    lengths: dict[str, Any],
) -> None:
    """Every figure that there are numbers for."""
    verdicts = [verdict(counts, i) for i in range(min(SHOWN, len(drawn)))]
    invalid = sum(text != "valid" for text in verdicts)
    gallery.add(
        figures.side_by_side(test[:SHOWN], drawn[:SHOWN], verdicts),
        "graphs",
        portrait=True,
        alt=f"{min(SHOWN, len(test))} graphs of {label} and the first {len(verdicts)} samples, with dots and lines; "
        f"{invalid} of the samples are not valid, unique and new.",
        caption="The first samples, none left out, beside graphs of the test part.",
    )
    shown = [r for n in SHARES for r in table.rows if r.name == n and r.model in (MODEL, ER)]
    gallery.add(
        _figure(figures.shares(shown)),
        "vun",
        alt="Shares of samples that are valid, unique and new: "
        + "; ".join(f"{r.name} of {r.model} {r.value:.2f}" for r in shown if r.value is not None),
        caption="Valid, unique, new: over all samples, with 95 % intervals.",
    )
    rows = [r for r in table.rows if r.name.startswith("mmd2_") and MINUS not in r.name]
    if rows:
        gallery.add(
            _figure(figures.distances(rows)),
            "distances",
            alt="Squared MMD from the test graphs: "
            + "; ".join(f"{r.name} of {r.model} {r.value:.4f}" for r in rows if r.value is not None),
            caption="How far samples are from the test graphs; training graphs show the floor.",
        )
    sets = {"test": test, MODEL: [g for g in drawn if g is not None], ER: random}
    gallery.add(
        _figure(figures.degree_histograms(sets)),
        "degrees",
        alt="Share of nodes of each degree in test graphs, samples and random graphs; mean degrees "
        + ", ".join(f"{name} {_mean_degree(graphs):.2f}" for name, graphs in sets.items() if graphs),
        caption="Degrees.",
    )
    gallery.add(
        _figure(figures.walk_lengths(lengths)),
        "walks",
        alt="Tokens that the test graphs take in each walk, in the middle: "
        + ", ".join(f"{kind} {np.median(found):.0f}" for kind, found in lengths.items()),
        caption="The same graphs in the three walks.",
    )


def verdict(counts: Counts, i: int) -> str:
    """What is to be said of sample i in a word."""
    if not counts.parsed[i]:
        return "does not parse"
    for found, text in (
        (counts.valid[i], "not valid"),
        (counts.unique[i], "repeated"),
        (counts.novel[i], "in training"),
    ):
        if not found:
            return text
    return "valid"


def _mean_degree(graphs: list[Graph]) -> float:
    return 2 * sum(len(g.edges) for g in graphs) / max(1, sum(g.n for g in graphs))


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
