"""Figures of answers: each shows the values it was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.evaluation import MODEL
from core.report.gallery import LIST, Gallery
from core.tasks.by_form import FREE, Questions
from core.tasks.figures import confusion, draw, exact_by_length, numbers
from core.tasks.forms import Classes, Indices, Number, Task
from core.tasks.predict import Answer


def test_a_table_of_classes_has_a_row_for_each_right_one() -> None:
    pairs = np.array([[0, 0], [0, 0], [0, 1], [1, 1]])
    axes = confusion(pairs, ("yes", "no"))
    assert [text.get_text() for text in axes.texts] == ["67", "33", "0", "100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["yes (3)", "no (1)"]


def test_numbers_stand_over_their_labels() -> None:
    truth, value = np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 2.0])
    axes = numbers(truth, value, np.stack([value - 1, value + 1], axis=1))
    points = next(line for line in axes.lines if line.get_label() == "answer")
    assert np.array_equal(points.get_xydata(), np.stack([truth, value], axis=1))


def test_whole_lists_are_counted_by_length() -> None:
    right = {MODEL: np.array([True, True, False, True]), FREE: np.array([False, True, False, False])}
    axes = exact_by_length(right, np.array([3, 3, 9, 9]))
    by_name = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert by_name == {"with the grammar": [1, 0.5], "without the grammar": [0.5, 0]}


@pytest.mark.parametrize(
    ("task", "truth", "values"),
    [
        (Classes("kind", classes=("a", "b")), ["a", "b"], ["a", "a"]),
        (Number("score", digits=2, low=0.0, high=9.0), [1.0, 2.0], [1.5, 2.0]),
        (Indices("site", positions=8), [(1,), (2, 3)], [(1,), (2,)]),
    ],
    ids=["classes", "number", "indices"],
)
def test_each_form_has_a_figure_with_a_text_for_who_cannot_see_it(
    tmp_path: Path, task: Task, truth: list[object], values: list[object]
) -> None:
    answers = [Answer(str(i), task.name, value, low=0.0, high=9.0) for i, value in enumerate(values)]
    gallery = Gallery(tmp_path)
    draw(gallery, task, Questions([], truth, [3, 8]), {MODEL: answers}, "data/test")
    gallery.write()
    (entry,) = json.loads((tmp_path / LIST).read_text())
    assert entry["file"] == f"answers_{task.name}.svg"
    assert task.name in entry["alt"]
    assert (tmp_path / f"answers_{task.name}.png").exists()
