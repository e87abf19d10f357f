"""The script runs as a whole and answers every question; a script that nobody runs rots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.real_values import main


@pytest.mark.slow
def test_every_question_is_answered(tmp_path: Path) -> None:
    main(["--repeats=1", f"--json={tmp_path / 'out.json'}"])
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found) == {"windows", "free_runs", "starts"}
    assert all(facts["seconds"] > 0 for facts in found.values())
