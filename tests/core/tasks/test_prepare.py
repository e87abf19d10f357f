"""Tables to rows to a grown model: what a user types, and what is counted, kept together and refused on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import foretell
from core.batching.config import BatchingConfig
from core.errors import ConfigError
from core.evaluation import MetricTable
from core.nn.config import ModelConfig
from core.recipe import Recipe, Source, make_model, started_from, units_per_token
from core.start import load_start
from core.store import TokenStore
from core.tasks.evaluation import TaskEvaluationConfig
from core.tasks.source import whole_records
from core.tokenizer import restore
from core.training.config import TrainingConfig
from domains import tokenizer_classes
from tests.conftest import foretell_cli

RESIDUES = list("ACDEFGHIKLMNPQRSTVWY")
SMALL = ("size=xs", "model.layers=1", "model.width=16", "progress=false", "threads=1")
SHORT = ("training.steps=4", "training.val_every=2", "batching.length=64", "batching.batch_size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every kind of label and some gaps, and a bundle of a model that has seen sequences only."""
    folder = tmp_path_factory.mktemp("tasks")
    rng = np.random.default_rng(0)
    lines = ["id,sequence,soluble,score,sites,state,side"]
    for i in range(80):
        letters = "".join(rng.choice(RESIDUES, rng.integers(8, 16)))
        cells = {
            "soluble": "" if i == 3 else rng.choice(["no", "yes"]),
            "score": "" if i in (4, 5) else f"{rng.normal():.3f}",
            "sites": "none" if i == 6 else ";".join(map(str, sorted({1, 4, len(letters)}))),
            "state": "".join(rng.choice(list("HEC"), len(letters) - (i == 7))),
            "side": "test" if i % 10 == 0 else "train",
        }
        lines.append(",".join([f"p{i}", letters, *map(str, cells.values())]))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    plain = folder / "plain.zarr"
    assert foretell_cli("prepare", "domain=proteins", f"data.path={folder / 'table.csv'}", f"store={plain}") == 0
    assert foretell_cli("train", f"store={plain}", f"run={folder / 'run'}", *SMALL, *SHORT) == 0
    return folder


def prepare(folder: Path, name: str, *keys: str) -> int:
    table = f"data.path={folder / 'table.csv'}"
    return foretell_cli("prepare", "domain=proteins", table, f"store={folder / name}", "max_bad=0.1", *keys)


@pytest.fixture(scope="module")
def store(folder: Path) -> TokenStore:
    keys = ("tasks.soluble.column=soluble", "tasks.score.digits=2", "tasks.sites.kind=indices", "tasks.state.kind=null")
    assert prepare(folder, "tasks.zarr", *keys) == 0
    return TokenStore.open(folder / "tasks.zarr")


def test_a_row_for_each_record_and_label(store: TokenStore) -> None:
    assert [t["kind"] for t in store.tokenizer["config"]["tasks"]] == ["classes", "number", "indices", "per_token"]
    names = store.labels("task").tolist()
    assert [names.count(n) for n in ("soluble", "score", "sites", "state")] == [79, 78, 80, 79]
    assert len(set(store.ids)) == len(store)
    assert store.ids[0] == "p0#soluble"
    notes = store.report["notes"]
    assert notes["no label for task 'soluble'"] == 1
    assert notes["no label for task 'score'"] == 2
    assert store.counts["in"] == 79 + 78 + 80 + 80
    (reject,) = map(json.loads, Path(f"{store.path}.rejects.jsonl").read_text().splitlines())
    assert (reject["id"], reject["reason"]) == ("p7#state", "bad_label")


