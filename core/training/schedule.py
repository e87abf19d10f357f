"""The learning rate, a pure function of the step: nothing to store, nothing to fast-forward."""

from __future__ import annotations

import math

from core.training.config import TrainingConfig

WARMUP_SHARE = 0.1
"""The warm-up takes at most this share of a run, so that a smoke run reaches its peak."""


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The rate of step `step` (0-based) of a run of `steps`.

    Linear warm-up to `config.lr`, then `constant`; or half a `cosine` down to `lr * lr_floor` (arXiv 1608.03983); or
    `wsd`: constant, then linear to the floor over the last `decay_share` of the run (arXiv 2404.06395).
    """
    warmup = min(config.warmup_steps, int(steps * WARMUP_SHARE))
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    floor = config.lr * config.lr_floor
    if config.schedule == "cosine":
        share = (step - warmup) / max(1, steps - warmup)
        return floor + (config.lr - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    if config.schedule == "wsd":
        decay = max(1, round(steps * config.decay_share))
        left = max(0, steps - step)
        return floor + (config.lr - floor) * min(1.0, left / decay)
    return config.lr
