"""Amounts in human units: short, of the right size, and rising with what they stand for."""

from __future__ import annotations

import pytest

from core.amounts import count, duration, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.83, "0.8 s"), (42.3, "42 s"), (119, "119 s"), (121, "2.0 min"), (1260, "21 min"),
        (7300, "2.0 h"), (90_000, "25 h"), (216_000, "2.5 days"),
    ],
)  # fmt: skip
def test_times(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_sizes_and_counts() -> None:
    assert [size(n) for n in (0, 312, 45_200, 3_210_000, 14_000_000, 1.4e9)] == [
        "0 B", "312 B", "45 kB", "3.2 MB", "14 MB", "1.4 GB",
    ]  # fmt: skip
    assert [count(n) for n in (950, 999.7, 12_345, 2_100_000, 3.4e15)] == ["950", "1.0 k", "12 k", "2.1 M", "3,400 T"]
