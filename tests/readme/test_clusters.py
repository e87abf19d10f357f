"""What docs/predict.md shows for Dask and SLURM is run: on a cluster of processes, and by a stand-in for sbatch."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from core.prediction.store import PredictionStore
from tests.conftest import foretell_cli
from tests.core.conftest import sbatch  # noqa: F401
from tests.core.prediction.conftest import cluster  # noqa: F401

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")


def shown(launcher: str) -> list[list[str]]:
    """The commands of the page's blocks of text in which that launcher stands, without comments."""
    (block,) = [b for b in re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S) if f"launcher={launcher}" in b]
    lines = block.replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := shlex.split(line, comments=True))]


def here(command: list[str], run: Path, store: Path, output: Path, **changes: str) -> list[str]:
    """Keys of `foretell predict` with this test's files, and what must be smaller than on a real cluster."""
    assert command[:2] == ["foretell", "predict"]
    changes |= {"bundle": str(run / "bundle"), "input": str(store), "output": str(output)}
    keys = dict(part.split("=", 1) for part in command[2:])
    assert changes.keys() <= keys.keys()
    return ["predict", *(f"{key}={value}" for key, value in (keys | changes).items()), "threads=1", "progress=false"]


@pytest.fixture
def whole(dna_run: Path, dna_store: Path, tmp_path: Path) -> PredictionStore:
    keys = [f"bundle={dna_run / 'bundle'}", f"input={dna_store}", f"output={tmp_path / 'whole.zarr'}", "threads=1"]
    assert foretell_cli("predict", *keys, "progress=false") == 0
    return PredictionStore.open(tmp_path / "whole.zarr")


def test_dask(cluster, whole, dna_run: Path, dna_store: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    scheduler_command, worker_command, predict = shown("dask")
    assert scheduler_command == ["dask", "scheduler", "--port", "8786", "&"]
    assert worker_command[:2] == ["dask", "worker"]
    scheduler, worker = cluster
    _, address = scheduler()
    worker(address)
    output = tmp_path / "scores.zarr"
    assert foretell_cli(*here(predict, dna_run, dna_store, output, scheduler=address)) == 0
    assert (PredictionStore.open(output)["nll"] == whole["nll"]).all()


def test_slurm(sbatch, whole, dna_run: Path, dna_store: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    (predict,) = shown("slurm")
    assert "sbatch=[--partition=cpu,--time=2:00:00,--mem=8G]" in predict
    output = tmp_path / "scores.zarr"
    assert foretell_cli(*here(predict, dna_run, dna_store, output, workers="2", setup="true")) == 0
    assert (PredictionStore.open(output)["nll"] == whole["nll"]).all()
    assert "--mem=8G" in (tmp_path / "scores.zarr.slurm" / "array.sh").read_text()
