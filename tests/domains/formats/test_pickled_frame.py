"""Pickled frames as data: the columns come back, and nothing that a pickle could do is done."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from domains.formats.pickled_frame import read_pickled_frame

FRAME = pd.DataFrame(
    {"name": ["a", "b", None], "x": [1.5, np.nan, 3.0], "n": [1, 2, 3], "y": [0.25, 0.5, 0.75], "m": [7, 8, 9]}
)


@pytest.mark.parametrize("protocol", [4, 5])
def test_numbers_and_text_come_back(protocol: int) -> None:
    back = read_pickled_frame(pickle.dumps(FRAME, protocol=protocol), "frame")
    assert list(back.columns) == list(FRAME.columns)
    for name in ("x", "n", "y", "m"):
        assert np.array_equal(back[name], FRAME[name], equal_nan=True)
    assert back["name"].tolist() == FRAME["name"].tolist()


class Trap:
    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


@pytest.mark.parametrize(
    "made",
    [Trap(), FRAME.assign(name=[Trap(), 1, 2]), {"a": 1}, [1, 2], FRAME.assign(when=pd.Timestamp("2024-01-01"))],
    ids=["call", "call inside a cell", "dict", "list", "dates"],
)
def test_anything_else_is_refused_and_nothing_is_run(made) -> None:
    with pytest.raises(InputError, match="not a pickled table"):
        read_pickled_frame(pickle.dumps(made, protocol=5), "frame")
    assert not Trap.sprung


def test_a_damaged_pickle_is_named() -> None:
    data = pickle.dumps(FRAME, protocol=5)
    for broken in (b"", data[:-30], data[:100], b"\x80\x05garbage."):
        with pytest.raises(InputError, match=r"some\.pkl"):
            read_pickled_frame(broken, "some.pkl")
