"""Options of a domain's evaluation: what is refused, and what every table begins and ends with."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from core.config_keys import from_keys
from core.errors import ConfigError, InputError
from core.evaluation import MetricTable
from core.evaluation_options import (
    EvaluationOptions,
    Limits,
    SamplingOptions,
    add_drawing,
    add_training,
    spans_of,
)


@dataclass(frozen=True)
class Options(EvaluationOptions):
    LIMITS: ClassVar[Limits] = {"samples": 0, "order": (0, 3), "block": (10, None)}

    samples: int = 5
    order: int = 3
    block: int = 10


def test_a_domain_adds_its_own() -> None:
    options = from_keys(Options, {"samples": 0, "seed": 3}, "evaluation")
    assert options.measuring("ecoli/test") == {"split": "ecoli/test", "seed": 3, "resamples": 2000}


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [("samples", -1, "0 or more"), ("order", 4, "0 to 3"), ("block", 9, "10 or more"), ("resamples", 99, "100 or more"),
     ("samples", 1.5, "0 or more"), ("samples", True, "0 or more")],
)  # fmt: skip
def test_a_value_out_of_bounds_is_named_with_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(ConfigError, match=rf"evaluation\.{key}: got {value!r}, allowed: {allowed}"):
        Options(**{key: value})


def test_what_is_known_of_training_stands_in_the_table() -> None:
    table = MetricTable()
    add_training(table, {"seconds": 12, "seed": None}, "a/test")
    add_training(table, None, "a/test")
    assert [(row.name, row.value, row.split) for row in table.rows] == [("seconds_training", 12, "a/test")]


def test_a_split_that_is_not_there_is_named() -> None:
    store: Any = SimpleNamespace(path="a.zarr", name="a", spans=lambda split: np.zeros((int(split == "test"), 3)))
    assert len(spans_of(store, "test")) == 1
    with pytest.raises(InputError, match=r"a\.zarr has no validation split"):
        spans_of(store, "validation")
    assert (Options().label(store, "test"), Options(data="b").label(store, "test")) == ("a/test", "b/test")


def test_how_samples_are_drawn_stands_in_the_table_where_it_is_not_the_models_own_way() -> None:
    plain, cut = SamplingOptions(), SamplingOptions(temperature=0.9, min_p=0.02)
    assert (plain.said(), cut.said()) == ("", " at temperature 0.9, min_p 0.02")
    assert cut.drawing == {"temperature": 0.9, "min_p": 0.02}
    table = MetricTable()
    add_drawing(table, plain, "a/test")
    assert not table.rows
    add_drawing(table, cut, "a/test")
    assert {row.name: row.value for row in table.rows} == {"samples_temperature": 0.9, "samples_min_p": 0.02}


@pytest.mark.parametrize(("key", "value"), [("min_p", 1.5), ("min_p", "x"), ("temperature", -1.0)])
def test_what_cannot_be_drawn_at_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"evaluation\.{key}: got"):
        SamplingOptions(**{key: value})
