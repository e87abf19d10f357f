"""The verbs one after the other, on a tiny genome."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from core.bundle import load_bundle
from core.prediction.store import PredictionStore
from core.store import TokenStore
from domains import DOMAINS
from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]
EVALUATION = ("evaluation.samples=2", "evaluation.sample_length=40", "evaluation.strand_bases=500")


def test_the_last_line_says_where_the_result_lies_and_what_to_type_next(
    dna_genome: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def last(*arguments: object) -> str:
        assert foretell_cli(*arguments) == 0
        return capsys.readouterr().out.splitlines()[-1]

    prepared = last("prepare", "domain=dna", f"data.path={dna_genome}", "store=s.zarr")
    assert prepared == "store in s.zarr; next: foretell train store=s.zarr run=run"
    trained = last("train", "store=s.zarr", "run=run", *TINY)
    assert trained == "model in run/bundle; next: foretell evaluate bundle=run/bundle store=s.zarr"
    evaluated = last("evaluate", "bundle=run/bundle", "store=s.zarr", "window.look_back=7", *EVALUATION)
    facts = json.loads(Path("run/evaluation/evaluation.json").read_text())
    assert facts["policy"].endswith("looking back over at least 7")
    assert evaluated == "metrics, table and figures in run/evaluation; next: foretell report run=run"
    sampled = last("sample", "bundle=run/bundle", "n=3", "max_length=30", "prefix=ATG")
    assert sampled == "samples in run/samples.fasta; next: foretell report run=run"
    predicted = last(
        "predict", "bundle=run/bundle", "input=s.zarr", "output=run/prediction.zarr", "what=score,embedding"
    )
    assert predicted == "predictions in run/prediction.zarr; next: foretell describe run/prediction.zarr"
    assert last("report", "run=run").startswith("page in run/report.html; next: open it in a browser")
    assert foretell_cli("sample", "bundle=run/bundle", "out=mine.mid") == 2
    assert "expected a name that ends in .fasta, .fa, .fna or .fas" in capsys.readouterr().err
    elsewhere = last("sample", "bundle=run/bundle", "n=1", "max_length=20", "out=mine.fa")
    assert elsewhere == "samples in mine.fa; next: foretell report run=run samples=mine.fa"
    Path("run/samples.fasta").rename("kept.fasta")
    assert foretell_cli("report", "run=run", "out=other.html") == 0
    Path("kept.fasta").rename("run/samples.fasta")
    said = capsys.readouterr().out
    assert "no samples" not in said  # none were asked for
    assert "no evaluation" not in said

    metrics = json.loads((tmp_path / "run/evaluation/metrics.json").read_text())
    assert metrics[0]["name"] == "bits_per_base"
    assert metrics[0]["split"] == "s/test"
    samples = (tmp_path / "run/samples.fasta").read_text()
    assert samples.count(">") == samples.count("\nATG") == 3
    assert PredictionStore.open(tmp_path / "run/prediction.zarr")["nll"].shape == (1,)
    page = (tmp_path / "run/report.html").read_text()
    for text in ("bits per base", "markov", "Samples", "Data report", "Predictions", "config.yaml", "data:image/svg"):
        assert text in page, text


def test_training_again_goes_on_and_a_later_end_goes_further(
    dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    run = tmp_path / "run"
    shutil.copytree(dna_run, run)
    before = (run / "steps.jsonl").read_text()
    assert foretell_cli("train", f"store={dna_store}", f"run={run}", *TINY) == 0
    assert (run / "steps.jsonl").read_text() == before
    said = capsys.readouterr()
    assert "(finished before)" in said.out
    assert re.search(r"an epoch reads ([\d,]+) of \1 tokens", said.err)
    assert foretell_cli("train", f"store={dna_store}", f"run={run}", *TINY, "training.steps=8", "workers=1") == 0
    assert "went on from step 6" in capsys.readouterr().out
    after = (run / "steps.jsonl").read_text()
    assert after.startswith(before)
    assert after.count("\n") == 8


def test_finetune_starts_from_a_bundle(dna_store: Path, dna_run: Path, tmp_path: Path) -> None:
    keys = [key for key in TINY if not key.startswith(("model.", "size="))]
    own = ("finetune", f"init_from={dna_run}", f"store={dna_store}", f"run={tmp_path / 'own'}", "task=continue")
    assert foretell_cli(*own, *keys, "training.lr=1e-9") == 0
    tuned, start = load_bundle(tmp_path / "own" / "bundle"), load_bundle(dna_run / "bundle")
    assert tuned.training["init_from"] == start.fingerprint
    for name, weight in tuned.model.state_dict().items():
        assert weight.allclose(start.model.state_dict()[name], atol=1e-6), name


def test_a_dry_run_makes_nothing(
    dna_genome: Path, dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ("prepare", "domain=dna", f"data.path={dna_genome}", "store=s.zarr"),
        ("train", f"store={dna_store}", "run=r", *TINY),
        ("train", "experiment=dna_paper"),
        ("finetune", f"store={dna_store}", f"init_from={dna_run}", "run=r"),
        ("evaluate", f"bundle={dna_run}", f"store={dna_store}"),
        ("sample", f"bundle={dna_run}"),
        ("predict", f"bundle={dna_run}", f"input={dna_store}", "output=p.zarr"),
        ("demo", "domains=dna", "out=d", f"prepare=[data.name=null,data.path={dna_genome}]"),
    ):
        assert foretell_cli(*command, "dry_run=true") == 0, command
    assert list(tmp_path.iterdir()) == []
    assert re.search(r"\b(9|10)\d,\d{3},\d{3} parameters", capsys.readouterr().out)  # size l


def test_describe_tells_what_lies_there(dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured) -> None:
    def told(path: Path, *flags: str) -> dict[str, object]:
        assert foretell_cli("describe", path, "--json", *flags) == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    store = told(dna_store, "--verify")
    assert (store["type"], store["tokens"], store["domain"]) == ("token store", 24_000, "dna")
    assert store["split"] == {"train": 20_400, "validation": 1_200, "test": 2_400}
    run = told(dna_run)
    assert (run["type"], run["state"], run["step"]) == ("run", "finished", 6)
    bundle = told(dna_run / "bundle")
    assert bundle["type"] == "bundle"
    prediction = tmp_path / "p.zarr"
    assert foretell_cli("predict", f"bundle={dna_run}", f"input={dna_store}", f"output={prediction}") == 0
    capsys.readouterr()
    found = told(prediction)
    assert (found["type"], found["state"], found["rows"]) == ("prediction store", "complete", 1)
    assert found["bundle"] == bundle["fingerprint"]
    assert foretell_cli("describe", dna_run) == 0
    assert "finished" in capsys.readouterr().out


def test_describe_finds_damage(dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    copy = tmp_path / "s.zarr"
    shutil.copytree(dna_store, copy)
    shard = next(p for p in (copy / "fields" / "tokens" / "c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert foretell_cli("describe", copy, "--verify") == 4
    assert str(shard) in capsys.readouterr().err


def test_predictions_go_on_where_they_stopped(dna_store: Path, dna_run: Path, tmp_path: Path, capsys: Captured) -> None:
    keys = ("predict", f"bundle={dna_run}", f"input={dna_store}", f"output={tmp_path / 'p.zarr'}")
    table = tmp_path / "p.csv"
    assert foretell_cli(*keys, f"table={table}") == 0
    assert "1 of 1 rows are of the training part" in capsys.readouterr().out
    header, line = table.read_text().splitlines()
    assert header.startswith("row,id,split,status,")
    assert line.split(",")[2] == "train+validation+test"
    assert foretell_cli(*keys) == 0
    assert "1 of 1 blocks were there already" in capsys.readouterr().out
    assert foretell_cli(*keys, "batch_tokens=128") == 4
    assert "batch_tokens: 4096 -> 128" in capsys.readouterr().err


def test_a_tokenizer_is_taken_from_what_has_one(dna_genome: Path, tmp_path: Path, capsys: Captured) -> None:
    keys = ("prepare", "domain=dna", f"data.path={dna_genome}")
    learned = tmp_path / "a.zarr"
    assert foretell_cli(*keys, f"store={learned}", "tokenizer=dna_bpe", "tokenizer.vocabulary_size=40") == 0
    assert foretell_cli(*keys, f"store={tmp_path / 'b.zarr'}", f"tokenizer_from={learned}", "split.rule=random") == 0
    a, b = TokenStore.open(learned), TokenStore.open(tmp_path / "b.zarr")
    assert a.tokenizer == b.tokenizer
    assert foretell_cli(*keys, f"store={tmp_path / 'c.zarr'}", f"tokenizer_from={learned}", "tokenizer=dna_kmer") == 2
    assert "either tokenizer= or tokenizer_from=" in capsys.readouterr().err


def test_a_domain_from_elsewhere(dna_genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that `plugins=` names brings a ninth domain with configs of its own."""
    (tmp_path / "ninth.py").write_text(
        "from dataclasses import replace\nfrom pathlib import Path\nfrom domains import DOMAINS\n"
        "groups = str(Path(__file__).parent / 'groups')\n"
        "DOMAINS.add('ninth', replace(DOMAINS.get('dna'), name='ninth', configs=groups))\n"
    )
    (tmp_path / "groups" / "domain").mkdir(parents=True)
    (tmp_path / "groups" / "domain" / "ninth.yaml").write_text("# @package _global_\ndomain: ninth\nmin_length: 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DOMAINS, "_entries", dict(DOMAINS._entries))
    keys = ("prepare", f"data.path={dna_genome}", "store=s.zarr", "domain=ninth")
    assert foretell_cli(*keys) == 2
    assert foretell_cli(*keys, "plugins=[ninth]") == 0
    assert TokenStore.open("s.zarr").domain == "ninth"


def test_several_files_with_a_pattern(dna_genome: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = dna_genome.read_text().replace("chr1", name)
        (tmp_path / f"{name}.fa").write_text(text)
    store = tmp_path / "s.zarr"
    assert foretell_cli("prepare", "domain=dna", f"data.path={tmp_path}/*.fa", f"store={store}", "split.rule=last") == 0
    assert list(TokenStore.open(store).ids) == ["a", "b"]


def test_the_demo_makes_the_chain_and_goes_on(dna_genome: Path, tmp_path: Path, capsys: Captured) -> None:
    demo = (
        "demo",
        "domains=dna",
        f"out={tmp_path / 'demo'}",
        "progress=false",
        f"prepare=[data.name=null,data.path={dna_genome}]",
        f"train=[{','.join(key for key in TINY if key not in ('progress=false', 'threads=1'))}]",
        "threads=1",
        "sample=[n=2,max_length=20]",
    )
    assert foretell_cli(*demo, "evaluate=evaluation.kmer=99") == 2
    err = capsys.readouterr().err
    assert "evaluation.kmer: got 99" in err
    assert "step 'evaluate' of domain 'dna' failed (exit code 2)" in err
    assert foretell_cli(*demo, f"evaluate=[{','.join(EVALUATION)}]") == 0
    out = capsys.readouterr().out
    assert "train is done already" in out
    assert "evaluate is done already" not in out
    folder = tmp_path / "demo" / "dna"
    made = {p.name for p in folder.iterdir()}
    assert {"store.zarr", "run", "evaluation", "samples.fasta", "prediction.zarr"} <= made
    assert "dna/run/report.html" in (tmp_path / "demo" / "index.html").read_text()
    assert foretell_cli(*demo, f"evaluate=[{','.join(EVALUATION)}]") == 0
    assert capsys.readouterr().out.count("is done already") == 7
