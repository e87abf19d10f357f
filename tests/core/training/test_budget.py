import time
from time import perf_counter

import torch

from core.training.budget import steps_within
from core.training.config import TrainingConfig


class Batch:
    def to(self, device):
        return self


class Slow(torch.nn.Module):
    """A forward pass of a known least time."""

    def __init__(self, seconds):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seconds, self.calls = seconds, 0

    def forward(self, batch):
        time.sleep(self.seconds)
        self.calls += 1
        return {"loss": self.weight.sum()}


def fit(seconds, network, val_batches=0, **changes):
    return steps_within(
        seconds,
        network,
        TrainingConfig(minutes=seconds / 60, **changes),
        "fp32",
        torch.device("cpu"),
        lambda n: [Batch()] * n,
        lambda: [Batch()] * val_batches,
        started=perf_counter(),
    )


def steps(*arguments, **changes):
    return fit(*arguments, **changes)[0]


def test_steps_fit_into_what_timing_has_left_of_the_budget():
    network = Slow(0.02)
    found = steps(5.0, network)
    assert 20 < found < (5.0 - 8 * 0.02) / 0.02
    assert network.calls == 0
    assert network.weight.item() == 1


def test_accumulated_batches_and_validations_cost_their_time():
    assert steps(5.0, Slow(0.01), accumulate=4) < 5.0 / 0.04
    assert steps(5.0, Slow(0.01), val_batches=10, val_every=2) < 5.0 / (0.01 + 10 * 0.01 / 2)


def test_validations_take_a_tenth_of_a_short_budget_at_most():
    found, validations = fit(5.0, Slow(0.01), val_batches=10)
    assert 1 <= validations <= 5
    assert found > 0.5 * 5.0 / 0.01 * 0.8


def test_steps_that_the_machine_delays_now_and_then_cost_no_steps():
    """Another process takes the processor in every second of the timed steps."""

    class Delayed(Slow):
        def forward(self, batch):
            if self.calls % 2:
                time.sleep(10 * self.seconds)
            return super().forward(batch)

    assert steps(4.0, Delayed(0.02)) > 0.5 * 4.0 / 0.02  # the mean of these steps buys 33, their median 18 or 194


def test_timing_leaves_most_of_a_budget_that_buys_few_steps():
    begun = perf_counter()
    found, validations = fit(2.0, Slow(0.1), val_batches=40)
    assert perf_counter() - begun < 0.35 * 2.0
    assert validations == 1
    assert found <= 0  # one validation alone costs 4 s
    assert steps(2.0, Slow(0.1), val_batches=2) > 8


def test_a_budget_that_timing_uses_up_leaves_nothing():
    assert steps(0.01, Slow(0.01)) <= 0
