"""`kernel=` from end to end: every verb takes it, what computed is written down, what cannot run here is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import core.kernels
from core.bundle import load_bundle
from core.kernels import KERNELS, Needs, chosen, names
from core.objectives.next_token import NextToken
from core.prediction.store import PredictionStore
from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]
EVALUATION = ("evaluation.samples=1", "evaluation.sample_length=20", "evaluation.strand_bases=200")


@pytest.fixture(autouse=True)
def _no_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.kernels, "_preferred", "auto")


@pytest.fixture(scope="module")
def mamba_run(dna_store: Path) -> Path:
    run = dna_store.with_name("mamba_run")
    assert foretell_cli("train", f"store={dna_store}", f"run={run}", *TINY, "model=mamba", "kernel=torch") == 0
    return run


def told(capsys: Captured, path: Path) -> dict[str, Any]:
    capsys.readouterr()
    assert foretell_cli("describe", path, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_run_a_bundle_and_a_prediction_say_which_kernels_computed(
    dna_store: Path, mamba_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert told(capsys, mamba_run)["kernel"] == {"selective_scan": "torch"}
    assert told(capsys, mamba_run / "bundle")["kernel"] == {"selective_scan": "torch"}
    assert "| kernel.selective_scan | torch |" in load_bundle(mamba_run / "bundle").card
    out = tmp_path / "p.zarr"
    keys = ("predict", f"bundle={mamba_run}", f"input={dna_store}", f"output={out}", "device=cpu")
    assert foretell_cli(*keys, "kernel=torch") == 0
    assert "selective_scan: kernel 'torch' (cpu, float32)" in capsys.readouterr().err.splitlines()
    assert told(capsys, out)["kernel"] == {"asked": "torch", "selective_scan": "torch", "parts": "torch"}
    assert foretell_cli(*keys) == 4
    assert "kernel.asked: torch -> auto" in capsys.readouterr().err


def test_auto_is_written_down_as_what_it_came_to(dna_store: Path, mamba_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.zarr"
    assert foretell_cli("predict", f"bundle={mamba_run}", f"input={dna_store}", f"output={out}", "device=cpu") == 0
    plan = PredictionStore.open(out).plan["kernel"]
    assert plan["asked"] == "auto"
    assert plan["selective_scan"] == chosen("M", Needs(device="cpu"))["selective_scan"] != "auto"


def test_a_model_without_such_mixers_says_nothing_of_kernels(
    dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "p.zarr"
    assert foretell_cli("predict", f"bundle={dna_run}", f"input={dna_store}", f"output={out}", "kernel=torch") == 0
    said = capsys.readouterr()
    assert "selective_scan" not in said.err + said.out
    assert "ssd" not in said.err + said.out
    assert set(PredictionStore.open(out).plan["kernel"]) == {"asked", "parts"}
    assert told(capsys, dna_run / "bundle")["kernel"] == {}


@pytest.mark.parametrize("name", [name for name in names() if name != "auto"])
def test_every_verb_computes_with_the_kernel_asked_for(
    name: str, dna_store: Path, mamba_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [kernel.barred("cpu") for kernels in KERNELS.values() for kernel in kernels if kernel.name == name]
    if all(reasons):
        pytest.skip(f"{name}: {reasons[0]}")
    asked: list[str | None] = []
    pick = core.kernels._pick

    def noted(kind: str, needs: Needs, wanted: str) -> Any:
        asked.append(wanted)
        return pick(kind, needs, wanted)

    monkeypatch.setattr(core.kernels, "_pick", noted)
    trained = [key for key in TINY if not key.startswith(("model.", "size="))]
    for command in (
        ("train", f"store={dna_store}", f"run={tmp_path / 'run'}", *TINY, "model.pattern=MS", "model.layers=2"),
        ("finetune", f"store={dna_store}", f"run={tmp_path / 'tuned'}", f"init_from={mamba_run}", *trained),
        ("evaluate", f"bundle={mamba_run}", f"store={dna_store}", f"out={tmp_path / 'e'}", *EVALUATION),
        ("sample", f"bundle={mamba_run}", "n=1", "max_length=9", "prefix=ACG", f"out={tmp_path / 's.fasta'}"),
        ("predict", f"bundle={mamba_run}", f"input={dna_store}", f"output={tmp_path / 'p.zarr'}"),
    ):
        asked.clear()
        assert foretell_cli(*command, f"kernel={name}", "device=cpu") == 0, command
        assert set(asked) == {name}, command
    used = load_bundle(tmp_path / "tuned" / "bundle").training["kernel"]
    assert used == chosen("M", Needs(gradient=True), name)


def test_the_demo_hands_it_to_its_steps() -> None:
    from pipelines.demo import Chain, DemoOptions

    keys = Chain("dna", DemoOptions(kernel="torch"))._keys("train")
    assert "kernel=torch" in keys


@pytest.mark.parametrize("verb", ["train", "finetune", "evaluate", "sample", "predict"])
def test_unknown_kernels_and_those_that_cannot_run_here_exit_with_2(
    verb: str, dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    keys = {
        "train": (f"store={dna_store}", f"run={tmp_path / 'made'}", *TINY),
        "finetune": (f"store={dna_store}", f"run={tmp_path / 'made'}", f"init_from={dna_run}"),
        "evaluate": (f"bundle={dna_run}", f"store={dna_store}", f"out={tmp_path / 'made'}"),
        "sample": (f"bundle={dna_run}", f"out={tmp_path / 'made'}"),
        "predict": (f"bundle={dna_run}", f"input={dna_store}", f"output={tmp_path / 'made'}"),
    }[verb]
    why = KERNELS["ssd"][0].reason("cpu")
    for name, said in (
        ("torhc", "unknown kernel 'torhc'; did you mean 'torch'?"),
        ("mamba_ssm", f"kernel 'mamba_ssm' cannot run here: {why}"),
    ):
        assert foretell_cli(verb, *keys, f"kernel={name}", "device=cpu") == 2
        err = capsys.readouterr().err
        assert said in err
        assert "Can run here: auto, " in err
        assert f"mamba_ssm cannot: {why}" in err
    assert not list(tmp_path.iterdir())


def test_a_pattern_that_the_objective_cannot_train_is_refused_with_the_reason(
    dna_store: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "its rows are read in both directions"
    monkeypatch.setattr(NextToken, "refuses", lambda self, mixers: reason if "M" in mixers else "")
    run = tmp_path / "run"
    for dry in ("false", "true"):
        keys = ("train", f"store={dna_store}", f"run={run}", *TINY, f"dry_run={dry}")
        assert foretell_cli(*keys, "model=mamba") == 2
        assert f"objective 'next_token' cannot train a model of pattern 'M': {reason}" in capsys.readouterr().err
        assert not run.exists()
    assert foretell_cli(*keys, "model=mamba2") == 0
