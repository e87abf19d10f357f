"""Every figure of DNA draws what it is given, on its own axes or on given ones."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from core.evaluation import MODEL, Metric
from core.report.gallery import BASELINE_COLOUR, DATA_COLOUR, GREY, MODEL_COLOUR, OTHER_COLOUR
from domains.dna import figures

RNG = np.random.default_rng(0)


def metric(model, value, low=None, high=None):
    return Metric("bits_per_base", value, low, high, 10, "toy/test", model)


ROWS = [metric("markov_7", 1.94, 1.93, 1.95), metric(MODEL, 1.9, 1.89, 1.91), metric("markov_0", 2.0)]
PLACES = {"codon 1": metric(MODEL, 1.9, 1.88, 1.92), "codon 3": metric(MODEL, 1.97)}
BITS = RNG.normal(1.95, 0.03, 40)
ARGUMENTS = {
    "learning_curve": (([1, 2, 3], [2.0, 1.99, 1.98]), ([2, 3], [1.99, 1.985])),
    "bits_per_base": (ROWS,),
    "per_position": (np.arange(40), {MODEL: BITS, "markov_7": BITS + 0.01}),
    "kmer_spectrum": (np.arange(64) / 2016, {"train": np.arange(64) / 2016, MODEL: np.arange(64)[::-1] / 2016}),
    "gc_histogram": ({MODEL: RNG.random(20), "test": RNG.random(20)},),
    "codon_positions": ({MODEL: PLACES, "markov_7": PLACES},),
    "strand_asymmetry": (BITS, BITS + 0.01),
    "longest_copies": ({MODEL: np.array([12, 14, 500]), "test": np.array([13, 15, 16])},),
}
OPTIONS = {"kmer_spectrum": {"k": 3, "divergences": {MODEL: 0.1}}, "learning_curve": {"references": {"markov_7": 1.95}}}


def drawn(name, **more):
    return getattr(figures, name)(*ARGUMENTS[name], **OPTIONS.get(name, {}), **more)


def texts(ax):
    legend = ax.get_legend()
    entries = [t.get_text() for t in legend.get_texts()] if legend else []
    ticks = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return " | ".join([ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel(), *entries, *ticks])


def test_bars_are_ordered_and_marked():
    """The example: the best on top, the model in its own colour, intervals where there are any."""
    ax = drawn("bits_per_base")
    bars = sorted(ax.patches, key=lambda bar: -bar.get_y())
    assert [round(bar.get_x() + bar.get_width(), 3) for bar in bars] == [1.9, 1.94, 2.0]
    assert to_hex(bars[0].get_facecolor()) == MODEL_COLOUR
    assert to_hex(bars[1].get_facecolor()) == BASELINE_COLOUR
    assert "axis starts at" in ax.get_xlabel()


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_says_what_it_shows_and_in_which_unit(name):
    ax = drawn(name)
    assert ax.get_title(loc="left")
    assert any(unit in texts(ax) for unit in ("bits per base", "fraction", "frequency", "bases"))


def test_every_model_is_named():
    for name in ("per_position", "codon_positions", "gc_histogram", "longest_copies", "kmer_spectrum"):
        assert MODEL in texts(drawn(name)), name
    assert "markov 7" in texts(drawn("per_position"))
    assert "JS 0.1000 bits" in texts(drawn("kmer_spectrum"))


def test_a_long_copy_makes_the_axis_logarithmic():
    assert drawn("longest_copies").get_xscale() == "log"
    assert figures.longest_copies({MODEL: [12, 14]}).get_xscale() == "linear"


def test_missing_values_leave_gaps():
    ax = figures.per_position([0, 1, 2], {MODEL: [1.9, np.nan, 1.8]})
    assert isinstance(ax, Axes)
    assert np.isnan(ax.lines[0].get_ydata()[1])


def test_colours_are_told_apart_in_grey():
    """The relative luminance of model, baseline and data differs by 5 % of the scale: a grey print shows it."""

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    light = sorted(map(luminance, (MODEL_COLOUR, BASELINE_COLOUR, DATA_COLOUR)))
    assert min(np.diff(light)) > 0.05
    assert len({MODEL_COLOUR, BASELINE_COLOUR, DATA_COLOUR, OTHER_COLOUR, GREY}) == 5
