"""Labels of pairs of records: which part they are in, what a head reads, what is learned and said again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.bundle import load_bundle
from core.engine import Engine
from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import MODEL
from core.finetuning import fit
from core.finetuning.artifacts import write_finetuned
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.finetuning.head import HEAD, load_head
from core.finetuning.label_reading import read_pair_labels
from core.finetuning.labels import Labels
from core.finetuning.pairs import ORDERED, SYMMETRIC, PairTable, combined, combined_width, means_of_records, part_of
from core.finetuning.predict import pair_predictions
from core.finetuning.records import Records
from core.finetuning.run import OF_RECORDS, finetune
from core.finetuning.split import fold_splits, leakage_of, trusted_labels
from core.prediction.labels import pair_columns
from core.prediction.predict import predict
from core.window_policy import WindowPolicy
from tests.core.finetuning.labelled import base, dna, labelled, share_of_c
from tests.core.tiny import tiny_model

QUICK = SupervisedConfig(epochs=2, batch_size=16, resamples=100)
ROWS = dna(60)
SHARES = [share_of_c(row) for row in ROWS]


def pairs(n=200, seed=0, value=lambda a, b: abs(SHARES[a] - SHARES[b]), name="apart"):
    rng = np.random.default_rng(seed)
    both = [rng.choice(len(ROWS), 2, replace=False).tolist() for _ in range(n)]
    first, second = (tuple(f"r{i}" for i in half) for half in zip(*both, strict=True))
    return PairTable(first, second, {name: np.array([value(a, b) for a, b in both])})


def of_rows(path, **more):
    return labelled(path, ROWS, {"x": SHARES}, **more)


@given(st.lists(st.integers(-1, 2), min_size=2, max_size=8), st.data())
def test_a_pair_is_in_the_part_that_is_farther_from_training(split, data):
    rows = st.integers(0, len(split) - 1)
    halves = np.array(data.draw(st.lists(st.tuples(rows, rows), min_size=1, max_size=8)))
    found = part_of(halves, np.array(split))
    for (a, b), part in zip(halves.tolist(), found.tolist(), strict=True):
        assert part == (-1 if min(split[a], split[b]) < 0 else max(split[a], split[b]))


@pytest.mark.parametrize(("kind", "times"), [(ORDERED, 4), (SYMMETRIC, 3)])
def test_a_head_reads_the_same_of_arrays_and_tensors(kind, times):
    a, b = np.random.default_rng(0).normal(size=(2, 5, 7))
    found = combined(a, b, kind)
    assert found.shape == (5, combined_width(7, kind)) == (5, 7 * times)
    np.testing.assert_array_equal(combined(torch.from_numpy(a), torch.from_numpy(b), kind).numpy(), found)
    assert np.array_equal(found, combined(b, a, kind)) == (kind == SYMMETRIC)


def test_pairs_are_dealt_out_by_their_records_and_counted(tmp_path):
    store = of_rows(tmp_path / "s.zarr")
    table = pairs(50)
    values = table.labels["apart"].copy()
    values[:3] = np.nan
    strange = replace(table, first=(*table.first[:-1], "nobody"), labels={"apart": values})
    found = read_pair_labels(store, strange, ["apart"], "regress", QUICK)
    assert (found.counts["rows"], found.counts["missing"], found.counts["unknown"]) == (50, 3, 1)
    assert len(found.rows) == len(found.partners) == 46
    split = np.array([(0, 0, 0, 1, 2, 0, 0, 0, 1, 2)[i % 10] for i in range(60)])
    assert found.split.tolist() == np.maximum(split[found.rows], split[found.partners]).tolist()
    np.testing.assert_array_equal(found.members[found.halves], np.stack([found.rows, found.partners], 1))
    said = "\n".join(found.describe())
    assert "46 of 50 pairs have one, 3 without" in said
    assert "1 pairs are of records that the store does not have" in said


def test_how_many_records_of_a_test_pair_are_new_is_told(tmp_path):
    store = of_rows(tmp_path / "s.zarr")
    found = read_pair_labels(store, pairs(), ["apart"], "regress", QUICK)
    test = found.part("test")
    train = {*found.rows[found.part("train")].tolist(), *found.partners[found.part("train")].tolist()}
    expected = [(int(found.rows[i]) not in train) + (int(found.partners[i]) not in train) for i in test]
    assert found.unseen(test).tolist() == expected
    assert set(expected) == {1, 2}
    assert leakage_of(found, store).copies == 0
    grouped = of_rows(tmp_path / "g.zarr", groups=["one"] * 60)
    with pytest.raises(InputError, match="the split leaks: 100 %"):
        trusted_labels(grouped, ["apart"], "regress", QUICK, pairs())


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_same_pair_with_other_labels_is_a_conflict(tmp_path, symmetric):
    store = of_rows(tmp_path / "s.zarr")
    table = PairTable(
        tuple(f"r{i}" for i in range(59)), tuple(f"r{i + 1}" for i in range(59)), {"more": np.arange(59.0) % 2}
    )
    turned = PairTable(
        (*table.first, table.second[0]),
        (*table.second, table.first[0]),
        {"more": np.append(table.labels["more"], 1.0)},
    )
    config = replace(QUICK, symmetric=symmetric)
    if not symmetric:
        assert read_pair_labels(store, turned, ["more"], "classify", config).counts["copies"] == 0
        return
    with pytest.raises(InputError, match="1 pairs equal an earlier one and have another 'more'"):
        read_pair_labels(store, turned, ["more"], "classify", config)
    dropped = read_pair_labels(store, turned, ["more"], "classify", replace(config, conflicts="drop"))
    assert len(dropped.rows) == len(dropped.partners) == 58


@pytest.mark.parametrize(
    ("changes", "column", "error", "says"),
    [
        ({}, "apatr", ConfigError, "did you mean 'apart'"),
        ({}, "", ConfigError, "label= is required"),
        ({"first": ("x",) * 200}, "apart", InputError, "none of its pairs is of two records"),
        ({"labels": {"apart": np.array(["a"] * 200, object)}}, "apart", InputError, "not a number"),
    ],
)
def test_tables_that_cannot_be_learned_from(tmp_path, changes, column, error, says):
    table = replace(pairs(), **changes)
    with pytest.raises(error, match=says):
        read_pair_labels(of_rows(tmp_path / "s.zarr"), table, [column] if column else [], "regress", QUICK)


def test_columns_are_of_one_length():
    with pytest.raises(ConfigError, match="2 first records, 1 of 'second'"):
        PairTable(("a", "b"), ("c",))


@pytest.mark.parametrize("most", [10**6, 40])
def test_what_a_gradient_flows_through_is_what_prediction_reads(tmp_path, monkeypatch, most):
    monkeypatch.setattr(fit, "MICRO_TOKENS", most)
    model = tiny_model(context=16)
    found = read_pair_labels(of_rows(tmp_path / "s.zarr"), pairs(40), ["apart"], "regress", QUICK)
    records = Records(
        of_rows(tmp_path / "t.zarr"), found.members, model.spec, WindowPolicy().resolve(model.config), "mean"
    )
    batch = np.array([7, 3, 11, 30, 4])
    expected = fit.embed(Engine(model, device="cpu"), records, found, batch)
    read = list(fit._pairs_read(model, records, found, batch, "fp32", torch.device("cpu")))
    assert np.concatenate([which for _, which in read]).tolist() == batch.tolist()
    assert (len(read) > 1) == (most == 40)
    np.testing.assert_allclose(torch.cat([seen for seen, _ in read]).detach().numpy(), expected, atol=2e-5)


def test_what_pairs_have_in_common_is_learned_and_said_again(tmp_path):
    store, table = of_rows(tmp_path / "s.zarr"), pairs(400)
    config = SupervisedConfig(epochs=4, lr=3e-3, resamples=100, symmetric=True)
    labels = trusted_labels(store, ["apart"], "regress", config, table)
    found = finetune(base(), store, labels, adapter=AdapterConfig(), config=config, out=tmp_path / "out")
    models = {row.model for row in found.table.rows if row.name == "rmse_apart"}
    assert models == {MODEL, "mean", "frozen_embeddings_ridge", "kmer_ridge", OF_RECORDS}
    split = f"{store.name}/test"
    mine, theirs = (found.table.find("rmse_apart", split, model).value for model in (MODEL, OF_RECORDS))
    assert mine < 0.8 * theirs
    assert found.table.find("rmse_apart", f"{split}, both unseen") is not None
    header, *lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert header.startswith("id,second,measured_apart,mean_apart")
    assert len(lines) == len(labels.part("test"))

    write_finetuned(tmp_path / "b", base(), store, found, adapter=AdapterConfig(), config=config, seed=0)
    bundle = load_bundle(tmp_path / "b")
    assert "training has seen neither record of" in bundle.card
    head, engine = load_head(bundle.path, bundle.model.hidden_width), Engine(bundle.model)
    test = labels.part("test")
    halves = [(store[int(labels.rows[i])], store[int(labels.partners[i])]) for i in test]
    said = list(pair_predictions(engine, head, halves))
    np.testing.assert_allclose([p.mean["apart"] for p in said], found.best.said["mean"][:, 0], atol=1e-5)
    assert said[0].id == f"{halves[0][0].id} {halves[0][1].id}"
    columns, unknown = pair_columns(engine, head, store, replace(table, first=("nobody", *table.first[1:])))
    assert unknown == 1
    assert np.isnan(columns["mean_apart"]).tolist() == [True] + [False] * 399
    np.testing.assert_allclose(columns["mean_apart"][test[1:]], found.best.said["mean"][1:, 0], atol=1e-5)
    with pytest.raises(ConfigError, match="something of pairs of records"):
        predict(bundle.path, store.path, tmp_path / "p.zarr", what=["predict"])
    text = (bundle.path / HEAD).read_text()
    (bundle.path / HEAD).write_text(text.replace(SYMMETRIC, ORDERED))
    with pytest.raises(IntegrityError, match="the head reads"):
        load_head(bundle.path, bundle.model.hidden_width)


@pytest.mark.parametrize("adapter", ["head", "lora"])
def test_classes_of_pairs_with_an_adapter(tmp_path, adapter):
    if adapter == "lora":
        pytest.importorskip("peft")
    store = of_rows(tmp_path / "s.zarr")
    table = pairs(150, value=lambda a, b: float(SHARES[a] > SHARES[b]), name="more")
    labels = trusted_labels(store, ["more"], "classify", QUICK, table)
    found = finetune(base(), store, labels, adapter=AdapterConfig(adapter), config=QUICK)
    np.testing.assert_allclose(found.best.said["probability"].sum(1), 1)
    assert found.table.find("accuracy_more", model=OF_RECORDS) is not None


def test_folds_of_pairs_are_refused(tmp_path):
    labels = read_pair_labels(of_rows(tmp_path / "s.zarr"), pairs(), ["apart"], "regress", QUICK)
    with pytest.raises(ConfigError, match="pairs share records"):
        fold_splits(labels, 3, 0)


def test_means_of_records_are_shrunk_to_the_mean_of_all():
    halves, values = np.array([[0, 1], [0, 2], [3, 4]]), np.array([[1.0], [0.0], [0.0]])
    found = means_of_records(halves, values, np.array([0, 1]), np.array([0, 2]))
    overall = 0.5
    first, second = (1 + 0 + overall) / 3, (1 + overall) / 2
    np.testing.assert_allclose(found, [[(first + second) / 2], [overall]])


def test_single_records_are_read_as_they_are():
    labels = Labels(
        ("x",), "regress", ("x",), False, np.arange(3), np.ones((3, 1)), np.zeros(3, np.int64), np.arange(3)
    )
    vectors = np.arange(6.0).reshape(3, 2)
    assert labels.joined(vectors) is vectors
    assert labels.halves.tolist() == [[0], [1], [2]]
