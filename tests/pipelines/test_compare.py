"""`compare`: several runs on one page; what differs between them, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.compare import interval, verdict
from pipelines.compare_page import differing, short_names
from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def other_run(dna_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("others") / "wider" / "run"
    run.parent.mkdir()
    keys = [key for key in TINY if not key.startswith("model.width")]
    assert foretell_cli("train", f"store={dna_store}", f"run={run}", *keys, "model.width=32", "seed=1") == 0
    return run


def test_a_page_shows_results_curves_and_what_differs(
    dna_run: Path, other_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The example. A run that was measured stands on one axis with its baselines; links lead to reports that exist."""
    mine = tmp_path / "mine" / "run"
    shutil.copytree(dna_run, mine)
    store = dna_run.with_name("genome.zarr")
    few = ("evaluation.samples=0", "evaluation.strand_bases=0", "evaluation.resamples=100")
    assert foretell_cli("evaluate", f"bundle={mine}", f"store={store}", *few) == 0
    assert foretell_cli("report", f"run={mine}") == 0
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert foretell_cli("compare", mine, other_run, "--out", page) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run")
    assert "validation, bits per base" in lines[0]
    assert sum("finished" in line for line in lines) == 2
    html = page.read_text()
    assert 'href="mine/run/report.html"' in html
    assert "model.width" in html
    assert "model.layers" not in html, "a key that is equal is not shown"
    assert html.count("data-line=") == 4, "two runs, over tokens and over time"
    assert "bits_per_base on genome/test" in html
    assert html.count("<img") == 1, "the portrait of the run that has one"
    assert f"foretell evaluate bundle={other_run}" in html, "what to type for the other one"


def test_json_is_for_scripts(dna_run: Path, capsys: Captured) -> None:
    assert foretell_cli("compare", dna_run, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["pattern"], row["domain"], row["verdict"]) == ("A", "dna", None)


def test_names_are_what_tells_paths_apart() -> None:
    def named(*paths: str) -> list[str]:
        return short_names([Path(path) for path in paths])

    assert named("/r/a/run", "/r/b/run") == ["a", "b"]
    assert named("/r/a", "/r/a") == ["r/a (1)", "r/a (2)"]
    assert named("/r/a") == ["r/a"]
    assert named("/r/x/1", "/r/y/2") == ["x/1", "y/2"]
    assert len(set(named("/r", "/r/r", "/r/r/r"))) == 3


def test_only_keys_that_differ_are_left() -> None:
    a = {"seed": 0, "model": {"width": 8, "layers": 2}, "data": [{"store": "s", "fingerprint": "f"}], "tokenizer": "t"}
    b = {**a, "model": {"width": 16, "layers": 2}, "tokenizer": "u", "task": "classify"}
    assert differing([a, b]) == {"model.width": [8, 16], "task": [None, "classify"]}
    assert differing([a, {**a, "data": [{"store": "other"}]}]) == {"store": [["s"], ["other"]]}
    assert next(iter(differing([a, b]))) == "task"  # what matters most stands first
    assert differing([a, a]) == {}


def test_words_of_the_table() -> None:
    assert interval(0.1, None) == ""
    assert interval(0.1, 0.25) == "[0.1000, 0.2500]"
    assert verdict({"verdict": "better", "baseline": "markov_7"}) == "better than markov_7"
    assert verdict({"verdict": None, "baseline": None}) == ""


def test_a_run_that_learned_labels_has_a_line_too(tmp_path: Path, capsys: Captured) -> None:
    """Without a backbone of its own in the configuration, and here without a result yet."""
    config = {
        "format": "foretell/run", "format_version": 1, "domain": "proteins", "seed": 0, "task": "classify",
        "label": ["family"], "adapter": {"kind": "lora"}, "supervised": {"epochs": 3}, "data": [{"store": "own.zarr"}],
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert foretell_cli("compare", tmp_path, "--out", tmp_path / "page.html") == 0
    assert "classify, adapter lora" in (tmp_path / "page.html").read_text()
    assert "stopped" in capsys.readouterr().out
