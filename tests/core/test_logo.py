"""Sequence logos: heights are information, and every letter stands where its height says."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from core.report.logo import draw_logo, information, name_positions


def test_a_certain_position_is_as_high_as_the_alphabet_allows() -> None:
    heights = information(np.array([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]]))
    assert heights.sum(axis=1) == pytest.approx([2.0, 0.0, 1.0], abs=1e-6)
    assert heights[2] == pytest.approx([0.5, 0.5, 0, 0], abs=1e-6)


def test_letters_are_stacked_without_a_gap_the_highest_on_top() -> None:
    ax = Figure().subplots()
    draw_logo(ax, np.array([[0.2, 1.0, 0.0, 0.5]]), "ACGT", {"C": "#0072b2"})
    boxes = [path.get_extents() for path in ax.collections[0].get_paths()]
    assert [(round(b.y0, 6), round(b.y1, 6)) for b in boxes] == [(0.0, 0.2), (0.2, 0.7), (0.7, 1.7)]
    assert all(b.x0 > 0.5 and b.x1 < 1.5 for b in boxes)
    name_positions(ax, "C")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["C"]


def test_nothing_expected_is_an_empty_logo() -> None:
    ax = Figure().subplots()
    draw_logo(ax, np.zeros((3, 4)), "ACGT", {})
    assert ax.get_ylim()[1] > 0
