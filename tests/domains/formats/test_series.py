"""A series and its pieces."""

from __future__ import annotations

import numpy as np
import pytest

from domains.formats.series import OPENING, Series


def test_a_piece_knows_its_place_in_the_whole() -> None:
    whole = Series(
        "x", np.arange(2000.0), start=np.datetime64("2024-01-01", "ns"), freq="MS", past={"p": np.arange(2000.0)}
    )
    inner = whole.piece(100, 900).piece(20, 30)
    assert (inner.offset, inner.whole_length, len(inner)) == (120, 2000, 10)
    assert inner.start == np.datetime64("2034-01-01")
    assert inner.past["p"].tolist() == inner.values[:, 0].tolist() == list(range(120, 130))
    assert np.array_equal(inner.opening, whole.values[:OPENING])
    assert whole.stamps()[120] == inner.start


def test_arrays_must_be_of_one_length() -> None:
    for wrong in ({"known": {"k": np.zeros(3)}}, {"channels": ("a", "b")}):
        with pytest.raises(ValueError, match="series 'x'"):
            Series("x", np.zeros(4), **wrong)
    assert Series("x", np.zeros(4)).stamps() is None
