"""The table of starters: a line a domain, its seeds summed up, and the picture of it."""

from __future__ import annotations

from pathlib import Path

from benchmarks import starters

ROW = {
    "domain": "dna", "amount": 1000, "metric": "accuracy_species", "unit": "labels",
    "starter": [0.8, 0.9], "scratch": [0.7, 0.7], "frozen": [0.75], "majority": [0.34],
}  # fmt: skip


def test_a_line_has_means_and_deviations() -> None:
    line = starters.line(ROW)
    assert line == "| dna | 1,000 labels | accuracy_species | 0.85 ± 0.071 | 0.7 | 0.75 | majority 0.34 |"


def test_every_domain_has_a_question_and_a_panel(tmp_path: Path) -> None:
    from domains import DOMAINS

    assert set(starters.CASES) == set(DOMAINS.names()) - {"stacking"}
    starters.draw([ROW, {**ROW, "amount": 100}], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
