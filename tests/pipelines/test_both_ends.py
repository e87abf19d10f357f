"""Variants of a model that reads proteins from both ends: `predict` and `evaluate` give the same numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TINY, foretell_cli

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
WILD = "MKVLAAGWHQRSTYDE"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of tokenizer.directions=both beside a store of a scan."""
    folder = tmp_path_factory.mktemp("ends")
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list(RESIDUES), rng.integers(20, 60))) for _ in range(60)]
    (folder / "p.fa").write_text("".join(f">p{i}\n{letters}\n" for i, letters in enumerate(proteins)))
    (folder / "wt.fa").write_text(f">wt\n{WILD}\n")
    rows = [f"{a}{i}{RESIDUES[RESIDUES.index(a) - 1]},{rng.random():.3f},test" for i, a in enumerate(WILD, 1)]
    (folder / "scan.csv").write_text("\n".join(["mutant,DMS_score,side", *rows]) + "\n")
    made = f"store={folder / 'p.zarr'}"
    assert prepare("p.fa", folder, made, "tokenizer.directions=both") == 0
    assert foretell_cli("train", made, f"run={folder / 'run'}", *TINY, "batching.kind=buckets") == 0
    keys = (f"data.reference={folder / 'wt.fa'}", f"tokenizer_from={folder / 'run'}", "split.rule=given")
    assert prepare("scan.csv", folder, f"store={folder / 'scan.zarr'}", *keys, "data.split_column=side") == 0
    return folder


def prepare(name: str, folder: Path, *keys: str) -> int:
    return foretell_cli("prepare", "domain=proteins", f"data.path={folder / name}", "progress=false", *keys)


def column(path: Path, name: str) -> list[float]:
    with path.open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def compared(folder: Path, name: str, *keys: str) -> list[float]:
    asked = (f"bundle={folder / 'run'}", f"input={folder / 'scan.zarr'}", f"output={folder / name}", "what=[compare]")
    assert foretell_cli("predict", *asked, f"table={folder / name}.csv", "mode=windows", "progress=false", *keys) == 0
    return column(folder / f"{name}.csv", "llr")


def test_predict_has_the_numbers_of_evaluate(folder: Path) -> None:
    out = folder / "evaluation"
    keys = (f"bundle={folder / 'run'}", f"store={folder / 'scan.zarr'}", f"out={out}", "evaluation.figures=false")
    assert foretell_cli("evaluate", *keys) == 0
    measured = column(out / "variants.csv", "foretell")
    assert len(measured) == len(WILD)
    assert compared(folder, "both", "strands=both") == pytest.approx(measured, abs=1e-4)
    assert compared(folder, "forward") != pytest.approx(measured, abs=1e-3)
