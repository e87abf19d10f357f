"""Figures of proteins: each draws what it is given, nothing more, and looks like the others."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from core.evaluation import MODEL, Metric
from domains.proteins import figures
from domains.proteins.tokenizer import RESIDUES


def metric(model, value, low=None, high=None):
    return Metric("bits_per_residue", value, low, high, 5, "toy/test", model)


def labels(ax):
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_bits_are_listed_best_first_in_every_part():
    parts = {
        "honest part": [metric("markov_0", 4.2, 4.1, 4.3), metric(MODEL, 4.1, 4.0, 4.2)],
        "all": [metric("markov_0", 4.1), metric(MODEL, None)],
    }
    ax = figures.bits_per_residue(parts)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["foretell", "markov 0", "markov 0"]
    texts = [text.get_text() for text in ax.texts]
    assert {"4.100", "4.200", "honest part", "all"} <= set(texts)


def test_known_proteins_are_rings():
    known = np.array([True, False, False])
    medians = {MODEL: (np.array([100, 300]), np.array([4.1, 4.0]))}
    ax = figures.bits_by_length(np.array([50, 100, 400]), np.array([2.0, 4.0, 4.2]), known, medians)
    assert [len(points.get_offsets()) for points in ax.collections] == [2, 1]
    assert "median, foretell" in labels(ax)
    alone = figures.bits_by_length(np.array([50, 100]), np.array([4.0, 4.1]), np.zeros(2, bool), medians)
    assert len(alone.collections) == 1


def test_a_track_has_a_bar_for_each_residue_and_its_letters_where_they_fit():
    bits = {MODEL: np.linspace(1, 6, 30), "markov_2": np.full(30, 4.2)}
    ax = figures.likelihood_track(bits, "M" * 30, name="P1")
    assert len(ax.patches) == 30
    assert len(ax.texts) == 30
    assert "P1" in ax.get_title(loc="left")
    assert len(figures.likelihood_track({MODEL: np.ones(200)}, "M" * 200).texts) == 0


def test_composition_is_in_per_cent():
    ax = figures.composition({"test": np.full(20, 0.05), MODEL: np.full(20, 0.05)}, RESIDUES)
    assert sorted(figures.BY_CHEMISTRY) == sorted(RESIDUES)
    assert {round(patch.get_height(), 6) for patch in ax.patches} == {5.0}


def test_distances_have_intervals_and_spectra_leave_out_what_is_missing():
    test, mine = np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.0, 0.8])
    figure = figures.kmer_distance(test, {MODEL: mine}, {"train": (0.1, 0.0, 0.2), MODEL: (0.25, 0.2, 0.3)}, k=3)
    left, right = figure.axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["train", "foretell"]
    assert [text.get_text() for text in left.texts] == ["0.100", "0.250"]
    assert len(right.collections[0].get_offsets()) == 1


def test_novelty_has_two_panels():
    values = {MODEL: np.array([5.0, 90.0]), "test": np.array([6.0, 7.0])}
    figure = figures.novelty(values, values)
    assert isinstance(figure, Figure)
    assert [ax.get_xscale() for ax in figure.axes] == ["log", "linear"]


def test_variants_are_shaded_by_their_changes():
    ax = figures.variant_scatter(np.arange(4.0), np.arange(4.0), np.array([1, 1, 2, 3]), rho=0.5)
    assert labels(ax) == ["1 change", "2 changes", "3 changes"]
    assert "0.500" in ax.get_title(loc="left")
    area = figures.roc({MODEL: (np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5)})
    assert labels(area) == ["foretell, 0.500"]


def test_running_means_leave_out_what_is_missing():
    values = np.array([1.0, np.nan, 3.0, 5.0])
    assert figures.running_mean(values, 3).tolist() == [1.0, 2.0, 4.0, 4.0]


def test_lengths_are_plain_numbers():
    ax = figures.bits_by_length(np.array([41, 50, 90]), np.array([4.0, 4.1, 4.2]), np.zeros(3, bool), {})
    ax.figure.canvas.draw()
    assert {"50", "60", "70", "80", "90"} <= {label.get_text() for label in ax.get_xticklabels()}


def test_a_logo_says_where_nothing_is_certain():
    flat, sure = np.full((4, 20), 1 / 20), np.eye(20)[[0, 3, 3, 1]]
    assert "nothing is certain" in figures.expected_residues(flat, "ACDE", RESIDUES).get_title(loc="left")
    assert "nothing is certain" not in figures.expected_residues(sure, "ACDE", RESIDUES).get_title(loc="left")
