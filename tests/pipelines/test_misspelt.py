"""Whatever is misspelt on a command line, the answer says what was meant or what is allowed, and nothing was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]

PREPARE = ("prepare", "domain=dna", "data.path=own.fa", "store=x.zarr")
TRAIN = ("train", "store={store}", "run=x", *TINY)
PREDICT = ("predict", "bundle={run}", "output=x.zarr")
FINETUNE = ("finetune", "init_from={run}", "store={store}", "run=x")


@pytest.fixture
def said(
    dna_run: Path, dna_store: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """The error of a command, which ends with 2 or 3 and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    Path("own.fa").write_text(">a\nACGTACGTACGTACGT\n>b\nTTGGTTGGTTGGTTGG\n")
    Path("own.csv").write_text("sequence,kind\nACGTACGTACGTACGT,a\nTTGGTTGGTTGGTTGG,b\n")
    capsys.readouterr()

    def error(*words: str) -> str:
        assert foretell_cli(*(word.format(run=dna_run, store=dna_store) for word in words)) in (2, 3)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["own.csv", "own.fa"]
        return capsys.readouterr().err

    return error


@pytest.mark.parametrize(
    "words, guess",
    [
        (("prepare", "domain=DNA", "data.path=own.fa", "store=x.zarr"), "'dna'"),
        (("prepare", "domain=dna", "data.pth=own.fa", "store=x.zarr"), "'data.path'"),
        (("prepare", "domain=dna", "data.path=onw.fa", "store=x.zarr"), "'own.fa'"),
        ((*PREPARE, "preset=smoke"), "'experiment'"),
        ((*PREPARE, "split.rule=ramdom"), "'random'"),
        ((*PREPARE, "launcher=dsak"), "'dask'"),
        ((*PREPARE, "data.colunm=x"), "'column'"),
        ((*PREPARE, "tokenizer=dna-kmer"), "'dna_kmer'"),
        ((*PREPARE, "tokenizer=dna_kmer", "tokenizer.kk=3"), "'k'"),
        ((*PREPARE, "data.path=own.csv", "tasks.t.colum=x"), "'column'"),
        ((*PREPARE, "data.path=own.csv", "tasks.t.kind=clases", "tasks.t.column=x"), "'classes'"),
        ((*TRAIN, "training.schedule=wsdd"), "'wsd'"),
        ((*TRAIN, "training.optimizer=adam"), "'adamw'"),
        ((*TRAIN, "precision=bf61"), "'bf16'"),
        ((*TRAIN, "batching.kind=window"), "'windows'"),
        ((*TRAIN, "view.reverse=true"), "'views'"),
        ((*TRAIN, "epochs=3"), "'training.steps'"),
        ((*FINETUNE, "task=continue", "adapter=lroa"), "'lora'"),
        ((*FINETUNE, "task=continue", "adapter.kind=lora"), "'adapter'"),
        ((*PREDICT, "input={store}", "what=[emebdding]"), "'embedding'"),
        ((*PREDICT, "input={store}", "pooling=meen"), "'mean'"),
        ((*PREDICT, "input.pth=own.fa"), "'input.path'"),
        ((*PREDICT, "input=onw.fa"), "'own.fa'"),
        (("predict", "bundle={run}", "output=x.zarr", "input=own.fa", "input.colmn=x"), "'column'"),
        (("evaluate", "bundle={run}/bundel", "store={store}"), "/bundle'"),
        (("evaluate", "bundle={run}", "store={store}x"), "/genome.zarr'"),
        (("evaluate", "bundle={run}", "store={store}", "evaluation.smples=3"), "'samples'"),
        (("report", "run={run}x"), "/run'"),
        (("report", "run={run}", "samples=onw.fa", "out=x.html"), "'own.fa'"),
        (("export", "bundle={run}", "out=x", "format=transformer"), "'transformers'"),
        (("demo", "domains=dna", "experiment=smoke"), "'preset'"),
    ],
)
def test_the_nearest_is_named(words: tuple[str, ...], guess: str, said: Callable[..., str]) -> None:
    error = said(*words)
    assert "did you mean '" in error
    assert guess in error.partition("did you mean ")[2]


def test_where_nothing_is_near_what_is_allowed_is_named(said: Callable[..., str]) -> None:
    assert "Known: none." in said(*TRAIN, "objective.temperature=1")
    assert "allowed: letters of A, M, S" in said(*TRAIN, "model.pattern=AX")
    assert "Targets: tokens." in said(*TRAIN, "readouts.value=quantile")
    error = said(*TRAIN, "training.banana=1")
    assert "did you mean" not in error
    assert "All keys: the same command with --help." in error


def test_input_keys_are_called_as_they_were_typed(said: Callable[..., str]) -> None:
    assert "input.colmn is unknown" in said(*PREDICT, "input=own.fa", "input.colmn=x")


def test_a_long_list_of_presets_is_that_of_the_domain(said: Callable[..., str]) -> None:
    known = said(*TRAIN, "experiment=dna_smok").partition("Known: ")[2]
    assert "dna_small" in known
    assert "robots" not in known


def test_a_run_that_was_refused_leaves_its_folder_to_the_next(
    dna_store: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in ("training.optimizer=adam", "training.logger=csvv", "device=gpuu"):
        assert foretell_cli("train", f"store={dna_store}", "run=run", *TINY, wrong) == 2
        assert not Path("run").exists()
    assert foretell_cli("train", f"store={dna_store}", "run=run", *TINY) == 0
    assert foretell_cli("train", f"store={dna_store}", "run=run", *TINY, "training.logger=csvv") == 2
    assert Path("run/bundle").is_dir()
