"""A verb's dataclass takes composed values, and says which key is wrong and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from core.errors import ConfigError
from pipelines.options import build, defaults, documentation, field_types, is_list, leaves, takes


@dataclass(frozen=True)
class Inner:
    lr: float = 0.1
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    schedule: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"inner.lr: got {self.lr}, allowed: a positive number")


@dataclass(frozen=True, kw_only=True)
class Keys:
    store: Path
    """Where the data lies,
    as a folder."""
    steps: int | None = None
    names: tuple[str, ...] = ()
    on: bool = False
    inner: Inner = field(default_factory=Inner)
    data: dict[str, Any] = field(default_factory=lambda: {"name": None})


def test_values_become_options() -> None:
    values = {"store": "a.zarr", "steps": 3, "inner": {"lr": 1, "betas": [0.8, 0.9]}, "names": "x", "data": {"k": 6}}
    keys = build(Keys, values)
    assert keys == Keys(store=Path("a.zarr"), steps=3, names=("x",), inner=Inner(1.0, (0.8, 0.9)), data={"k": 6})
    assert build(Keys, {"store": "a", "names": None}).names == ()


@pytest.mark.parametrize(
    "values, said",
    [
        ({"store": "???"}, "store= is required"),
        ({"store": "a", "stepz": 3}, "did you mean 'steps'"),
        ({"store": "a", "steps": 1.5}, "steps=1.5: expected a whole number"),
        ({"store": "a", "steps": True}, "expected a whole number"),
        ({"store": "a", "on": "yes"}, "on='yes': expected true or false"),
        ({"store": ""}, "expected a path"),
        ({"store": "a", "inner": {"lr": "fast"}}, "inner.lr='fast': expected a number"),
        ({"store": "a", "inner": {"lr": -1}}, "inner.lr: got -1.0"),
        ({"store": "a", "inner": {"betas": [0.9]}}, "inner.betas=[0.9]: expected 2 values"),
        ({"store": "a", "inner": {"schedule": "cosin"}}, "did you mean 'cosine'"),
        ({"store": "a", "inner": 3}, "expected keys like inner.lr="),
        ({"store": "a", "data": "x"}, "expected keys like data.name="),
    ],
)
def test_wrong_values_name_their_key(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Keys, values)
    assert said in str(caught.value)


def test_defaults_are_plain_and_build_back() -> None:
    plain = defaults(Keys)
    assert plain["store"] == "???"
    assert plain["inner"]["betas"] == [0.9, 0.95]
    assert build(Keys, {**plain, "store": "a"}) == Keys(store=Path("a"))


def test_what_the_front_end_asks_of_the_types() -> None:
    kinds = leaves(Keys)
    assert list(kinds) == ["store", "steps", "names", "on", "inner.lr", "inner.betas", "inner.schedule", "data"]
    assert [name for name, kind in kinds.items() if takes(kind, Path)] == ["store"]
    assert {"names", "inner.schedule"} <= {name for name, kind in kinds.items() if takes(kind, str)}
    assert [name for name, kind in kinds.items() if is_list(kind)] == ["names", "inner.betas"]
    assert documentation(Keys)["store"] == "Where the data lies, as a folder."
    assert documentation(Inner) == {"lr": "Peak learning rate."}
    assert "inner" in field_types(Keys)
