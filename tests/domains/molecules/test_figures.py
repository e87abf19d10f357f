from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from domains.molecules import figures
from tests.domains.molecules.made import PLAIN

RNG = np.random.default_rng(0)


def test_every_sample_stands_above_its_neighbour() -> None:
    figure = figures.molecule_grid(PLAIN[:6], PLAIN[1:7], np.linspace(0.2, 1, 6))
    titles = [ax.get_title("center") for ax in figure.axes]
    assert titles.count("sample") == 6
    assert sum(title.startswith("nearest: ") for title in titles) == 6
    same = figures.molecule_grid(PLAIN[:1], PLAIN[:1], [1.0])
    assert "in training" in [ax.get_title("center") for ax in same.axes]


def test_a_drawn_molecule_is_a_picture_with_ink() -> None:
    picture = figures.drawn("c1ccccc1")
    assert picture.shape[2] in (3, 4)
    assert 0 < float((picture[..., :3].mean(axis=2) < 0.5).mean()) < 0.2


def test_properties_are_panels_with_the_models_named() -> None:
    values = {
        name: {"test": RNG.normal(size=200), "foretell": RNG.normal(size=50)} for name in ("logp", "qed", "weight")
    }
    figure = figures.property_histograms(values)
    assert isinstance(figure, Figure)
    assert [ax.get_xlabel() for ax in figure.axes[:3]] == [figures.TITLES[name] for name in values]
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["test", "foretell"]


def test_similarity_falls_from_all_to_none() -> None:
    axes = figures.similarity_to_train({"foretell": np.array([0.3, 0.5, 0.9])}, 1000)
    shares = np.asarray(axes.lines[0].get_ydata())
    assert shares[0] == 1
    assert shares[-1] == 0
    assert (np.diff(shares) <= 0).all()
    assert "1,000" in axes.get_xlabel()


def test_asked_and_achieved_shows_every_sample() -> None:
    values = RNG.normal(size=30)
    axes = figures.asked_and_achieved("logp", np.arange(30) % 3, values, (-0.5, 0.5))
    assert sum(len(np.asarray(line.get_xdata())) for line in axes.lines if line.get_marker() == ".") == 30
    assert len(axes.patches) == 3


def test_predictions_are_named_with_their_errors() -> None:
    measured = RNG.normal(size=20)
    axes = figures.predicted_properties("logd", measured, {"foretell": measured + 0.1}, {"foretell": 0.1})
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["foretell: RMSE 0.10"]
