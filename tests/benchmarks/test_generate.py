"""The comparison of generation runs as a whole in its reduced form, so that it cannot rot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the peers are not installed")

from benchmarks.generate import QUESTIONS, main


def test_every_question_is_answered(tmp_path: Path) -> None:
    main(["--reduced", "--threads=1", "--repeats=1", f"--json={tmp_path / 'out.json'}"])
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == list(QUESTIONS)
    for question, answer in found.items():
        ((peer, rate),) = answer["peers"].items()
        assert answer["ours"] > 0
        assert answer["ratio"] == pytest.approx(answer["ours"] / rate, rel=1e-2)
        assert answer["parameters"]["ours"] == pytest.approx(answer["parameters"][peer], rel=0.1)
        assert answer["shape"]["batch"] == int(question.split("_")[1].removeprefix("batch"))
        assert question in answer["command"]
