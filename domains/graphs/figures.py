"""Figures of graphs: each takes graphs or arrays and an `ax` to draw on, and makes its own where none is given.

The look is core.report.gallery's; nothing here judges a graph or reads files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
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
from domains.graphs.graph import Graph, components, degrees, to_networkx

Values = NDArray[np.number] | Sequence[float]

COLOURS = {MODEL: MODEL_COLOUR, "test": DATA_COLOUR, "train": OTHER_COLOUR, "erdos_renyi": BASELINE_COLOUR}
WALKS = {"graph_sent": MODEL_COLOUR, "graph_edges": BASELINE_COLOUR, "graph_euler": DATA_COLOUR}
BAD = "#d55e00"
_EXACT = 48
"""Nodes up to which the layout is Kamada and Kawai's, which takes cubic time."""


def words(model: str) -> str:
    return {"erdos_renyi": "random (Erdős–Rényi)"}.get(model, model.replace("_", " "))


def layout(graph: Graph, seed: int = 0) -> NDArray[np.float64]:
    """(n, 2) places in the unit square: stress majorised where the graph is small and in one part, else by springs."""
    import networkx

    drawn: Any = networkx.Graph(to_networkx(graph))
    whole = components(graph).max(initial=0) == 0
    if whole and 2 < graph.n <= _EXACT:
        found = networkx.kamada_kawai_layout(drawn)
    else:
        found = networkx.spring_layout(drawn, seed=seed, iterations=100)
    places = np.array([found[i] for i in range(graph.n)], np.float64).reshape(-1, 2)
    low, high = places.min(0), places.max(0)
    scaled: NDArray[np.float64] = (places - low) / np.maximum(high - low, 1e-9).max()
    return scaled


@style()
def graph_drawing(
    graph: Graph | None,
    *,
    colour: str = MODEL_COLOUR,
    title: str = "",
    title_colour: str = GREY,
    ax: Axes | None = None,
) -> Axes:
    """Dots and lines; an empty frame for None."""
    ax = ax or new_axes(2.4, 2.4)
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(-0.08, 1.08)
    ax.set_ylim(-0.08, 1.08)
    if graph is None and not title:
        ax.text(0.5, 0.5, "does not parse", ha="center", va="center", color=BAD, fontsize=8)
    elif graph is not None:
        places = layout(graph)
        places = places + (1 - places.max(0)) / 2
        ax.add_collection(LineCollection(list(places[graph.edges]), colors=GREY, linewidths=0.8, zorder=1))
        size = float(np.clip(500 / graph.n, 4, 26))
        ax.scatter(places[:, 0], places[:, 1], s=size, color=colour, linewidths=0, zorder=2)
    if title:
        ax.set_title(title, fontsize=8, color=title_colour, loc="center", pad=2, fontweight="normal")
    return ax


