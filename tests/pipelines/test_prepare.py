"""`foretell prepare`: records that one kind of tokenizer alone reads, and pairs of rows on their way to `predict`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.prediction.store import PredictionStore
from core.store import TokenStore
from tests.conftest import TINY, foretell_cli, write_genome


def test_data_choose_the_tokenizer_that_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("domain=dna", "data=traces", "data.clusters=20", "data.length=8", "progress=false")
    assert foretell_cli("prepare", *data, f"store={tmp_path / 'a.zarr'}") == 0
    assert TokenStore.open(tmp_path / "a.zarr").tokenizer["kind"] == "dna_traces"
    assert foretell_cli("prepare", *data, "tokenizer=dna_kmer", f"store={tmp_path / 'b.zarr'}") == 2
    assert "read by tokenizer=dna_traces only" in capsys.readouterr().err


def test_labels_are_told_by_prepare_and_by_describe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letters = "ACDEFGHIKLMNPQRSTVWY"
    rows = [f"{letters[i % 20] * 3}{letters[i // 2 :: 3]}MKV,{('yes', 'no', '')[i % 3]},{i / 8}" for i in range(40)]
    (tmp_path / "assays.csv").write_text("\n".join(["sequence,soluble,activity", *rows]) + "\n")
    store = tmp_path / "assays.zarr"
    given = ("domain=proteins", f"data.path={tmp_path / 'assays.csv'}", "data.labels=[soluble,activity]")
    assert foretell_cli("prepare", *given, f"store={store}", "split.rule=random", "progress=false") == 0
    told = capsys.readouterr().out
    assert "soluble: 2 classes; missing in 13 of 40 records" in told
    assert "activity: numbers; none missing" in told
    assert foretell_cli("describe", store) == 0
    described = {line.strip() for line in capsys.readouterr().out.splitlines()}
    assert {line.strip() for line in told.splitlines() if "yes: " in line or "deviation " in line} <= described
    assert sum("yes: " in line or "deviation " in line for line in described) == 6
    assert foretell_cli("describe", store, "--json") == 0
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert sum(labels["soluble"]["classes"]["yes"].values()) == 14
    assert labels["activity"]["greatest"] == 39 / 8


def test_variants_go_from_a_vcf_file_to_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genome, calls = write_genome(tmp_path / "genome.fa", 2000), tmp_path / "calls.vcf"
    letters = "".join(genome.read_text().splitlines()[1:])
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
    calls.write_text(head + f"chr1\t501\tsnv\t{letters[500]}\t{'A' if letters[500] != 'A' else 'C'}\n")
    common = ("progress=false", "threads=1")
    own, variants, scored = (tmp_path / name for name in ("own.zarr", "variants.zarr", "scored.zarr"))
    assert foretell_cli("prepare", "domain=dna", f"data.path={genome}", f"store={own}", *common) == 0
    assert foretell_cli("train", f"store={own}", f"run={tmp_path / 'run'}", *TINY) == 0
    given = (f"data.path={calls}", f"data.reference={genome}", f"tokenizer_from={tmp_path / 'run'}")
    assert foretell_cli("prepare", "domain=dna", *given, f"store={variants}", *common) == 0
    capsys.readouterr()
    table = f"table={tmp_path / 'variants.csv'}"
    asked = (f"bundle={tmp_path / 'run'}", f"input={variants}", f"output={scored}", "what=[compare]", "strands=both")
    assert foretell_cli("predict", *asked, table, *common) == 0
    assert "1 pairs compared" in capsys.readouterr().out
    lines = (tmp_path / "variants.csv").read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("snv,")
    assert float(lines[1].split(",")[-1]) == pytest.approx(PredictionStore.open(scored)["llr"][0])
    assert foretell_cli("predict", *asked[:3], "what=[score]", "tracks=t.bedgraph", *common) == 2
    assert "Add token_scores" in capsys.readouterr().err
