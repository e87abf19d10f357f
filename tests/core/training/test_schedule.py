import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.training.config import TrainingConfig
from core.training.schedule import learning_rate


def test_cosine_warms_up_to_the_peak_and_falls_to_zero():
    config = TrainingConfig(steps=100, lr=1.0, warmup_steps=10, schedule="cosine")
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 1e-3


def test_wsd_is_flat_and_then_falls_linearly():
    config = TrainingConfig(steps=100, lr=2.0, warmup_steps=5, schedule="wsd", decay_share=0.2, lr_floor=0.1)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert set(rates[5:81]) == {2.0}
    assert rates[90] == pytest.approx((2.0 + 0.2) / 2)
    assert rates[100] == pytest.approx(0.2)


@given(
    schedule=st.sampled_from(["cosine", "wsd", "constant"]),
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    floor=st.floats(0, 1),
)
def test_rates_rise_to_the_peak_once_and_never_leave_floor_and_peak(schedule, steps, warmup, floor):
    config = TrainingConfig(steps=steps, lr=0.5, warmup_steps=warmup, schedule=schedule, lr_floor=floor)
    rates = [learning_rate(config, step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert top <= steps // 10
    assert rates[top] == pytest.approx(0.5)
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(rates[top:]))
    assert all(r >= 0.5 * floor - 1e-12 for r in rates[top:])
