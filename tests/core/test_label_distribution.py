"""Labels are counted as they are, whatever the pieces they come in; lines stay short; warnings name what matters."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import label_distribution
from core.finetuning.cells import classes
from core.label_distribution import distribution, label_lines, label_oddities
from core.missing import MISSING

PARTS = ("train", "validation", "test")


def parts(text):
    """One letter a row: t, v or e; X stands in train and test."""
    letters = np.array(list(text))
    sides = {"train": "tX", "validation": "v", "test": "eX"}
    return {part: np.isin(letters, list(which)) for part, which in sides.items()}


def texts(*values):
    return np.array(values, dtype=np.dtypes.StringDType())


def test_classes_are_counted_by_part():
    found = distribution([texts("yes", "no", " yes"), texts("", "no", "NA", "yes")], parts("tttveeX"))
    assert found == {
        "kind": "classes",
        "records": 5,
        "missing": 2,
        "different": 2,
        "classes": {"yes": {"train": 3, "validation": 0, "test": 1}, "no": {"train": 1, "validation": 0, "test": 1}},
        "parts": {
            "train": {"records": 4, "missing": 0},
            "validation": {"records": 0, "missing": 1},
            "test": {"records": 2, "missing": 1},
        },
    }
    assert label_lines({"soluble": found}) == [
        "soluble: 2 classes; missing in 2 of 7 records",
        "  train        4   yes: 75 % (3)   no: 25 % (1)",
        "  validation   0",
        "  test         2   yes: 50 % (1)   no: 50 % (1)",
    ]


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        (np.array([0, 1, 1, 0]), "classes", ["0", "1"]),
        (np.array([2.0, 1.0, np.nan, 1.0]), "classes", ["1", "2"]),
        (np.array([True, False, True, True]), "classes", ["True", "False"]),
        (np.array([0.5, 1, 1, 0.5]), "numbers", None),
        (np.array([1, 2, 3, 4]), "numbers", None),
        (texts("a", "b", "c", "d"), "texts", None),
        (np.array([np.nan] * 4), "numbers", None),
        (texts("", "", "null", "n/a"), "texts", None),
    ],
)
def test_what_a_label_looks_like(values, kind, names):
    found = distribution([values], parts("ttve"))
    assert found["kind"] == kind
    assert (list(found["classes"]) if names else None) == names
    json.dumps(found, allow_nan=False)
    assert label_lines({"x": found})


cells = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))


@given(st.lists(st.tuples(cells, st.sampled_from("tveX")), min_size=1, max_size=60), st.data())
def test_numbers_are_those_of_all_rows_whatever_the_pieces(rows, data):
    values = np.array([np.nan if cell is None else cell for cell, _ in rows])
    sides = parts("".join(side for _, side in rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    whole = distribution([values], sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_distribution, "_BLOCK", 7)  # many blocks
        found = distribution(np.split(values, cuts), sides)
        assert found == distribution([values], sides)
    for part, facts in found["parts"].items():
        known = values[sides[part] & np.isfinite(values)]
        assert facts["records"] == len(known)
        assert facts["missing"] == sides[part].sum() - len(known)
        assert ("mean" in facts) == bool(len(known))
        if len(known):
            assert (facts["least"], facts["greatest"]) == (known.min(), known.max())
            assert facts["mean"] == pytest.approx(known.mean(), rel=1e-9, abs=1e-6)
            assert facts["deviation"] == pytest.approx(known.std(), rel=1e-6, abs=1e-6)
    assert found.get("classes") == whole.get("classes")


def test_numbers_that_are_too_large_to_be_squared():
    found = distribution([np.array([1e200, -1e200, 1e201, 0.5])], parts("ttte"))
    json.dumps(found, allow_nan=False)
    assert label_lines({"x": found})[1].endswith("deviation too large")


def test_few_values_are_kept_of_many(monkeypatch):
    """A column of names is counted until the limit, and none of it is kept."""
    names = texts(*(f"protein {i}" for i in range(3000)))
    sides = parts("t" * 3000)
    monkeypatch.setattr(label_distribution, "_BLOCK", 500)
    found = distribution([names], sides)
    assert (found["kind"], found["different"], "classes" in found) == ("texts", None, False)
    assert label_lines({"note": found}) == ["note: more than 1,000 different texts; none missing"]
    families = texts(*(f"PF{i % 200:05}" for i in range(3000)))
    found = distribution([families], sides)
    assert (found["kind"], found["different"], len(found["classes"])) == ("classes", 200, 50)
    assert label_oddities({"family": found}) == []


def test_missing_is_what_fine_tuning_calls_missing():
    column = texts(*MISSING, "NaN", " N/A ", "none", "x", "x", "none")
    found = distribution([column], parts("t" * len(column)))
    names, values = classes("label", column, several=False)
    assert set(names) == set(found["classes"])
    assert found["records"] == int(np.isfinite(values).any(axis=1).sum())


def test_lines_stay_short():
    words = [f"a very long name of\na class, number {i % 20}" for i in range(400)]
    sides = parts("t" * 300 + "v" * 50 + "e" * 50)
    found = distribution([texts(*words)], sides)
    numbers = distribution([np.linspace(-1.23456e-7, 9.87654e12, 400)], sides)
    labels = {f"the label with number {i}": found if i % 2 else numbers for i in range(30)}
    lines = label_lines(labels | {"seed": {**numbers, "own": True}})
    assert max(map(len, lines)) <= 116
    assert not any("\n" in line for line in lines)
    assert len(lines) <= 8 * 4 + 24
    assert sum("..." in line for line in lines) >= 12


def test_a_records_own_labels_are_told_in_short_and_not_warned_of():
    sides = parts("t" * 30 + "e" * 30)
    constant, varied = texts(*["CartPole"] * 60), np.repeat([0, 1], 30)
    found = {name: distribution([values], sides) for name, values in (("env", constant), ("success", varied))}
    own = {name: {**facts, "own": True} for name, facts in found.items()}
    assert label_lines(own) == ["success: 0 in 50 %, 1 in 50 %"]
    assert label_oddities(own) == []
    assert len(label_oddities(found)) == 3


def test_warnings_name_what_cannot_be_learned_or_judged():
    sides = parts("t" * 60 + "v" * 20 + "e" * 20)
    family = texts(*["a"] * 40, *["b"] * 20, *["a"] * 15, *["c"] * 5, *["a"] * 17, *["b"] * 3)
    one, score = texts(*["yes"] * 100), np.linspace(0, 1, 100)
    labels = {n: distribution([v], sides) for n, v in (("family", family), ("one", one), ("score", score))}
    assert label_oddities(labels) == [
        "label 'family': 'c' (5 elsewhere) never occurs in train",
        "label 'family': 'b' (3) is rare in test, though frequent in train: scores say little of it",
        "label 'one' is 'yes' in all 100 records: nothing to tell apart",
    ]
    many = {f"one_{i}": labels["one"] for i in range(12)}
    assert len(label_oddities(many)) == 6
    assert label_oddities(many)[-1] == "and 7 more of this kind, on other labels"


@pytest.mark.parametrize("side", "te")
def test_one_part_alone_is_not_warned_of(side):
    """What is only to be scored is all test."""
    labels = {"x": distribution([texts(*["a", "b"] * 30)], parts(side * 60))}
    assert label_oddities(labels) == []


def test_a_class_that_training_lacks_is_named_with_how_many_more():
    sides = parts("t" * 10 + "e" * 10)
    found = distribution([np.concatenate([np.zeros(10), np.repeat(np.arange(1, 6), 2)])], sides)
    (told,) = label_oddities({"stage": found})
    named = ", ".join(f"'{stage}' (2 elsewhere)" for stage in (1, 2, 3))
    assert told == f"label 'stage': {named} and 2 more never occur in train"
