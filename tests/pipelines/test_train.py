"""What a run says of itself at its end."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.training.fit import FitResult
from pipelines.train import told_by_validation
from pipelines.verbs import again

RESULT = FitResult(1000, 10_000, 60.0, 900, 1.0, 1.4, "bits per base", 1.1, 0, "fp32", Path("b"), Path("c"), Path("m"))


@pytest.mark.parametrize(
    ("step", "says"),
    [(900, ""), (250, ""), (50, "validation was best 5 % of the way"), (0, "which is kept: try a smaller training.lr")],
)
def test_a_best_validation_that_came_early_is_told(step, says):
    told = told_by_validation(replace(RESULT, best_step=step))
    assert says in told
    assert bool(told) == bool(says)
    if step == 50:
        assert "training.steps=100" in told


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["finetune", "task=continue"], "goes on from there"),
        (["finetune", "task=regress"], "begins anew"),
        (["train"], "goes on from there"),
        (["report"], "begins anew"),
    ],
)
def test_who_stops_a_command_hears_whether_it_goes_on(given, says):
    assert says in again(given)
