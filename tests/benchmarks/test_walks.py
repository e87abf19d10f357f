"""The table of walks: one row each, made by the verbs themselves."""

from __future__ import annotations

import re

import pytest

from benchmarks import walks


def test_a_row_shows_every_metric_with_its_interval() -> None:
    row = {"walk": "Euler", **{name: [0.5, 0.25, 0.75] for name in walks.METRICS}}
    cells = [cell.strip() for cell in walks.line(row).strip("|").split("|")]
    assert cells == ["Euler", "0 [0, 1]", "0.500 [0.250, 0.750]", "0.50 [0.25, 0.75]", "0.50 [0.25, 0.75]"]
    few = {**row, walks.METRICS[1]: [0.5, None, None]}
    assert "| 0.500 |" in walks.line(few)


@pytest.mark.slow
def test_walks_are_measured_on_the_same_graphs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(walks, "WALKS", {name: walks.WALKS[name] for name in ("SENT, lexdfs", "Euler")})
    command = "walks.py --nodes 4,6 --count 20 --steps 2 --samples 4"
    monkeypatch.setattr("sys.argv", [*command.split(), "--folder", str(tmp_path)])
    walks.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [re.split(r" *\| *", row)[1] for row in rows] == ["SENT, lexdfs", "Euler"]
    assert (tmp_path / "Euler" / "evaluation" / "metrics.json").exists()
