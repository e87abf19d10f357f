"""The comparison runs as a whole in its reduced form: peers' interfaces change, and a script that nobody runs rots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the peers are not installed")
pytest.importorskip("mambapy", reason="the peers are not installed")

from benchmarks.backbones import QUESTIONS, in_a_process, main
from benchmarks.peers import Shape, hf_llama, hf_mamba, hf_mamba2, n_parameters, ours
from benchmarks.steps import ragged


def test_every_question_is_answered(tmp_path: Path) -> None:
    main(["--reduced", "--threads=1", f"--json={tmp_path / 'out.json'}", f"--figure={tmp_path / 'out.png'}"])
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == list(QUESTIONS)
    for question, answer in found.items():
        assert answer["ours"] > 0
        assert answer["ratio"] == pytest.approx(answer["ours"] / max(answer["peers"].values()), rel=1e-2)
        assert question in answer["command"]
        assert answer["shape"]["width"] == 32
    assert (tmp_path / "out.png").stat().st_size > 10_000


@pytest.mark.parametrize(("pattern", "peer"), [("transformer", hf_llama), ("mamba", hf_mamba), ("mamba2", hf_mamba2)])
def test_peers_are_as_large_as_ours(pattern: str, peer: object) -> None:
    shape = Shape(width=64, layers=2)
    assert n_parameters(peer(shape)) == pytest.approx(n_parameters(ours(shape, pattern)), rel=0.02)  # type: ignore[operator]


def test_ragged_rows_count_the_same_real_tokens_on_both_sides() -> None:
    sides = ragged(Shape(width=32, layers=1, vocabulary=16, batch=2, length=32), "fp32")
    own, theirs = (sum(next(side.batches)[1] for _ in range(side.facts.steps)) for side in sides)
    assert own == theirs
    assert sides[0].facts.steps == sides[1].facts.steps


@pytest.mark.slow
def test_a_probe_in_a_process_of_its_own_reports_time_and_memory() -> None:
    found = in_a_process("transformer", "fp32", Shape(width=64, layers=2, length=1024), 1)
    assert found["microseconds_a_token"] > 0
    assert found["bytes_a_token"] > 2 * 64 * 4  # more than the residual streams of two layers
