"""`finetune` on labels and on more sequences, as a user types it."""

import json
import os
import re

import numpy as np
import pytest
import yaml

from core.batching.config import BatchingConfig
from core.errors import ConfigError
from core.start import load_start
from tests.conftest import TINY, foretell_cli

QUICK = ("supervised.epochs=1", "supervised.resamples=100", "threads=1")
STEPS = [key for key in TINY if not key.startswith(("model", "size", "batching"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Promoters with a strength, a class, a family and a date; a store of them, and a model of it."""
    folder = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(0)
    lines = ["id,sequence,strength,kind,family,day"]
    for i in range(120):
        letters = "".join(rng.choice(list("ACGT"), rng.integers(20, 30)))
        strength = letters.count("T") / len(letters) + rng.normal(0, 0.02)
        cell = "" if i == 3 else f"{strength:.3f}"
        lines.append(f"p{i},{letters},{cell},{'on' if strength > 0.25 else 'off'},f{i // 3},2024-{1 + i // 12:02}-01")
    (folder / "promoters.csv").write_text("\n".join(lines) + "\n")
    given = ["domain=dna", f"data.path={folder / 'promoters.csv'}", "data.labels=[strength,kind]", "progress=false"]
    store = folder / "own.zarr"
    more = ["split.validation=0.15", "split.test=0.2"]
    assert foretell_cli("prepare", *given, *more, "data.group_column=family", f"store={store}") == 0
    assert foretell_cli("prepare", *given, *more, "data.stamp_column=day", f"store={folder / 'by_day.zarr'}") == 0
    assert foretell_cli("train", f"store={store}", f"run={folder / 'base'}", *TINY, "batching.kind=buckets") == 0
    return folder


def finetune(place, run, *keys, store="own.zarr"):
    return foretell_cli(
        "finetune", f"init_from={place / 'base'}", f"store={place / store}", f"run={place / run}", *keys
    )


def test_a_number_with_an_adapter_from_the_table_to_a_table(place, capsys):
    pytest.importorskip("peft")
    keys = ("task=regress", "label=strength", "adapter=lora", *QUICK, f"adapter_out={place / 'adapter'}")
    assert finetune(place, "strength", *keys) == 0
    out = capsys.readouterr().out
    assert "119 of 120 records have one, 1 without were left out" in out
    verdict = json.loads((place / "strength" / "bundle" / "metrics.json").read_text())["verdict"]
    assert verdict in out
    assert verdict in (place / "strength" / "bundle" / "card.md").read_text().splitlines()[2]
    said = place / "said.csv"
    asked = ["what=[predict]", f"table={said}", f"output={place / 'said.zarr'}", f"input={place / 'own.zarr'}"]
    assert foretell_cli("predict", f"bundle={place / 'strength'}", *asked, "threads=1") == 0
    assert said.read_text().splitlines()[0].endswith("mean_strength,deviation_strength,low_strength,high_strength")
    assert len(said.read_text().splitlines()) == 121
    assert foretell_cli("report", f"run={place / 'strength'}") == 0
    page = (place / "strength" / "report.html").read_text()
    assert "strength, fine-tuned" in page
    assert "records within their interval. A dot is a record, its line the 90 % interval" in page
    assert "<dt>label</dt><dd>strength</dd>" in page
    assert re.search(r"<dt>time</dt><dd>[\d.]+ (s|min)</dd>", page)
    assert foretell_cli("describe", place / "strength") == 0
    capsys.readouterr()
    assert foretell_cli("describe", place / "strength" / "bundle") == 0
    described = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rmse_strength", "foretell"] in [words[:2] for words in described]
    assert not any("{" in word for words in described for word in words)
    import foretell

    apart = foretell.load(place / "base", adapter=place / "adapter")
    whole = foretell.load(place / "strength")
    record = "ACGTTGCATTTTACGATTAC"
    assert apart.predict([record])[0].mean["strength"] == pytest.approx(whole.predict([record])[0].mean["strength"])


def test_more_sequences_say_what_is_not_learned_and_keep_the_better_weights(place, capsys):
    assert finetune(place, "more", "task=continue", *STEPS, "training.lr=30", "training.optimizer=adamw") == 0
    out = capsys.readouterr().out
    assert "has labels (kind, strength), which task=continue does not learn" in out
    assert "no validation was better than what training started from" in out
    assert foretell_cli("evaluate", f"bundle={place / 'more'}", f"store={place / 'own.zarr'}", "threads=1") == 0


def test_going_on_cuts_rows_as_before_at_a_third_of_the_rate(place):
    assert finetune(place, "on", "task=continue", *STEPS, "dry_run=false") == 0
    before, now = (yaml.safe_load((place / run / "config.yaml").read_text()) for run in ("base", "on"))
    assert now["training"]["optimizer"] == before["training"]["optimizer"]
    assert now["training"]["lr"] == pytest.approx(before["training"]["lr"] / 3)
    for key in ("kind", "batch_size", "batch_tokens"):
        assert now["batching"][key] == before["batching"][key]
    start = load_start(place / "on" / "bundle")
    assert start.batching == BatchingConfig(**now["batching"])
    assert start.training == now["training"]


def test_what_was_measured_of_labels_is_not_overwritten(place, capsys):
    assert finetune(place, "judged", "task=regress", "label=strength", "adapter=head", *QUICK) == 0
    table = (place / "judged" / "evaluation" / "table.md").read_bytes()
    header = (place / "judged" / "evaluation" / "predictions.csv").read_text().splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    assert {"mean_strength", "baseline_mean_strength"} <= set(header)
    capsys.readouterr()
    asked = [f"bundle={place / 'judged'}", f"store={place / 'own.zarr'}"]
    assert foretell_cli("evaluate", *asked) == 2
    assert "has what finetune measured of the labels" in capsys.readouterr().err
    assert (place / "judged" / "evaluation" / "table.md").read_bytes() == table


def test_pairs_from_their_table_to_a_table(place, capsys):
    rng = np.random.default_rng(0)
    both = [rng.choice(120, 2, replace=False) for _ in range(200)]
    rows = [f"p{a},p{b},{'far' if abs(int(a) - int(b)) > 40 else 'near'}" for a, b in both]
    (place / "pairs.csv").write_text("\n".join(["first,second,place", *rows, "p0,nobody,far"]) + "\n")
    given = (f"pairs={place / 'pairs.csv'}", "task=classify", "label=place", "supervised.symmetric=true", *QUICK)
    assert finetune(place, "dry_pairs", *given, "dry_run=true") == 0
    assert "training has seen neither record of" in capsys.readouterr().out
    assert finetune(place, "pairs", *given) == 0
    out = capsys.readouterr().out
    assert "200 of 201 pairs have one" in out
    assert "means_of_records" in out
    assert finetune(place, "pairs", *given, "supervised.epochs=2") != 0  # the folder is of another run
    asked = [f"bundle={place / 'pairs'}", f"input={place / 'own.zarr'}", f"pairs={place / 'pairs.csv'}"]
    assert foretell_cli("predict", *asked, f"output={place / 'said_pairs.csv'}") == 0
    assert "200 of 201 pairs, 1 of unknown records" in capsys.readouterr().out
    header, *lines = (place / "said_pairs.csv").read_text().splitlines()
    assert header == "first,second,place,probability_far,probability_near"
    assert len(lines) == 201
    assert lines[-1] == "p0,nobody,far,,"
    assert foretell_cli("predict", *asked, f"output={place / 'said.zarr'}") == 2
    assert "a table is written as .csv or .parquet" in capsys.readouterr().err
    assert foretell_cli("predict", *asked[:2], "what=[predict]", f"output={place / 'no.zarr'}") == 2
    assert "pairs=PAIRS.csv" in capsys.readouterr().err
    import foretell

    letters = "ACGTTGCATTTTACGATTAC"
    model = foretell.load(place / "pairs")
    said = model.predict([(letters, letters[::-1]), (letters[::-1], letters)])
    assert set(said[0].probabilities) == {"far", "near"}
    assert said[0].probabilities["far"] == pytest.approx(said[1].probabilities["far"])
    with pytest.raises(ConfigError, match="two records each"):
        model.predict([letters])


def test_the_latest_records_are_tested_where_a_date_is_given(place):
    from core.store import TokenStore

    store = TokenStore.open(place / "by_day.zarr")
    tested = [store.ids[int(row)] for row in store.spans("test")[:, 0]]
    assert min(int(name[1:]) for name in tested) > 90
    assert finetune(place, "day", "task=classify", "label=kind", "adapter=head", *QUICK, store="by_day.zarr") == 0


@pytest.mark.parametrize(
    ("keys", "code", "says"),
    [
        (("task=classify", "label=knid"), 2, "did you mean 'kind'"),
        (("task=classify",), 2, "label= is required"),
        (("task=continue", "label=kind"), 2, "learns no label"),
        (("task=classfy",), 2, "did you mean 'classify'"),
        (("task=regress", "label=kind"), 3, "not a number"),
        (("task=classify", "label=strength"), 3, "task=regress"),
        (("task=regress", "label=strength", "adapter=lorra"), 2, "did you mean 'lora'"),
        (("task=regress", "label=strength", "supervised.folds=2"), 2, "at least 3"),
        (("task=regress", "label=strength", "adapter=head", "adapter_out=x"), 2, "no adapter apart"),
        (("task=continue", "pairs=x.csv"), 2, "pairs: task=continue learns no label"),
        (("task=regress", "label=strength", "pairs=x.csv"), 3, "x.csv"),
    ],
)
def test_what_is_wrong_is_said(place, capsys, keys, code, says):
    assert finetune(place, "refused", *keys) == code
    assert says in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_a_dry_run_tells_and_does_nothing(place, capsys):
    assert finetune(place, "dry", "task=classify", "label=kind", "dry_run=true") == 0
    out = capsys.readouterr().out
    assert "120 of 120 records have one" in out
    assert "leakage" in out
    assert not (place / "dry").exists()


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "head"])
def test_more_sequences_with_an_adapter_resume_and_load_anywhere(place, adapter):
    if adapter == "lora":
        pytest.importorskip("peft")
    keys = ("task=continue", f"adapter={adapter}", *STEPS)
    assert finetune(place, f"more_{adapter}", *keys) == 0
    bundle = place / f"more_{adapter}" / "bundle"
    assert os.path.isdir(bundle / "adapter") == (adapter == "lora")
    assert finetune(place, f"more_{adapter}", *keys, "training.steps=8") == 0
    import foretell

    record = "ACGTTGCATTTTACGATTAC"
    whole, base = foretell.load(bundle), foretell.load(place / "base")
    assert whole.score([record])[0].nats != base.score([record])[0].nats
    assert {type(m).__module__.partition(".")[0] for m in whole.bundle.model.modules()} == {"core", "torch"}
    if adapter == "lora":
        apart = foretell.load(place / "base", adapter=bundle / "adapter")
        assert apart.score([record])[0].nats == pytest.approx(whole.score([record])[0].nats, abs=1e-4)


@pytest.mark.slow
def test_readouts_of_what_it_starts_from_are_kept(tmp_path):
    from tests.readme.made import write_series

    write_series(tmp_path / "series.csv", hours=200)
    store, run = tmp_path / "s.zarr", tmp_path / "run"
    assert foretell_cli("prepare", "domain=time_series", f"data.path={tmp_path / 'series.csv'}", f"store={store}") == 0
    keys = [key for key in TINY if not key.startswith("batching.length")] + ["batching.length=96"]
    assert foretell_cli("train", f"store={store}", f"run={run}", *keys, "readouts.values=quantile") == 0
    more = [key for key in keys if not key.startswith(("model", "size"))]
    assert foretell_cli("finetune", f"init_from={run}", f"store={store}", f"run={tmp_path / 'more'}", *more) == 0
    config = json.loads((tmp_path / "more" / "bundle" / "config.json").read_text())
    assert config["readouts"] == {"values": "quantile"}
