"""Marks of logarithmic axes: round, a few of them, and written as plain numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.report.gallery import new_axes
from core.report.log_axis import marks, plain_log, written


def test_a_short_axis_of_lengths_has_plain_numbers() -> None:
    ax = new_axes()
    ax.plot([42, 90], [1, 2])
    plain_log(ax)
    ax.set_xlim(38, 95)
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["40", "50", "60", "70", "80", "90"]
    assert not [label for label in ax.get_xticklabels(minor=True) if label.get_text()]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.005, 4, [0.01, 0.1, 1]), (40, 3000, [50, 100, 200, 500, 1000, 2000]), (1, 1e4, [1, 10, 100, 1000, 1e4])],
)
def test_marks_are_powers_or_multiples_of_them(low: float, high: float, expected: list[float]) -> None:
    assert marks(low, high) == pytest.approx(expected)


def test_every_axis_has_a_few_marks_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        low = 10 ** rng.uniform(-8, 6)
        high = low * 10 ** rng.uniform(0.01, 8)
        found = marks(low, high)
        assert 2 <= len(found) <= 8
        assert all(low * 0.999 <= value <= high * 1.001 for value in found)


def test_numbers_far_from_one_stay_powers() -> None:
    assert [written(v) for v in (0.001, 0.02, 40, 1500, 999_999)] == ["0.001", "0.02", "40", "1,500", "999,999"]
    assert written(1e-5) == "$10^{-5}$"
    assert written(2e6) == r"$2\times10^{6}$"
