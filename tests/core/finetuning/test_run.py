"""From labels to a bundle: what is learned, what it is compared with, what is left behind."""

from dataclasses import replace

import numpy as np
import pytest

from core.bundle import load_bundle
from core.engine import Engine
from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import MODEL
from core.finetuning.artifacts import write_finetuned
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.finetuning.fit import depth
from core.finetuning.head import load_head
from core.finetuning.job import LabelJob
from core.finetuning.predict import predictions
from core.finetuning.run import finetune
from core.finetuning.split import trusted_labels
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from tests.core.finetuning.labelled import C, base, dna, labelled, share_of_c
from tests.core.tiny import tiny_model, write_bundle

QUICK = SupervisedConfig(epochs=2, batch_size=16, resamples=100)
ROWS = dna(80)


def numbers(path):
    values = [share_of_c(row) for row in ROWS]
    return labelled(path, ROWS, {"c": values, "flat": [float(i % 2) for i in range(80)]})


def run(store, config=QUICK, adapter="full", task="regress", columns=("c",), pattern="A", **more):
    labels = trusted_labels(store, columns, task, config)
    return finetune(base(pattern), store, labels, adapter=AdapterConfig(adapter), config=config, **more)


def test_a_number_that_sequences_say_is_learned_and_kept(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    found = run(store, SupervisedConfig(epochs=6, lr=3e-3, resamples=100))
    assert found.metric == "rmse_c"
    models = {row.model for row in found.table.rows if row.name == "rmse_c"}
    assert models == {MODEL, "mean", "frozen_embeddings_ridge", "kmer_ridge"}
    assert found.table.find("rmse_c").value < 0.7 * found.table.find("rmse_c", model="mean").value
    write_finetuned(tmp_path / "b", base(), store, found, adapter=AdapterConfig(), config=QUICK, seed=0)
    bundle = load_bundle(tmp_path / "b")
    assert bundle.metrics["verdict"] == found.verdict
    places = [bundle.card.index(part) for part in (found.verdict, "## Data and split", "## Metrics", "## Cost")]
    assert places == sorted(places)
    head = load_head(bundle.path, bundle.model.hidden_width)
    tested = [store[int(r)] for r in found.labels.rows[found.best.test]]
    said = list(predictions(Engine(bundle.model), head, tested))
    np.testing.assert_allclose([p.mean["c"] for p in said], found.best.said["mean"][:, 0], atol=1e-6)
    assert all(p.low["c"] < p.mean["c"] < p.high["c"] for p in said)


@pytest.mark.parametrize(("adapter", "pattern"), [("head", "A"), ("lora", "A"), ("ia3", "M"), ("dora", "S")])
def test_predict_says_what_the_evaluation_saw(tmp_path, adapter, pattern):
    if adapter != "head":
        pytest.importorskip("peft")
    store = labelled(tmp_path / "s.zarr", ROWS, {"rich": ["yes" if share_of_c(r) > 0.25 else "n/o" for r in ROWS]})
    found = run(store, adapter=adapter, task="classify", columns=("rich",), pattern=pattern)
    write_finetuned(tmp_path / "b", base(pattern), store, found, adapter=AdapterConfig(adapter), config=QUICK, seed=0)
    predict(tmp_path / "b", store.path, tmp_path / "p.zarr", what=["predict"], threads=1)
    written = PredictionStore.open(tmp_path / "p.zarr")
    names = ("probability_n_o", "probability_yes")
    table = np.stack([written[name] for name in names], axis=1)
    np.testing.assert_allclose(table.sum(1), 1)
    rows = found.labels.rows[found.best.test]
    np.testing.assert_allclose(table[rows], found.best.said["probability"], atol=1e-6)
    header = written.to_table(tmp_path / "t.csv").read_text().splitlines()[0]
    assert header == "row,id,status,probability_n_o,probability_yes"


def test_reduced_precision_is_that_of_the_model_alone(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    values = [run(store, precision=precision).table.find("rmse_c").value for precision in ("fp32", "bf16")]
    assert values[0] == pytest.approx(values[1], rel=0.15)


def test_a_bundle_without_a_head_has_nothing_to_predict(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    write_bundle(tmp_path / "b", tiny_model())
    with pytest.raises(ConfigError, match="has no head"):
        predict(tmp_path / "b", store.path, tmp_path / "p.zarr", what=["predict"])


def test_labels_of_tokens(tmp_path):
    after_c = [np.concatenate([[0], (row[:-1] == C)]).astype(np.uint8) for row in ROWS]
    store = labelled(tmp_path / "s.zarr", ROWS, {}, token_labels=after_c)
    found = run(store, task="classify", columns=("bound",))
    assert found.table.find("accuracy_bound", model="windows_logistic").value > 0.9
    write_finetuned(tmp_path / "b", base(), store, found, adapter=AdapterConfig(), config=QUICK, seed=0)
    predict(tmp_path / "b", store.path, tmp_path / "p.zarr", what=["predict"], threads=1)
    said = PredictionStore.open(tmp_path / "p.zarr")
    test = found.labels.rows[found.best.test].tolist()
    np.testing.assert_allclose(
        np.concatenate([said.row("probability_1", r) for r in test]), found.best.said["probability"][:, 1], atol=1e-6
    )


@pytest.mark.slow
def test_several_columns_with_holes(tmp_path):
    yes = [float(share_of_c(r) > 0.25) for r in ROWS]
    other = [float("nan") if i % 4 == 1 else float(r[0] == C) for i, r in enumerate(ROWS)]
    store = labelled(tmp_path / "s.zarr", ROWS, {"x": yes, "y": other})
    found = run(store, task="classify", columns=("x", "y"))
    assert found.metric == "auc_mean_x_y"
    assert found.best.said["probability"].shape == (16, 2)
    both = run(store, task="regress", columns=("x", "y"))
    assert {"rmse_x", "rmse_y"} <= {row.name for row in both.table.rows}


def test_noise_is_not_learned_and_the_verdict_says_so(tmp_path):
    found = run(numbers(tmp_path / "s.zarr"), task="classify", columns=("flat",))
    assert not found.better
    assert found.verdict.startswith("FINE-TUNING")


@pytest.mark.slow
def test_seeds_folds_and_scratch(tmp_path):
    config = SupervisedConfig(epochs=1, resamples=100, seeds=2, folds=3, class_weights="balanced", layer_decay=0.7)
    store = labelled(tmp_path / "s.zarr", ROWS, {"rich": ["yes" if share_of_c(r) > 0.25 else "no" for r in ROWS]})
    found = run(store, config, task="classify", columns=("rich",), scratch=True, out=tmp_path / "out")
    assert list(found.spread) == ["seed 0", "seed 1", "fold 1", "fold 2", "fold 3"]
    rows = {(row.name, row.split.partition("/")[2]): row for row in found.table.rows}
    assert rows["accuracy_rich", "3 folds"].n == 80
    assert rows["accuracy_rich_folds_deviation", "3 folds"].n == 3
    assert rows["accuracy_rich_seeds_mean", "test"].n == 2
    assert found.table.find("accuracy_rich", model="from_scratch") is not None
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "metrics.json", "table.md", "predictions.csv", "course.csv",
    }  # fmt: skip


def test_the_same_seed_gives_the_same_numbers(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    first, second = (run(store, SupervisedConfig(epochs=1, resamples=100)) for _ in range(2))
    assert first.best.course.losses == second.best.course.losses
    np.testing.assert_array_equal(first.best.said["mean"], second.best.said["mean"])


def test_training_ends_where_validation_is_best(tmp_path):
    course = run(
        numbers(tmp_path / "s.zarr"), SupervisedConfig(epochs=60, patience=2, lr=3e-3, resamples=100)
    ).best.course
    assert course.best_epoch == int(np.argmin(course.losses)) > 0
    assert len(course.losses) - 1 == min(60, max(course.best_epoch, 30) + 2)


def test_a_run_that_is_not_better_yet_goes_on_to_its_end(tmp_path):
    course = run(
        numbers(tmp_path / "s.zarr"), SupervisedConfig(epochs=12, patience=2, lr=0.5, resamples=100)
    ).best.course
    assert (course.best_epoch, len(course.losses)) == (0, 13)


def test_depth_of_parameters():
    names = ("embed.fields.tokens.weight", "backbone.layers.0.norm.weight", "backbone.layers.5.mlp.fc1.weight")
    assert [depth(name, 6) for name in (*names, "backbone.norm_f.weight", "head.linear.weight")] == [0, 1, 6, 7, 7]


def test_a_run_folder_is_of_one_run(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    write_bundle(tmp_path / "b", tiny_model())
    job = LabelJob(tmp_path / "b", store, "regress", ("c",), AdapterConfig("head"), QUICK)
    assert job.run(tmp_path / "run") is not None
    before = (tmp_path / "run" / "bundle" / "MANIFEST.json").read_bytes()
    assert job.run(tmp_path / "run") is None
    assert (tmp_path / "run" / "bundle" / "MANIFEST.json").read_bytes() == before
    with pytest.raises(IntegrityError, match="another run"):
        job.run(tmp_path / "run", seed=1)
    with pytest.raises(ConfigError, match="leaves no adapter apart"):
        job.run(tmp_path / "other", adapter_out=tmp_path / "a")


def test_another_domain_or_tokenizer_is_refused(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    write_bundle(tmp_path / "b", tiny_model(), domain="proteins")
    job = LabelJob(tmp_path / "b", store, "regress", ("c",), AdapterConfig("head"), QUICK)
    with pytest.raises(IntegrityError, match="is of domain 'dna', expected 'proteins'"):
        job.run(tmp_path / "run")


def test_bad_labels_leave_no_run_folder_behind(tmp_path):
    values = {"c": [share_of_c(row) for row in ROWS]}
    store = labelled(tmp_path / "l.zarr", ROWS, values, leakage={"k": 8, "test": 0.8})
    write_bundle(tmp_path / "b", tiny_model())
    job = LabelJob(tmp_path / "b", store, "regress", ("c",), AdapterConfig("head"), QUICK)
    with pytest.raises(InputError, match="leaks"):
        job.run(tmp_path / "run")
    with pytest.raises(ConfigError, match="has no label 'd'"):
        replace(job, columns=("d",)).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_part_of_the_training_records_is_all_that_is_used(tmp_path):
    store = numbers(tmp_path / "s.zarr")
    part, whole = run(store, replace(QUICK, max_train=20)), run(store, QUICK)
    assert all(np.isfinite(row.value) for row in part.table.rows)
    assert part.best.course.steps < whole.best.course.steps
    for name in ("mean", "frozen_embeddings_ridge", "kmer_ridge"):
        assert part.table.find("rmse_c", model=name).value != whole.table.find("rmse_c", model=name).value
