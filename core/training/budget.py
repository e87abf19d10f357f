"""Minutes into steps: a few steps of a copy are timed, at the start, once.

What else the machine does for a moment counts little: the quick quarter of the steps stands for all, and timing itself
never takes more than a tenth of the budget.
"""

from __future__ import annotations

import copy
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
"""Where the budget allows; their lower quartile is within a few per cent of a run's mean on an idle machine."""
TIMED_SHARE = 0.03
"""Of the budget that timing may take, if that is more than the steps need."""
TIMED_MOST = 0.1
"""Of the budget after which timing steps ends at the third one, and timing validation with the batch in hand."""
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
                share = TIMED_SHARE if len(took) > TIMED_STEPS else TIMED_MOST
                if len(took) > 2 and clock - begun > share * seconds:
                    break
    step = _lower_quartile(took[1:] or took)  # the first one also starts workers and fills caches
    validation = _validation_seconds(trial, precision, device, val_batches(), TIMED_MOST * seconds)
    left = (1 - RESERVE) * seconds - (perf_counter() - started)
    if config.val_every:
        steps = int(left / (step + validation / config.val_every))
        return steps, steps // config.val_every
    validations = max(1, min(VALIDATIONS, int(VALIDATION_SHARE * seconds / max(validation, 1e-9))))
    return int((left - validations * validation) / step), validations


def _lower_quartile(values: list[float]) -> float:
    return sorted(values)[len(values) // 4]


def _validation_seconds(
    network: nn.Module, precision: str, device: torch.device, batches: Iterable[Batch], most: float
) -> float:
    """Of one validation; once `most` is used up, the batches that are left count as much as those before on average."""
    network.eval()
    begun, timed, number, spent = perf_counter(), 0, 0, 0.0
    with torch.no_grad(), arithmetic(precision, device):
        for number, batch in enumerate(batches, 1):
            if spent <= most:
                network(batch.to(device))["loss"].item()
                timed, spent = number, perf_counter() - begun
    return spent * number / max(timed, 1)
