"""What is drawn of predictions: every record with its interval, and every record in the cell of its classes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from core.errors import ConfigError
from core.report.predicted import Classes, Numbers, predicted_figure

MEASURED = np.array([1.0, 2.0, 3.0])
NUMBERS = Numbers("tm", MEASURED, MEASURED + 0.5, MEASURED - 0.1, MEASURED + np.array([1.0, 1.0, -0.05]))
CLASSES = Classes("kind", ("a", "b", "c"), np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0]))


def test_a_dot_and_an_interval_for_each_record_and_the_diagonal() -> None:
    (ax,) = predicted_figure([NUMBERS]).axes
    intervals, dots = ax.collections
    assert np.asarray(dots.get_offsets()).tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]
    assert len(intervals.get_paths()) == 3
    (diagonal,) = ax.lines
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert ax.get_xlim() == ax.get_ylim()
    assert pytest.approx(2 / 3) == NUMBERS.inside


def test_every_record_is_in_the_cell_of_its_classes() -> None:
    assert CLASSES.counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert pytest.approx(3 / 5) == CLASSES.right
    (ax,) = predicted_figure([CLASSES]).axes
    assert [text.get_text() for text in ax.texts] == ["1", "1", "0", "0", "1", "0", "1", "0", "1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


def test_many_classes_have_shades_without_numbers() -> None:
    many = Classes("kind", tuple(map(str, range(60))), np.arange(60), np.arange(60))
    (ax,) = predicted_figure([many]).axes
    assert not ax.texts
    assert np.array_equal(np.asarray(ax.images[0].get_array()), np.eye(60))


def test_on_given_axes() -> None:
    given = Figure().subplots(1, 2)
    assert predicted_figure([NUMBERS, CLASSES], axes=given).axes == list(given)
    with pytest.raises(ConfigError, match="1 panels, got 2"):
        predicted_figure([NUMBERS], axes=given)
    one = Numbers("tm", *(np.ones(1) for _ in range(4)))
    assert len(predicted_figure([one, one, one]).axes) == 4, "of the grid's four one stays empty"