@style()
def side_by_side(
    data: Sequence[Graph], drawn: Sequence[Graph | None], verdicts: Sequence[str], *, columns: int = 4,
    axes: Sequence[Axes] | None = None,
) -> Figure:  # fmt: skip
    """A grid of test graphs at the left, of samples at the right, each with what was found of it.

    Args:
        axes: one a graph, those of the data first.
    """
    if axes is not None:
        given = panels(axes, len(data) + len(drawn), size=(0, 0))
        every: list[tuple[Graph | None, str, str]] = [(graph, "", DATA_COLOUR) for graph in data]
        every += [(graph, note, MODEL_COLOUR) for graph, note in zip(drawn, verdicts, strict=True)]
        for ax, (graph, note, colour) in zip(given, every, strict=True):
            graph_drawing(graph, colour=colour, title=note, title_colour=_shade(note), ax=ax)
        return figure_of(given[0])
    rows = -(-max(len(data), len(drawn)) // columns)
    figure = Figure(figsize=(10.4, 0.5 + 1.35 * rows), layout="constrained")
    halves: Any = figure.subfigures(1, 2, wspace=0.04)
    left, right = halves
    for place, name, graphs, notes in (
        (left, "test graphs", list(data), [""] * len(data)),
        (right, "samples", list(drawn), list(verdicts)),
    ):
        place.suptitle(name, fontsize=11, fontweight="bold", x=0.02, ha="left")
        cells = np.atleast_1d(place.subplots(rows, columns)).ravel()
        for ax in cells[len(graphs) :]:
            ax.set_axis_off()
        colour = DATA_COLOUR if place is left else MODEL_COLOUR
        for ax, graph, note in zip(cells, graphs, notes, strict=False):
            graph_drawing(graph, colour=colour, title=note, title_colour=_shade(note), ax=ax)
    return figure


def _shade(verdict: str) -> str:
    return GREY if verdict in ("", "valid") else BAD


@style()
def degree_histograms(sets: Mapping[str, Sequence[Graph]], *, ax: Axes | None = None) -> Axes:
    """The share of nodes of each degree, a line a set."""
    ax = ax or new_axes()
    for name, graphs in sets.items():
        found = np.concatenate([degrees(graph) for graph in graphs]) if graphs else np.zeros(1, np.int64)
        share = np.bincount(found) / len(found)
        ax.plot(
            np.arange(len(share)), share, marker="o", markersize=4, color=COLOURS.get(name, GREY), label=words(name)
        )
    ax.set_xlabel("degree")
    ax.set_ylabel("share of nodes")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


@style()
def walk_lengths(lengths: Mapping[str, Values], *, ax: Axes | None = None) -> Axes:
    """Tokens of the same graphs in each walk: a bar for the middle graph, a line from the shortest to the longest."""
    ax = ax or new_axes(6.4, 0.9 + 0.5 * len(lengths))
    for place, (kind, found) in enumerate(lengths.items()):
        values = np.asarray(found)
        ax.barh(place, float(np.median(values)), height=0.5, color=WALKS.get(kind, GREY))
        ax.plot([values.min(), values.max()], [place, place], color="#2b3138", linewidth=1.2)
        ax.text(float(values.max()), place, f"  {np.median(values):.0f}", va="center", fontsize=9)
    ax.set_yticks(range(len(lengths)), [kind.removeprefix("graph_") for kind in lengths])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("tokens a graph: middle, shortest to longest")
    return ax


@style()
def shares(rows: Sequence[Metric], *, ax: Axes | None = None) -> Axes:
    """Dots with 95 % intervals for shares of samples, from 0 to 1, a line a metric, all models side by side."""
    names = list(dict.fromkeys(row.name for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))
    ax = ax or new_axes(6.8, 0.9 + 0.42 * len(names))
    for row in rows:
        if row.value is None:
            continue
        place = names.index(row.name) + 0.16 * (models.index(row.model) - (len(models) - 1) / 2)
        low, high = (row.value if end is None else end for end in (row.low, row.high))
        colour = COLOURS.get(row.model, GREY)
        ax.plot([low, high], [place, place], color=colour, linewidth=2.4, alpha=0.5)
        ax.plot([row.value], [place], "o", color=colour, markersize=5)
    for model in models:
        ax.plot([], [], "o", color=COLOURS.get(model, GREY), label=words(model))
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.invert_yaxis()
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("share of all samples")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(models))
    return ax


@style()
def distances(rows: Sequence[Metric], *, ax: Axes | None = None) -> Axes:
    """Squared MMD from the test graphs on a logarithmic axis, what is below 1e-5 at its end; `train` is what a perfect
    sampler would reach."""
    names = list(dict.fromkeys(row.name for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))
    ax = ax or new_axes(6.8, 1.0 + 0.5 * len(names))
    least = 1e-5
    for row in rows:
        if row.value is None:
            continue
        place = names.index(row.name) + 0.2 * (models.index(row.model) - (len(models) - 1) / 2)
        low, high = (row.value if end is None else end for end in (row.low, row.high))
        colour = COLOURS.get(row.model, GREY)
        ax.plot([max(low, least), max(high, least)], [place, place], color=colour, linewidth=2.4, alpha=0.5)
        ax.plot([max(row.value, least)], [place], "o", color=colour, markersize=5)
    for model in models:
        ax.plot([], [], "o", color=COLOURS.get(model, GREY), label=words(model))
    plain_log(ax)
    ax.set_yticks(range(len(names)), [name.split("_")[1] for name in names])
    ax.invert_yaxis()
    ax.set_xlabel("squared MMD from the test graphs")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(models))
    return ax
