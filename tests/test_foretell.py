"""The public face: five lines of Python do the same as the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foretell
from core.errors import ConfigError, InputError, RecordError
from core.prediction.store import PredictionStore
from tests.conftest import foretell_cli

TINY = {
    "steps": 4,
    "model": "transformer",
    "size": "xs",
    "batching": {"kind": "windows", "length": 32, "batch_size": 4},
}


@pytest.fixture(scope="module")
def model(dna_run: Path) -> foretell.Model:
    return foretell.load(dna_run)


def test_score_sample_and_embed_records(model: foretell.Model) -> None:
    (likelihood,) = model.score(["ACGTACGTAC"])
    assert likelihood.units == likelihood.n_tokens == 10
    assert likelihood.bits_per_unit == pytest.approx(likelihood.nats / np.log(2) / 10)
    drawn = model.sample(3, max_length=20, prefix="ATG", seed=1)
    assert all(str(d.record.seq).startswith("ATG") and len(d.record.seq) == 20 for d in drawn)
    assert [str(d.record.seq) for d in drawn] == [
        str(d.record.seq) for d in model.sample(3, max_length=20, prefix="ATG", seed=1)
    ]
    assert model.embed(["ACGT", "TTTTGGGG"]).shape == (2, 16)
    assert [v.shape for v in model.embed(["ACGT", "TTTTGGGG"], pooling="token")] == [(4, 16), (8, 16)]
    assert model.embed([]).shape == (0, 16)
    assert "pattern" not in repr(model)
    assert repr(model).startswith("<foretell.Model of dna: A, ")
    assert model.natural_unit == "base"


class NoA:
    """A tokenizer that refuses records which begin with A."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode(self, record: Any) -> Any:
        if str(getattr(record, "seq", record)).startswith("A"):
            raise RecordError("begins_with_a", "begins with A")
        return self.inner.encode(record)


def test_records_that_the_tokenizer_refuses_are_drawn_anew(
    model: foretell.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = model.sample(24, max_length=6, seed=3)
    monkeypatch.setattr(model, "tokenizer", NoA(model.tokenizer))
    refused = [str(d.record.seq).startswith("A") for d in plain]
    assert any(refused)
    drawn = model.sample(24, max_length=6, seed=3, redraws=30)
    assert not any(str(d.record.seq).startswith("A") for d in drawn)
    assert [d.redrawn > 0 for d in drawn] == refused
    for one, before in zip(drawn, plain, strict=True):
        assert one.redrawn or one.record.seq == before.record.seq  # what was good stays as it was
    assert [d.record.id for d in drawn] == [d.record.id for d in plain]
    once = model.sample(24, max_length=6, seed=3, redraws=0)
    assert [d.record.seq for d in once] == [d.record.seq for d in plain]


def test_one_text_is_one_record(model: foretell.Model) -> None:
    assert len(model.score("ACGT")) == 1


def test_a_record_that_cannot_be_read_says_why(model: foretell.Model) -> None:
    with pytest.raises(InputError, match="looks like protein"):
        model.score(["ACGT", "MKVLEE"])


def test_python_and_the_command_give_the_same_numbers(
    model: foretell.Model, dna_run: Path, dna_store: Path, dna_genome: Path, tmp_path: Path
) -> None:
    assert foretell_cli("predict", f"bundle={dna_run}", f"input={dna_store}", f"output={tmp_path / 'p.zarr'}") == 0
    letters = "".join(dna_genome.read_text().splitlines()[1:])
    (likelihood,) = model.score([letters])
    assert PredictionStore.open(tmp_path / "p.zarr")["nll"][0] == pytest.approx(likelihood.nats, rel=1e-5)
    assert foretell_cli("sample", f"bundle={dna_run}", "n=2", "max_length=30", "seed=3", f"out={tmp_path}/s.fa") == 0
    written = [line for line in (tmp_path / "s.fa").read_text().splitlines() if not line.startswith(">")]
    assert written == [str(d.record.seq) for d in model.sample(2, max_length=30, seed=3)]


def test_train_on_a_store_a_file_and_records(dna_store: Path, dna_genome: Path, tmp_path: Path) -> None:
    of_store = foretell.train(dna_store, tmp_path / "a", **TINY)
    again = foretell.train(foretell.TokenStore.open(dna_store), tmp_path / "a", **TINY)
    assert of_store.bundle.fingerprint == again.bundle.fingerprint
    of_file = foretell.train(dna_genome, tmp_path / "b", domain="dna", **TINY)
    assert of_file.score(["ACGT" * 8])[0].nats == of_store.score(["ACGT" * 8])[0].nats
    assert foretell.TokenStore.open(tmp_path / "b.zarr").n_tokens == 24_000
    records = [str(d.record.seq) for d in of_store.sample(12, max_length=64)]
    of_records = foretell.train(records, tmp_path / "c", domain="dna", init_from=tmp_path / "a", steps=2)
    assert of_records.bundle.training["init_from"] == of_store.bundle.fingerprint
    with pytest.raises(ConfigError, match="domain= is required"):
        foretell.train(records, tmp_path / "d", steps=2)
    with pytest.raises(ConfigError, match="exactly one"):
        foretell.train(dna_store, tmp_path / "d")


def test_importing_explains_that_another_core_hides_ours(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import foretell"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"Python found another one of that name at {tmp_path}" in done.stderr
