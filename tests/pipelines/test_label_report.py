"""What a report reads of predictions on labels: the model's columns, whatever baselines are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.report.predicted import Classes, Numbers
from pipelines.label_report import predictions_figure, read_predictions
from pipelines.run_record import RunRecord


def run_of(folder: Path, lines: str, **head: object) -> RunRecord:
    (folder / "evaluation").mkdir(parents=True)
    (folder / "bundle").mkdir(parents=True)
    (folder / "evaluation" / "predictions.csv").write_text(lines)
    (folder / "bundle" / "head.json").write_text(json.dumps({"level": 0.9, "exclusive": False, **head}))
    return RunRecord(folder)


def test_numbers_with_their_interval(tmp_path: Path) -> None:
    lines = (
        "id,measured_tm,mean_tm,deviation_tm,low_tm,high_tm,baseline_mean_tm\n"
        "a,1,2,0.5,1.5,2.5,9\nb,nan,3,0.5,2.5,3.5,9\nc,3,3,0.5,2.5,3.5,9\n"
    )
    record = run_of(tmp_path, lines, task="regress", columns=["tm"], names=["tm"])
    (found,) = read_predictions(record)
    assert isinstance(found, Numbers)
    assert (found.measured.tolist(), found.predicted.tolist()) == ([1, 3], [2, 3])
    assert (found.low.tolist(), found.high.tolist()) == ([1.5, 2.5], [2.5, 3.5])
    figure = predictions_figure(record, tmp_path / "drawn")
    assert figure is not None
    assert figure.path.is_file()
    assert "tm: 50 % of 2 records within their interval" in figure.alt
    assert "90 % interval" in figure.caption
    pairs = run_of(tmp_path / "pairs", lines, task="regress", columns=["tm"], names=["tm"], pairs="ordered")
    assert "50 % of 2 pairs" in predictions_figure(pairs, tmp_path / "drawn").alt


def test_the_likeliest_class_of_pairs(tmp_path: Path) -> None:
    lines = (
        "id,second,measured_on,measured_off,probability_on,probability_off,majority_on,majority_off\n"
        "a,b,1,0,0.9,0.1,0,1\nc,d,0,1,0.7,0.3,0,1\n"
    )
    record = run_of(tmp_path, lines, task="classify", columns=["kind"], names=["on", "off"], exclusive=True)
    (found,) = read_predictions(record)
    assert isinstance(found, Classes)
    assert found.counts.tolist() == [[1, 0], [1, 0]]


def test_labels_of_yes_and_no_each_have_a_matrix(tmp_path: Path) -> None:
    lines = "id,measured_x,measured_y,probability_x,probability_y\na,1,nan,0.9,0.2\nb,0,1,0.6,0.4\n"
    record = run_of(tmp_path, lines, task="classify", columns=["x", "y"], names=["x", "y"])
    x, y = read_predictions(record)
    assert isinstance(x, Classes)
    assert isinstance(y, Classes)
    assert x.counts.tolist() == [[0, 1], [0, 1]]
    assert y.counts.tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("tested", [False, True])
def test_nothing_is_drawn_where_nothing_was_tested(tmp_path: Path, tested: bool) -> None:
    record = run_of(
        tmp_path, "id,measured_t,mean_t,deviation_t,low_t,high_t\n", task="regress", columns=["t"], names=["t"]
    )
    if not tested:
        (tmp_path / "evaluation" / "predictions.csv").unlink()
    assert predictions_figure(record, tmp_path) is None
    assert read_predictions(record) == []
