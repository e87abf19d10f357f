"""`foretell export` and `init_from=` of what it writes, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import foretell
from core.bundle import load_bundle
from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]
KEYS = [key for key in TINY if not key.startswith(("model.", "size="))]


@pytest.fixture
def folder(dna_run: Path, tmp_path: Path) -> Path:
    assert foretell_cli("export", f"bundle={dna_run}", f"out={tmp_path / 'out'}") == 0
    return tmp_path / "out"


def test_a_bundle_is_exported_and_trained_on(dna_run: Path, dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "out"
    assert foretell_cli("export", f"bundle={dna_run}", f"out={folder}") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2].startswith("Qwen3ForCausalLM of ")
    assert out[-1] == f"model in {folder}; next: load it as {folder / 'README.md'} shows"
    keys = ("train", f"init_from={folder}", f"store={dna_store}", f"run={tmp_path / 'own'}", *KEYS)
    assert foretell_cli(*keys, "training.lr=1e-9") == 0
    start, went_on = load_bundle(dna_run / "bundle"), load_bundle(tmp_path / "own" / "bundle")
    for name, weight in went_on.model.state_dict().items():
        assert weight.allclose(start.model.state_dict()[name], atol=1e-6), name
    assert went_on.training["init_from"] not in (None, start.fingerprint)
    assert foretell_cli(*keys, "training.lr=1e-9") == 0  # the same command again goes on


def test_the_command_and_python_write_the_same(folder: Path, dna_run: Path, tmp_path: Path) -> None:
    assert foretell.load(dna_run).export(tmp_path / "python") == "Qwen3ForCausalLM"
    for file in folder.iterdir():
        assert (tmp_path / "python" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_foreign_vocabulary_is_refused_unless_the_backbone_is_asked_for(
    folder: Path, dna_store: Path, dna_genome: Path, tmp_path: Path, capsys: Captured
) -> None:
    (folder / "foretell_tokenizer.json").unlink()
    kmers = tmp_path / "kmers.zarr"
    prepare = ("prepare", "domain=dna", f"data.path={dna_genome}", "tokenizer=dna_kmer", "tokenizer.k=3")
    assert foretell_cli(*prepare, f"store={kmers}") == 0
    keys = ("finetune", f"init_from={folder}", f"store={kmers}", f"run={tmp_path / 'own'}", *KEYS, "training.lr=1e-9")
    assert foretell_cli(*keys) == 4
    said = capsys.readouterr().err
    assert f"{folder} has 20 ids" in said
    assert "init_vocabulary=new" in said
    assert not (tmp_path / "own").exists()
    assert foretell_cli(*keys, "init_vocabulary=new") == 0
    tuned = load_bundle(tmp_path / "own" / "bundle").model
    assert len(tuned.embed.fields["tokens"].weight) > 60
    python = foretell.train(
        kmers, tmp_path / "python", init_from=folder, init_vocabulary="new", steps=1, lr=1e-9, batching={"length": 32}
    )
    for name, weight in python.bundle.model.backbone.state_dict().items():
        assert torch.allclose(weight, tuned.backbone.state_dict()[name], atol=1e-6), name


def test_exit_codes_and_reasons(folder: Path, dna_run: Path, dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    start = (f"store={dna_store}", f"run={tmp_path / 'r'}", *KEYS)
    damaged, other = (shutil.copytree(folder, tmp_path / name) for name in ("damaged", "other"))
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    values = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**values, "hidden_act": "gelu"}))
    for arguments, code, said in (
        (("export", f"bundle={dna_run}", f"out={folder}", "format=onnx"), 2, "format: got 'onnx'"),
        (("export", f"bundle={dna_run}", f"out={folder}", "format=mamba_ssm"), 2, "its layers are attention"),
        (("export", f"bundle={dna_run}", f"out={dna_store}"), 2, "no folder of an export"),
        (("export", f"bundle={folder}", f"out={tmp_path / 'x'}"), 2, "is not a bundle"),
        (("train", f"init_from={damaged}", *start), 4, "model.safetensors is damaged"),
        (("train", f"init_from={other}", *start), 3, "hidden_act is 'gelu': ours is silu"),
        (("train", f"init_from={tmp_path / 'none'}", *start), 2, "there is no folder"),
        (("train", "init_vocabulary=new", *start), 2, "which is missing"),
        (("describe", other), 3, "hidden_act is 'gelu'"),
    ):
        assert foretell_cli(*arguments) == code, arguments
        assert said in capsys.readouterr().err, arguments


def test_a_dry_run_writes_nothing(dna_run: Path, tmp_path: Path, capsys: Captured) -> None:
    assert foretell_cli("export", f"bundle={dna_run}", f"out={tmp_path / 'out'}", "dry_run=true") == 0
    assert "Qwen3ForCausalLM of " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_help_and_describe_know_it(folder: Path, capsys: Captured) -> None:
    assert foretell_cli("export", "--help") == 0
    assert "format=transformers" in capsys.readouterr().out
    assert foretell_cli("--help") == 0
    assert "  export " in capsys.readouterr().out
    assert foretell_cli("describe", folder, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["type"], said["class"], said["ids"]) == ("model of another library", "Qwen3ForCausalLM", 20)
