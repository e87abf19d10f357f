"""Minutes into steps: a few steps of a copy are timed, at the start, once."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import nn

from core.training.config import TrainingConfig
from core.training.optimizers import OPTIMIZERS
from core.training.plan import VALIDATIONS
from core.training.precision import arithmetic

if TYPE_CHECKING:
    from core.batching.batch import Batch

TIMED_STEPS = 8
"""At least; a median of so many is within a few per cent of a run's mean on an idle machine."""
TIMED_SHARE = 0.03
"""Of the budget that timing may take, if that is more than the steps need."""
VALIDATION_SHARE = 0.1
"""Of the budget that validations may take, where the recipe names no interval: fewer are made then."""
RESERVE = 0.03
"""Of the budget left for what is not timed: checkpoints, bundles, logs."""


def steps_within(
    seconds: float,
    network: nn.Module,
    config: TrainingConfig,
    precision: str,
    device: torch.device,
    train_batches: Callable[[int], Iterable[Batch]],
    val_batches: Callable[[], Iterable[Batch]],
    *,
    started: float,
) -> tuple[int, int]:
    """How many steps, and how many validations among them, fit into what is left of `seconds` since `started`.

    Args:
        network: is copied and stays as it is.
        train_batches: gives the batches of the first so many steps.
        started: `perf_counter()` when the budget began to run.
    """
    trial = copy.deepcopy(network).to(device)
    optimizer = OPTIMIZERS.get(config.optimizer)(trial, config)
    trial.train()
    took: list[float] = []
    begun = clock = perf_counter()
    with torch.random.fork_rng():
        for number, batch in enumerate(train_batches(100 * TIMED_STEPS)):
            with arithmetic(precision, device):
                loss = trial(batch.to(device))["loss"]
            loss.backward()
            if (number + 1) % config.accumulate == 0:
                torch.nn.utils.clip_grad_norm_(trial.parameters(), config.clip or float("inf"))
                optimizer.step()
                optimizer.zero_grad()
                loss.item()
                took.append(perf_counter() - clock)
                clock = perf_counter()
                if len(took) > TIMED_STEPS and clock - begun > TIMED_SHARE * seconds:
                    break
    step = statistics.median(took[1:] or took)  # the first one also starts workers and fills caches
    clock = perf_counter()
    trial.eval()
    with torch.no_grad(), arithmetic(precision, device):
        for batch in val_batches():
            trial(batch.to(device))["loss"].item()
    validation = perf_counter() - clock
    left = (1 - RESERVE) * seconds - (perf_counter() - started)
    if config.val_every:
        steps = int(left / (step + validation / config.val_every))
        return steps, steps // config.val_every
    validations = max(1, min(VALIDATIONS, int(VALIDATION_SHARE * seconds / max(validation, 1e-9))))
    return int((left - validations * validation) / step), validations
