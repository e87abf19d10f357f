"""From crystals made by code, and from a file, to a model that nears their entropy rate: by the commands alone."""

import numpy as np
import pytest
from foretell_stacking.source import entropy_rate, make
from foretell_stacking.tokenizer import Crystal, StepConfig, StepTokenizer

from core.baselines import MarkovRule, MarkovTable
from core.errors import RecordError
from core.evaluation import MetricTable
from core.store import TokenStore
from core.vocabulary import SPECIALS
from pipelines.cli import main


def test_a_crystal_comes_back_and_a_layer_on_its_own_kind_does_not():
    crystal, tokenizer = make(0, 50, seed=1), StepTokenizer(StepConfig())
    assert tokenizer.decode(tokenizer.encode(crystal)) == crystal
    with pytest.raises(RecordError, match="'x', layer 2"):
        tokenizer.encode(Crystal("x", "ABBC"))


def test_the_entropy_rate_is_that_of_long_crystals():
    """A table of the eight steps before the next one has all that matters, and nears it from above."""
    tokenizer = StepTokenizer(StepConfig())
    first, second = (tokenizer.encode(make(n, 50_000, seed=2)).arrays["tokens"] - len(SPECIALS) for n in range(2))
    bits = MarkovTable(8, 2).fit([first]).nll(second, MarkovRule(8)).mean() / np.log(2)
    assert entropy_rate() - 0.01 < bits < entropy_rate() + 0.02


def test_the_chain_of_verbs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.stack").write_text("".join(f"c{n} {make(n, 60, 0).layers}\n" for n in range(40)) + "bad AAB\n")
    keys = ["domain=stacking", "data.path=own.stack", "store=own.zarr", "max_bad=0.1"]
    assert main(["prepare", *keys, "split.rule=random"]) == 0
    assert len(TokenStore.open("own.zarr")) == 40
    assert "not_close_packed" in capsys.readouterr().out
    training = ["experiment=stacking_smoke", "training.minutes=0", "training.steps=5", "size=xs", "threads=1"]
    assert main(["train", "store=own.zarr", "run=run", "progress=false", *training]) == 0
    assert main(["evaluate", "bundle=run/bundle", "store=own.zarr", "out=found"]) == 0
    assert MetricTable.read("found/metrics.json").find("bits_per_layer").value > 0
    assert main(["sample", "bundle=run/bundle", "out=new.stack", "n=3", "max_length=20"]) == 0
