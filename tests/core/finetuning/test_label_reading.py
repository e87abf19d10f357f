import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.finetuning import cells
from core.finetuning.config import SupervisedConfig
from core.finetuning.label_reading import read_labels
from core.finetuning.split import check_leakage, fold_splits, leakage_of
from tests.core.finetuning.labelled import dna, labelled, share_of_c

CONFIG = SupervisedConfig()


def rich(rows):
    return ["yes" if share_of_c(row) > 0.25 else "no" for row in rows]


def test_classes_are_named_and_rows_without_a_label_are_counted(tmp_path):
    rows = dna(40)
    texts = rich(rows)
    texts[0], texts[5] = "", "NA"
    found = read_labels(labelled(tmp_path / "s.zarr", rows, {"rich": texts}), ["rich"], "classify", CONFIG)
    assert found.names == ("no", "yes")
    assert found.counts["missing"] == 2
    assert len(found.rows) == 38
    assert 0 not in found.rows
    said = [found.names[int(k)] for k in found.values.argmax(1)]
    assert said == [texts[int(row)] for row in found.rows]
    assert sum(len(found.part(s)) for s in ("train", "validation", "test")) == 38


def test_whole_numbers_are_classes_in_their_order(tmp_path):
    rows = dna(40)
    values = [float(i % 3 * 9) for i in range(40)]  # 0, 9, 18: not in the order of texts
    values[7] = float("nan")
    found = read_labels(labelled(tmp_path / "s.zarr", rows, {"kind": values}), ["kind"], "classify", CONFIG)
    assert found.names == ("0", "9", "18")
    assert found.counts["missing"] == 1


def test_several_classes_and_several_columns(tmp_path):
    rows = dna(40)
    texts = [("a;b", "a", "b", "c;a")[i % 4] for i in range(40)]
    yes = [float(i % 2) for i in range(40)]
    half = [float("nan") if i % 3 == 0 else float(i % 2) for i in range(40)]
    store = labelled(tmp_path / "s.zarr", rows, {"where": texts, "x": yes, "y": half})
    found = read_labels(store, ["where"], "classify", SupervisedConfig(several=True))
    assert found.names == ("a", "b", "c")
    assert found.values[3].tolist() == [1, 0, 1]
    assert cells.classes("where", np.array(["none", "", "a"], object), True)[1][0].tolist() == [0]
    assert cells.classes("where", np.array(["none", "", "a"], object), False)[0] == ("a", "none")
    both = read_labels(store, ["x", "y"], "classify", CONFIG)
    assert both.names == ("x", "y")
    assert np.isnan(both.values[:, 1]).sum() == 14


def test_labels_of_tokens_end_to_end(tmp_path):
    rows = dna(20)
    bound = [(row == 6).astype(np.uint8) for row in rows]
    found = read_labels(labelled(tmp_path / "s.zarr", rows, {}, token_labels=bound), ["bound"], "classify", CONFIG)
    assert found.by_token
    test = found.part("test")
    expected = np.concatenate([bound[int(found.rows[i])] for i in test])
    assert found.where(test).argmax(1).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("labels", "columns", "task", "says"),
    [
        ({"rich": ["a", "b"] * 20}, ["rihc"], "classify", "did you mean 'rich'"),
        ({"rich": ["a", "b"] * 20}, [], "classify", "label= is required"),
        ({"rich": ["a"] * 40}, ["rich"], "classify", "nothing to tell apart"),
        ({"x": [1.0] * 40}, ["x"], "regress", "the same number"),
        ({"x": [i / 7 for i in range(40)]}, ["x"], "classify", "task=regress"),
        ({"x": ["1", "2", "high", "3"] * 10}, ["x"], "regress", "not a number"),
        ({"x": [float("nan")] * 40}, ["x"], "regress", "no record has a label"),
        ({"x": [0.0, 1.0] * 20, "y": [0.0, 2.0] * 20}, ["x", "y"], "classify", "each must be 0 or 1"),
    ],
)
def test_what_cannot_be_learned_is_said(tmp_path, labels, columns, task, says):
    store = labelled(tmp_path / "s.zarr", dna(40), labels)
    with pytest.raises((ConfigError, InputError)) as error:
        read_labels(store, columns, task, CONFIG)
    assert says in f"{error.value.message} {error.value.hint}"


