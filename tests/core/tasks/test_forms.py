"""Every form of an answer: labels survive writing and reading, and what is no label is refused with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.tasks.forms import Classes, Indices, Number, PerToken, guess_kind, make_task

FEW = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def test_a_label_becomes_symbols_and_comes_back() -> None:
    site = make_task("site", {"kind": "indices", "positions": 50})
    value = site.parse("12;3", length=40)
    assert site.write(value, 40) == ["<@3>", "<@12>"]
    assert site.read(["<@3>", "<@12>"], 40) == (3, 12)
    assert site.read(["<@12>", "<@3>"], 40) is None
    assert site.read(["<@41>"], 40) is None


@FEW
@given(st.floats(-5, 7), st.integers(1, 9))
def test_a_number_comes_back_within_half_a_step(value: float, digits: int) -> None:
    number = Number("score", digits=digits, low=-5.0, high=7.0)
    back = number.read(number.write(value, 1), 1)
    assert back is not None
    assert abs(back - value) <= 12 / (10**digits - 1) / 2 * (1 + 1e-6)
    assert not number.clips(value)


def test_a_number_beyond_the_range_is_the_nearer_end_and_says_so() -> None:
    number = Number("score", low=0.0, high=1.0)
    assert number.clips(1.5)
    assert number.clips(-0.1)
    assert number.read(number.write(1.5, 1), 1) == 1.0
    fitted = Number("score").fit([0.0, 10.0], 5)
    assert (fitted.low, fitted.high) == (-0.5, 10.5)


@pytest.mark.parametrize("cell", ["none", "-", "[]", "None"])
def test_an_empty_list_of_places_can_be_written(cell: str) -> None:
    assert Indices("site", positions=9).parse(cell, 9) == ()
    assert Indices("site", positions=9).read([], 9) == ()


@FEW
@given(st.sets(st.sampled_from("abcdef")))
def test_several_classes_are_a_sorted_list(chosen: set[str]) -> None:
    task = Classes("place", classes=tuple("abcdef"), several=True)
    value = task.parse(";".join(chosen), 5)
    assert task.read(task.write(value, 5), 5) == tuple(sorted(chosen))


def test_labels_of_letters_are_read_whatever_a_domain_keeps_them_as() -> None:
    places, letters = Indices("site", positions=9), PerToken("state", alphabet="01")
    for values in (np.array([0, 1, 1], np.int8), np.array([0, 1, 1], np.uint8), np.frombuffer(b"011", np.uint8)):
        assert places.parse_units(values) == (2, 3)
        assert letters.parse_units(values) == "011"
    with pytest.raises(RecordError, match="one label for the whole record"):
        Number("score").parse_units(np.array([0.5, 1.0]))
    with pytest.raises(RecordError, match="from 0 to 9"):
        letters.parse_units(np.array([0.5]))


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        (Number("score"), "high", "a number"),
        (Number("score"), float("inf"), "finite"),
        (Indices("site", positions=9), "4;x", "whole numbers"),
        (Indices("site", positions=9), "0", "places from 1 to 5"),
        (Indices("site", positions=9), "6", "places from 1 to 5"),
        (PerToken("state", alphabet="HEC"), "HEC", "5 letters, one for each unit of the sequence; it has 3"),
    ],
)
def test_what_is_no_label_is_refused(task: Number, label: object, message: str) -> None:
    with pytest.raises(RecordError, match=message) as error:
        task.parse(label, 5)
    assert error.value.reason == "bad_label"


def test_what_training_has_not_seen_is_refused() -> None:
    with pytest.raises(RecordError, match="'c' does not occur in the training part"):
        Classes("kind", classes=("a", "b")).write("c", 5)
    with pytest.raises(RecordError, match="label 'X' at unit 2"):
        PerToken("state", alphabet="HEC").write("HX", 2)
    with pytest.raises(RecordError, match="tokens up to 9"):
        Indices("site", positions=9).write((), 10)


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(ConfigError, match="the training part has 1 class "):
        Classes("kind").fit(["a", "a"], 5)
    with pytest.raises(ConfigError, match="no training record has a number"):
        Number("score").fit([], 5)
    with pytest.raises(ConfigError, match="nothing to tell apart"):
        Number("score").fit([1.0, 1.0], 5)
    with pytest.raises(ConfigError, match="1 different letters"):
        PerToken("state").fit(["HH"], 5)
    assert Classes("kind").fit(["10", "9", "2"], 5).classes == ("2", "9", "10")


def test_a_task_as_a_user_says_it() -> None:
    assert make_task("sites", {"kind": "positions", "letters": "KR"}) == Indices("sites", letters="KR")
    assert make_task("acc", {"kind": "per_token", "label": "accessible"}).column == "accessible"
    with pytest.raises(ConfigError, match="positions needs letters="):
        make_task("sites", {"kind": "positions"})
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        make_task("score", {"kind": "number", "digit": 3})
    with pytest.raises(ConfigError, match="did you mean 'classes'"):
        make_task("kind", {"kind": "class"})
    with pytest.raises(ConfigError, match="is no name of a task"):
        make_task("a b", {"kind": "number"})


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["a", "b", None], "classes"),
        ([0, 1, float("nan")], "classes"),
        ([0.5, 1.0], "number"),
        (["HHE", "EEC"], "per_token"),
        (["1;2", "3"], "indices"),
    ],
)
def test_a_form_is_seen_from_the_labels(labels: list[object], kind: str) -> None:
    assert guess_kind(labels, [3] * len(labels)) == kind
