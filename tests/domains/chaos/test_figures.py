"""Figures: each shows what it is given, on axes of its own or given ones, whatever the values are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from core.evaluation import MODEL
from domains.chaos import figures

TIMES = {MODEL: [1.0, 2.0, 3.0], "nvar": [9.0, 10.0, 10.0], "another": [0.1, 0.2, 0.3]}


def texts(figure: Figure) -> str:
    return " ".join(t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_prediction_times_stand_in_order_with_their_means() -> None:
    """The example."""
    ax = figures.prediction_times(TIMES, cap=10)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["NVAR", MODEL, "another"]
    assert "2.00" in texts(ax.get_figure())
    assert len(ax.collections) == 3


def test_forecasts_have_a_panel_a_start_and_a_line_where_they_end() -> None:
    truth = np.sin(np.arange(90) / 5)[None].repeat(6, axis=0)
    figure = figures.forecasts(truth, truth * 1e9, [0.5, 1.0, 1.5, 3.0], steps=30, channel="x")
    assert len(figure.axes) == figures.SEVERAL
    lines = [line.get_xdata()[0] for ax in figure.axes for line in ax.lines if line.get_linestyle() == "--"]
    assert lines == [0.5, 1.0, 1.5, 3.0]
    low, high = figure.axes[0].get_ylim()
    assert high - low < 10  # a forecast that runs away does not flatten the truth


def test_portraits_share_the_axes_of_the_truth() -> None:
    truth = np.random.default_rng(0).normal(size=(100, 3))
    gone = np.full((100, 3), np.nan)
    figure = figures.phase_portraits({"truth": truth, MODEL: truth * 50, "nvar": gone}, ("x", "y", "z"))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["truth", MODEL, "NVAR"]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert figure.axes[0].get_xlim()[1] < 5
    single = figures.phase_portraits({"truth": truth[:, :1]}, ("x",), lag=3)
    assert "3 steps before" in texts(single)


@pytest.mark.filterwarnings("error")
def test_errors_of_every_kind_can_be_drawn() -> None:
    step = np.arange(1, 91) / 30
    errors = {
        MODEL: 1e-4 * np.exp(step),
        "persistence": np.full(90, np.inf),
        "var": np.r_[np.full(45, 0.1), np.full(45, np.inf)],
        "nvar": np.zeros(90),
    }
    ax = figures.error_growth(errors, steps=30, limit=0.4, lyapunov=True)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [MODEL, "VAR", r"$e^{\lambda t}$"]
    slope = next(line for line in ax.lines if line.get_label() == r"$e^{\lambda t}$")
    assert np.allclose(slope.get_ydata(), errors[MODEL][: len(slope.get_ydata())])
    assert ax.get_yscale() == "log"


def test_spectra_and_maps_name_their_models() -> None:
    frequencies = np.linspace(0, 15, 50)
    shares = np.exp(-frequencies)
    ax = figures.power_spectra(
        {"truth": (frequencies, shares), MODEL: (frequencies, shares), "var": (frequencies, 0 * shares)},
        distances={MODEL: 0.123},
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truth", f"{MODEL} (0.123)"]
    ax = figures.return_map({"truth": np.arange(9.0), MODEL: np.zeros(1)}, channel="z")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truth"]


def test_orbits_are_those_of_the_portraits_in_space() -> None:
    orbit = np.random.default_rng(0).normal(size=(300, 3))
    turned = figures.orbits({"truth": orbit, "nvar": orbit[:5]}, ("x", "y", "z"))
    assert (list(turned.runs), list(turned.axes)) == (["truth", "NVAR"], ["x", "y", "z"])
    assert turned.runs["truth"].tolist() == orbit.tolist()
    single = figures.orbits({"truth": orbit[:, :1]}, ("x",), lag=4).runs["truth"]
    assert single.shape == (292, 3)
    assert single[0].tolist() == [orbit[8, 0], orbit[4, 0], orbit[0, 0]]
    assert figures.orbits({"truth": orbit[:6, :1]}, ("x",), lag=4).runs["truth"].shape == (0, 3)