def test_a_class_that_training_lacks_and_a_label_that_is_the_split(tmp_path):
    rows = dna(40)
    split = [(0, 0, 0, 1, 2)[i % 5] for i in range(40)]
    rare = ["a" if i % 2 else "b" for i in range(40)]
    rare[4] = "new"  # in the test part alone
    names = [("train", "validation", "test")[s] for s in split]
    store = labelled(tmp_path / "s.zarr", rows, {"rare": rare, "part": names}, split=split)
    with pytest.raises(InputError, match="new does not occur in the training part"):
        read_labels(store, ["rare"], "classify", CONFIG)
    with pytest.raises(InputError, match="tells which part of the split"):
        read_labels(store, ["part"], "classify", CONFIG)


def test_an_empty_part_and_cut_records_are_refused(tmp_path):
    rows = dna(20)
    values = {"x": [float(i) for i in range(20)]}
    no_test = labelled(tmp_path / "a.zarr", rows, values, split=[0] * 15 + [1] * 5)
    with pytest.raises(InputError, match="in the test part"):
        read_labels(no_test, ["x"], "regress", CONFIG)
    spans = [(i, a, b) for i, row in enumerate(rows) for a, b in ((0, 6), (6, len(row)))]
    cut = labelled(tmp_path / "b.zarr", rows, values, spans=spans, split=[0, 1] * 20)
    with pytest.raises(InputError, match="cuts records"):
        read_labels(cut, ["x"], "regress", CONFIG)


def test_copies_that_disagree(tmp_path):
    rows = dna(40)
    rows[12] = rows[3].copy()
    texts = ["a" if i % 2 else "b" for i in range(40)]  # rows 3 and 12 differ
    store = labelled(tmp_path / "s.zarr", rows, {"kind": texts, "x": [float(i) for i in range(40)]})
    with pytest.raises(InputError, match="'r3' and 'r12'"):
        read_labels(store, ["kind"], "classify", CONFIG)
    dropped = read_labels(store, ["kind"], "classify", SupervisedConfig(conflicts="drop"))
    assert dropped.counts["dropped"] == 2
    assert not {3, 12} & set(dropped.rows.tolist())
    kept = read_labels(store, ["x"], "regress", CONFIG)
    assert (len(kept.rows), kept.counts["copies"], kept.counts["conflicts"]) == (40, 1, 1)
    assert kept.groups[3] == kept.groups[12]


def test_a_split_that_leaks_is_refused_unless_told(tmp_path):
    rows = dna(40)
    for test_row, train_row in ((4, 0), (9, 1), (14, 2), (19, 5)):
        rows[test_row] = rows[train_row].copy()
    store = labelled(tmp_path / "s.zarr", rows, {"x": [float(i) for i in range(40)]})
    found = leakage_of(read_labels(store, ["x"], "regress", CONFIG), store)
    assert found.copies == 0.5
    with pytest.raises(InputError, match="the split leaks") as error:
        check_leakage(found, 0.3, store)
    assert "supervised.max_leakage=0.5" in error.value.hint
    check_leakage(found, 0.5, store)
    far = labelled(tmp_path / "k.zarr", dna(40), {"x": [float(i) for i in range(40)]}, leakage={"k": 24, "test": 0.9})
    assert leakage_of(read_labels(far, ["x"], "regress", CONFIG), far).worst == 0.9


def test_folds_test_every_record_once_and_keep_groups_together(tmp_path):
    rows = dna(60)
    groups = [f"g{i // 3}" for i in range(60)]
    store = labelled(tmp_path / "s.zarr", rows, {"x": [float(i) for i in range(60)]}, groups=groups)
    labels = read_labels(store, ["x"], "regress", CONFIG)
    splits = fold_splits(labels, 4, seed=0)
    tested = np.concatenate([np.flatnonzero(split == 2) for split in splits])
    assert sorted(tested.tolist()) == list(range(60))
    for split in splits:
        sides = {}
        for group, side in zip(groups, split.tolist(), strict=True):
            sides.setdefault(group, set()).add(side)
        assert all(len(found) == 1 for found in sides.values())
    one = labelled(tmp_path / "g.zarr", rows, {"x": [float(i) for i in range(60)]}, groups=["a", "b"] * 30)
    with pytest.raises(InputError, match="a test fold would be empty"):
        fold_splits(read_labels(one, ["x"], "regress", CONFIG), 4, seed=0)