@pytest.mark.parametrize("split", [["random"], ["cluster"], ["given"]])
def test_rows_of_one_record_stay_together(folder: Path, split: list[str]) -> None:
    (rule,) = split
    keys = [f"split.rule={rule}", "split.validation=0.2", "split.leakage=false", "data.split_column=side"]
    tasks = ("tasks.soluble.kind=classes", "tasks.charged.kind=positions", "tasks.charged.letters=DEKR")
    assert prepare(folder, f"{rule}.zarr", *tasks, *(keys if rule == "given" else keys[:3])) == 0
    store = TokenStore.open(folder / f"{rule}.zarr")
    sides: dict[str, set[int]] = {}
    for (row, _, _), side in zip(store.spans().tolist(), store.span_split.tolist(), strict=True):
        sides.setdefault(store.ids[row].partition("#")[0], set()).add(side)
    assert set().union(*sides.values()) == {0, 1, 2}
    assert all(len(found) == 1 for found in sides.values())


def test_records_are_not_cut() -> None:
    from core.split import SplitConfig

    with pytest.raises(ConfigError, match="an answer belongs to a whole one"):
        whole_records(SplitConfig(rule="last"))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (("tasks.soluble.column=solubel",), 2),
        (("tasks.soluble.kind=clases",), 2),
        (("tasks.soluble=classes",), 2),
        (("tasks.score.kind=per_token",), 3),
    ],
)
def test_what_a_table_does_not_have_is_refused(
    folder: Path, keys: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(folder, "refused.zarr", *keys) == code
    assert capsys.readouterr().err
    assert not (folder / "refused.zarr").exists()


def test_a_model_grows_and_keeps_what_it_knows(folder: Path, store: TokenStore) -> None:
    start = load_start(folder / "run" / "bundle", "keep")
    assert start is not None
    start.check(store)
    tokenizer = restore(start.reading(store), tokenizer_classes())
    source = Source([store], [1.0], tokenizer, lambda *a, **k: None)  # type: ignore[arg-type, return-value]
    recipe = Recipe(start.config, BatchingConfig(kind="buckets", length=64), TrainingConfig(steps=1), seed=3)
    grown = make_model(recipe, source, start).state_dict()
    old = start.state_dict(tokenizer.spec)
    changed = [name for name in old if old[name].shape != grown[name].shape]
    assert len(changed) == 2
    assert all(grown[name].equal(old[name]) for name in old if name not in changed)
    for name in changed:
        rows = len(old[name])
        assert grown[name][:rows].equal(old[name])
        new = grown[name][rows:]
        assert torch.allclose(new.mean(0), old[name][5:].mean(0), atol=0.1)
        assert len(torch.unique(new, dim=0)) == len(new)
    assert started_from(start, tokenizer)["grown_from"] == start.tokenizer["fingerprint"]  # type: ignore[index]


def test_n_grams_do_not_grow(folder: Path, store: TokenStore) -> None:
    plain = TokenStore.open(folder / "plain.zarr")
    made = ("model.ngrams=[2]", f"run={folder / 'ngram_run'}")
    assert foretell_cli("train", f"store={plain.path}", *made, *SMALL, *SHORT) == 0
    grow = ("task=tokens", f"store={store.path}", f"run={folder / 'ngram_grown'}", "progress=false", *SHORT)
    assert foretell_cli("finetune", f"init_from={folder / 'ngram_run'}", *grow) == 2


def test_units_come_on_the_tokens_that_are_predicted(store: TokenStore) -> None:
    source = Source([store], [1.0], restore(store.tokenizer, tokenizer_classes()), lambda *a, **k: None)  # type: ignore[arg-type, return-value]
    units = judged = 0
    for row, start, stop in store.spans("train").tolist():
        piece = store[row].slice(start, stop)
        units += int(source.tokenizer.units(piece.arrays).sum())
        judged += int(piece.loss_mask["tokens"].sum())
    assert units_per_token(source) == pytest.approx(units / judged)
    assert units / judged > 2


def test_taught_measured_and_asked(folder: Path, store: TokenStore, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "taught"
    keys = ("task=tokens", f"store={store.path}", f"run={run}", "progress=false", "threads=1", *SHORT)
    assert foretell_cli("finetune", f"init_from={folder / 'run'}", *keys) == 0
    assert foretell_cli("evaluate", f"bundle={run}", f"store={store.path}", "evaluation.resamples=100") == 0
    table = MetricTable.read(run / "evaluation")
    assert {row.name for row in table.rows if row.model == "foretell"} >= {
        "accuracy_soluble", "f1_macro_soluble", "auc_soluble", "rmse_score", "spearman_score", "exact_sites",
        "f1_sites", "accuracy_per_unit_state", "exact_state", "masked_mass_state",
    }  # fmt: skip
    models = {row.model for row in table.rows}
    assert models == {"foretell", "without_grammar", "majority", "kmer_ridge", "mean", "window_ridge"}
    lines = (run / "evaluation" / "answers.csv").read_text().splitlines()
    assert len(lines) == 1 + len(store.spans("test"))

    model = foretell.load(run)
    (soluble,) = model.answer("MKVLAAGKK", "soluble")
    assert soluble.probabilities is not None
    assert sum(soluble.probabilities.values()) == pytest.approx(1)
    (score,) = model.answer(["MKVLAAGKK"], "score")
    assert score.low is not None
    assert score.high is not None
    assert score.low <= score.value <= score.high
    (state,) = model.answer(["MKVLAAGKK"], "state")
    assert len(state.value) == 9
    (sites,) = model.answer(["MKVLAAGKK"], "sites")
    assert all(1 <= place <= 9 for place in sites.value)
    with pytest.raises(ConfigError, match="no task 'solubel'"):
        model.answer("MKV", "solubel")
    with pytest.raises(ConfigError, match="this model has no tasks"):
        foretell.load(folder / "run").answer("MKV", "soluble")
    assert foretell_cli("finetune", f"init_from={run}", "task=tokens", f"store={folder / 'plain.zarr'}", "run=x") == 2
    assert "was prepared without tasks" in capsys.readouterr().err


def test_options_of_the_evaluation_are_checked() -> None:
    with pytest.raises(ConfigError, match="train_rows"):
        TaskEvaluationConfig(train_rows=1)


POSITIONS = 8
"""Residues of the longest sequence in the self-check."""


@pytest.mark.slow
def test_places_of_letters_are_learned_without_any_labels(tmp_path: Path) -> None:
    """Prot2Token's self-check: the positions of S, T, Y, K, R and N, at least 99 % of the lists exactly right."""
    rng = np.random.default_rng(0)

    def drawn(n: int) -> list[str]:
        return ["".join(rng.choice(RESIDUES, rng.integers(4, POSITIONS + 1))) for _ in range(n)]

    known = list(dict.fromkeys(drawn(4000)))
    asked = [letters for letters in dict.fromkeys(drawn(500)) if letters not in set(known)]
    (tmp_path / "known.fa").write_text("".join(f">p{i}\n{letters}\n" for i, letters in enumerate(known)))
    keys = ("tasks.sites.kind=positions", "tasks.sites.letters=STYKRN", "split.rule=random", "split.leakage=false")
    store = tmp_path / "known.zarr"
    files = ("domain=proteins", f"data.path={tmp_path / 'known.fa'}", f"store={store}")
    assert foretell_cli("prepare", *files, *keys) == 0
    length = 2 * POSITIONS + 2
    model = foretell.train(
        str(store),
        tmp_path / "run",
        model=ModelConfig(pattern="A", width=64, layers=2, context=length),
        batching={"kind": "buckets", "length": length, "batch_size": 64},
        steps=800,
        lr=1e-2,
        optimizer="muon",
        schedule="wsd",
        decay_share=0.5,
        warmup_steps=20,
        val_every=800,
    )
    truth = [tuple(i + 1 for i, letter in enumerate(letters) if letter in "STYKRN") for letters in asked]
    answers = model.answer(asked, "sites")
    assert np.mean([a.value == t for a, t in zip(answers, truth, strict=True)]) >= 0.99
