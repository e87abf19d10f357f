"""`foretell predict ask=...`: every record of a file is asked, or refused with its reason, as from Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import foretell
from tests.conftest import foretell_cli

SMALL = ("size=xs", "model.layers=1", "model.width=16", "training.steps=4", "training.minutes=0", "threads=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    rng = np.random.default_rng(0)

    def drawn() -> str:
        return "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(8, 16)))

    rows = [f"p{i},{drawn()},{rng.choice(['no', 'yes'])},{rng.normal():.3f}" for i in range(60)]
    (folder / "table.csv").write_text("\n".join(["id,sequence,soluble,score", *rows]) + "\n")
    tasks = ("tasks.soluble.kind=classes", "tasks.score.kind=number", "tasks.basic.kind=positions")
    given = ("domain=proteins", f"data.path={folder / 'table.csv'}", f"store={folder / 'tasks.zarr'}")
    assert foretell_cli("prepare", *given, *tasks, "tasks.basic.letters=KR") == 0
    run = (f"store={folder / 'tasks.zarr'}", f"run={folder / 'run'}", "progress=false")
    assert foretell_cli("train", *run, *SMALL) == 0
    new = {f"new_{i}": drawn() for i in range(5)}
    new["long"] = "MKV" * 20
    text = "".join(f">{name}\n{letters}\n" for name, letters in new.items()) + ">wrong\nMK1V\n"
    (folder / "new.fa").write_text(text)
    (folder / "new.json").write_text(json.dumps(new))
    return folder


def ask(folder: Path, name: str, *keys: str) -> int:
    given = (f"bundle={folder / 'run'}", f"output={folder / name}", "progress=false")
    return foretell_cli("predict", *given, *keys)


def test_every_record_is_answered_as_from_python_or_refused(folder: Path) -> None:
    assert ask(folder, "said.csv", f"input={folder / 'new.fa'}", "ask=all", "max_bad=0.5") == 0
    with (folder / "said.csv").open() as file:
        lines = list(csv.DictReader(file))
    rejects = [json.loads(line) for line in (folder / "said.csv.rejects.jsonl").read_text().splitlines()]
    new = json.loads((folder / "new.json").read_text())
    assert len(lines) + len(rejects) == 3 * (len(new) + 1)
    assert {r["reason"] for r in rejects if r["id"] == "wrong"} == {"digit"}
    assert {r["line"] for r in rejects if r["id"] == "wrong"} == {13}
    assert [(r["id"], r["reason"]) for r in rejects if r["id"] != "wrong"] == [("long", "beyond_positions")]
    model = foretell.load(folder / "run")
    for line in lines:
        (answer,) = model.answer(new[line["id"]], line["task"])
        if line["task"] == "score":
            assert float(line["answer"]) == pytest.approx(answer.value, rel=1e-4)
            assert float(line["low"]) == pytest.approx(answer.low, rel=1e-4)
        elif line["task"] == "soluble":
            assert line["answer"] == answer.value
            assert float(line["probability"]) == pytest.approx(answer.probabilities[answer.value], rel=1e-3)
        else:
            assert line["answer"] == (";".join(map(str, answer.value)) or "none")
    assert not (folder / "said.input").exists()


def test_a_store_without_questions_is_asked_one_with_questions_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = folder / "plain.zarr"
    given = (f"data.path={folder / 'table.csv'}", f"store={plain}", "domain=proteins")
    assert foretell_cli("prepare", *given) == 0
    assert ask(folder, "plain.csv", f"input={plain}", "ask=[soluble]") == 0
    assert len((folder / "plain.csv").read_text().splitlines()) == 61
    assert ask(folder, "asked.csv", f"input={folder / 'tasks.zarr'}", "ask=all") == 3
    assert "have questions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("ask=[solubel]", "output=x.csv"), "did you mean 'soluble'"),
        (("ask=all", "output=x.zarr"), ".csv or .parquet"),
        (("what=[predict]", "output=x.zarr"), "ask=all output=answers.csv"),
    ],
)
def test_what_cannot_be_asked_is_told(
    folder: Path, keys: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    given = (f"bundle={folder / 'run'}", f"input={folder / 'new.fa'}", "max_bad=0.5")
    assert foretell_cli("predict", *given, *keys) == 2
    assert said in capsys.readouterr().err


def test_a_model_of_answers_draws_no_sequences(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert foretell_cli("sample", f"bundle={folder / 'run'}", "n=2") == 2
    assert "taught answers, not sequences" in capsys.readouterr().err
