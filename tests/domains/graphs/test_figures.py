"""Figures of graphs: they draw what they are given, odd graphs among them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from core.evaluation import MODEL, Metric
from domains.graphs import figures
from domains.graphs.graph import Graph
from tests.domains.graphs.graphs import PARTS, TAILED, graph


@pytest.mark.parametrize("given", [TAILED, PARTS, graph(1), graph(2), graph(60, (0, 1))], ids=lambda g: f"n{g.n}")
def test_layouts_fit_the_square(given: Graph) -> None:
    places = figures.layout(given)
    assert places.shape == (given.n, 2)
    assert np.isfinite(places).all()
    assert places.min() >= 0
    assert places.max() <= 1 + 1e-9
    assert len(figures.graph_drawing(given).collections) == 2


def test_the_grid_shows_all_and_says_what_is_wrong() -> None:
    figure = figures.side_by_side([TAILED], [PARTS, None, TAILED], ["not valid", "does not parse", "valid"])
    titles = [ax.get_title(loc="center") for ax in figure.get_axes()]
    assert [title for title in titles if title] == ["not valid", "does not parse", "valid"]


def test_histograms_are_shares() -> None:
    ax = figures.degree_histograms({"test": [TAILED], MODEL: []})
    assert sum(ax.lines[0].get_ydata()) == pytest.approx(1)  # type: ignore[arg-type]
    assert isinstance(ax.get_figure(), Figure)


def test_rows_without_a_value_are_left_out() -> None:
    rows = [Metric("mmd2_degree_tv", 0.0, 0.0, 0.1, 3, "x/test", MODEL), Metric("mmd2_degree_tv", None, None, None, 3, "x/test", "train")]  # fmt: skip  # noqa: E501
    assert figures.distances(rows).get_xscale() == "log"
    assert figures.shares([Metric("vun_all", 0.5, 0.4, 0.6, 3, "x/test", MODEL)]).get_xlim()[1] > 1
    assert len(figures.walk_lengths({"graph_sent": [3.0, 5.0]}).patches) == 1
