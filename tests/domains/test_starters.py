from __future__ import annotations

from pathlib import Path

import pytest

import foretell
from core.errors import ConfigError
from domains import DOMAINS, starters
from pipelines import compose, train
from tests.conftest import TINY, foretell_cli

Captured = pytest.CaptureFixture[str]


def test_a_starter_is_made_once_and_then_known_by_its_name(
    dna_genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="foretell demo domains=dna preset=starter"):
        foretell.load("starter/dna")
    demo = (
        *("demo", "domains=dna", "preset=starter", "progress=false", "threads=1", "sample=[n=2,max_length=20]"),
        f"prepare=[data.name=null,data.path={dna_genome}]",
        f"train=[{','.join(key for key in TINY if key not in ('progress=false', 'threads=1'))}]",
        "evaluate=[evaluation.samples=2,evaluation.sample_length=40,evaluation.strand_bases=500]",
    )
    assert foretell_cli(*demo) == 0
    assert not (tmp_path / "demo").exists()
    assert foretell.bundle_path("starter/dna") == starters.folder() / "dna" / "run" / "bundle"
    assert foretell.load("starter/dna").score(["ACGTAC"])[0].nats > 0
    capsys.readouterr()
    own = ("prepare", "domain=dna", f"data.path={dna_genome}", "tokenizer_from=starter/dna", "store=s.zarr")
    assert foretell_cli(*own) == 0
    keys = [key for key in TINY if not key.startswith(("model.", "size="))]
    assert foretell_cli("finetune", "init_from=starter/dna", "store=s.zarr", "run=own", *keys) == 0
    tuned = foretell.load("own").bundle
    assert tuned.training["init_from"] == foretell.load("starter/dna").bundle.fingerprint


def test_a_folder_of_that_name_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter" / "dna").mkdir(parents=True)
    assert starters.find("starter/dna") is None
    assert starters.find(tmp_path / "starter" / "dna") is None
    with pytest.raises(ConfigError, match="proteins"):
        starters.find("starter/protein")


@pytest.mark.parametrize("domain", sorted(DOMAINS.names()))
def test_every_domain_has_a_starter_that_stays_small(domain: str) -> None:
    options = compose.compose("train", train.OPTIONS, [f"experiment={domain}_{starters.PRESET}"])
    config = train.model_config(options.model, 64)
    assert options.training.budget[0] == "steps"  # the same model on every machine
    assert not config.ngrams  # tables of megabytes
    in_blocks = 12 * config.layers * config.width**2
    assert 4 * in_blocks < 0.9 * starters.MOST_BYTES
