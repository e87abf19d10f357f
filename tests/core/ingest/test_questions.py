"""Reports of stores whose rows are questions: records, copies and labels are counted by record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data_report import DataReport
from core.ingest.questions import first_rows
from core.store import TokenStore
from tests.conftest import foretell_cli

RESIDUES = list("ACDEFGHIKLMNPQRSTVWY")
RECORDS = 40


def prepare(folder: Path, *keys: str, copies: int = 0) -> DataReport:
    """Distinct proteins and copies of the first ones, with a class, a string of states, and three tasks."""
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice(RESIDUES, 20)) for _ in range(RECORDS)]
    lines = ["id,sequence,soluble,state"]
    for i, text in enumerate(letters + letters[:copies]):
        lines.append(f"p{i},{text},{'yes' if i % 4 else 'no'},{''.join(rng.choice(list('HEC'), 20))}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    tasks = ("tasks.soluble.kind=classes", "tasks.charged.kind=positions", "tasks.charged.letters=DEKR")
    asked = (*tasks, "tasks.state.kind=per_token", "progress=false", "split.leakage=false", *keys)
    store = folder / "s.zarr"
    assert (
        foretell_cli("prepare", "domain=proteins", f"data.path={folder / 'table.csv'}", f"store={store}", *asked) == 0
    )
    return DataReport(**TokenStore.open(store).report)


@pytest.mark.parametrize("copies", [0, 3])
def test_records_and_their_copies_are_counted_once(tmp_path: Path, copies: int) -> None:
    report = prepare(tmp_path, copies=copies)
    n = RECORDS + copies
    assert report.counts["ok"] == 3 * n
    assert report.asked == {"records": n, "copies": copies}
    text = report.to_text()
    assert f"{3 * n} questions read, {3 * n} kept, 0 rejected; about {n} records" in text
    assert f"{copies} of the {n} records are copies of another" in text


def test_labels_are_those_of_records_not_of_questions(tmp_path: Path) -> None:
    report = prepare(tmp_path)
    state, soluble, task = (report.labels[name] for name in ("state", "soluble", "task"))
    assert (state["kind"], state["different"], state["records"]) == ("texts", RECORDS, RECORDS)
    assert {name: sum(parts.values()) for name, parts in soluble["classes"].items()} == {"yes": 30, "no": 10}
    assert sum(part["records"] for part in soluble["parts"].values()) == RECORDS
    assert {name: sum(parts.values()) for name, parts in task["classes"].items()} == dict.fromkeys(
        ("soluble", "charged", "state"), RECORDS
    )


def test_records_that_are_asked_in_pieces_are_counted_whole(tmp_path: Path) -> None:
    report = prepare(tmp_path, "tasks.state.piece=8")
    assert report.counts["ok"] == 5 * RECORDS
    assert report.asked == {"records": RECORDS}
    assert report.labels["state"]["kind"] == "texts"
    assert "questions are about the letters of another" in report.to_text()


def test_neighbours_of_one_name_are_two_records() -> None:
    assert first_rows(["a#x", "a#y", "a#x", "a#y", "b#y"], {}).tolist() == [True, False, True, False, True]
    of = {"piece_of": [np.array(["c:1-5", "c:1-5"]), np.array(["c:6-9"])]}
    assert first_rows(["c:1-5#x", "c:1-5#y", "c:6-9#x"], of).tolist() == [True, False, True]


def test_a_report_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    report = prepare(tmp_path).to_dict()
    del report["asked"]
    assert "questions are about the letters of another" in DataReport(**report).to_text()
