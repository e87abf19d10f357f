"""Spaces as columns: every gymnasium space that has a width goes to a row and back."""

from __future__ import annotations

import gymnasium.spaces as gs
import numpy as np
import pytest

from core.errors import ConfigError, InputError
from domains.robots.source.spaces import Space, box, choice, space_of, to_environment

NESTED = gs.Dict(
    {
        "z": gs.Box(-1, 1, (2, 3), np.float32),
        "a": gs.Dict({"gear": gs.Discrete(4, start=2), "arms": gs.MultiDiscrete([3, 2])}),
        "b": gs.MultiBinary(2),
    }
)


@pytest.mark.parametrize(
    "space",
    [
        gs.Box(-2, 2, (3,), np.float32),
        gs.Discrete(5, start=1),
        gs.MultiDiscrete([2, 3, 4]),
        gs.Tuple((gs.Discrete(2), gs.Box(0, 1, (2,), np.float32))),
        NESTED,
    ],
)
def test_a_value_comes_back_from_its_row(space: gs.Space) -> None:
    space.seed(3)
    ours = space_of(space)
    for _ in range(5):
        value = space.sample()
        row = ours.row(value)
        assert row.shape == (ours.width,) == (len(ours.names),)
        assert ours.outside(row[None]) is None
        back = to_environment(space, row)
        assert space.contains(back)
        assert np.array_equal(ours.row(back), row)


def test_a_dict_is_flattened_in_its_own_order() -> None:
    names = space_of(NESTED).names
    keys = [name.split(".")[0].rstrip("0123456789") for name in names]
    assert list(dict.fromkeys(keys)) == list(NESTED.spaces)


def test_a_space_comes_back_from_its_config() -> None:
    for space in (space_of(NESTED), box(3), choice(4, "gear", 1)):
        assert Space.from_config(space.to_config()) == space


def test_choices_of_an_observation_become_columns_of_0_and_1() -> None:
    space = Space((*box(1).parts, *choice(3, "gear", first=1).parts))
    assert space.one_hot(np.array([[0.5, 1], [0.25, 3]])).tolist() == [[0.5, 1, 0, 0], [0.25, 0, 0, 1]]


@pytest.mark.parametrize(
    ("row", "at"), [([0.0, 3], (0, 1)), ([1.1, 0], (0, 0)), ([0.0, 0.5], (0, 1)), ([0.0, -1], (0, 1))]
)
def test_what_lies_outside_is_found(row: list[float], at: tuple[int, int]) -> None:
    space = Space((*box(1, low=-1, high=1).parts, *choice(3).parts))
    assert space.outside(np.array([row])) == at


def test_what_has_no_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="Text has no fixed number of columns"):
        space_of(gs.Text(5))
    with pytest.raises(InputError, match="3 numbers, the environment's space 2"):
        to_environment(gs.Box(0, 1, (2,)), np.zeros(3))
