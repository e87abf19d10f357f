"""The recipe of a training run, as one frozen dataclass, checked when it is made.

Imports no torch, so that a command line can check a recipe before it pays for that. What the values mean together (a
budget in minutes as steps, `auto` as a precision) is decided once at a run's start and kept in its plan, see `plan.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.config_keys import from_keys
from core.errors import ConfigError, nearest

SCHEDULES = ("cosine", "wsd", "constant")
PRECISIONS = ("auto", "fp32", "bf16")
STRATEGIES = ("auto", "ddp", "fsdp")
BUDGETS = ("steps", "tokens", "minutes")

CHANGEABLE = frozenset({"logger", "device", "strategy"})
"""What may differ when a run goes on, beside a later end: nothing of it changes which step follows which."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. One step is one change of the weights, made from `accumulate` batches.

    Raises ConfigError naming the key, the value got and the values allowed.
    """

    steps: int = 0
    """Budget in steps. Of `steps`, `tokens` and `minutes` one counts: typing one sets the others to 0."""
    tokens: int = 0
    """Budget in predicted tokens; turned into steps once, at the start."""
    minutes: float = 0.0
    """Budget in minutes of wall time; turned into steps once, at the start, by timing a few."""
    optimizer: str = "adamw"
    """`adamw` (arXiv 1711.05101), or `muon` for hidden matrices with adamw for the rest (Jordan et al. 2024)."""
    lr: float = 3e-3
    """Peak learning rate; 3e-3 suits widths about 200 at batches of 4,096 tokens [tried on small models]."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of Adam's two moments (0.95 as in arXiv 2005.14165)."""
    momentum: float = 0.95
    """Muon's momentum (Jordan et al. 2024)."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices, times the learning rate; vectors and parameters that refuse it have none."""
    decay_embeddings: bool = False
    """Whether embedding tables decay as well."""
    schedule: str = "cosine"
    """After the warm-up: `cosine` to the floor, `wsd` (constant, then linear to the floor) or `constant`."""
    warmup_steps: int = 100
    """Steps of linear warm-up, at most a tenth of the run."""
    decay_share: float = 0.2
    """wsd: share of the run in which the rate falls (arXiv 2405.18392: 10-20 % is enough)."""
    lr_floor: float = 0.0
    """The last step's learning rate as a share of the peak."""
    clip: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    accumulate: int = 1
    """Batches a step; their gradients are weighted by predicted tokens, so it equals one batch of that size."""
    ema: float = 0.0
    """Decay of the averaged weights, 0.998 say; they are then what is validated and bundled. 0: none."""
    refit: bool = False
    """Whether, after the last step, mse readouts are solved by least squares over the training part, and kept where
    validation is better: a mean that is fed back needs digits that descent is slow to find. An epoch is read for it,
    on top of the budget."""
    val_every: int = 0
    """Steps between validations; 0: twenty in the run, fewer in a short one. There is always one at the end."""
    val_first: bool = False
    """Whether the weights that training starts from are validated as well; what is kept is never worse then."""
    save_every: int = 0
    """Steps between checkpoints; 0: ten in the run. There is always one at the end."""
    keep: int = 2
    """Checkpoints kept, at least 2."""
    log_every: int = 10
    """Steps between rows of metrics.csv; steps.jsonl has every step."""
    precision: str = "auto"
    """`fp32`, `bf16` autocast, or `auto`: bf16 for symbol models on hardware that multiplies it natively, else fp32."""
    seed: int = 0
    """Of everything random in a step (dropout); the data's order has its own."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or another accelerator of Lightning's. How many processes there are, torchrun says."""
    strategy: str = "auto"
    """Under torchrun: `ddp` (also `auto`) copies the model to every process, `fsdp` shards it."""
    logger: str = "csv"
    """`csv`: metrics.csv alone. `tensorboard`, `mlflow`, `wandb` (offline) get the same numbers besides."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        self._check_budget()
        for name in ("lr",):
            _check(self, name, "a positive number", lambda v: v > 0)
        for name in ("weight_decay", "clip"):
            _check(self, name, "0 or a positive number", lambda v: v >= 0)
        for name in ("lr_floor", "decay_share"):
            _check(self, name, "a share from 0 to 1", lambda v: 0 <= v <= 1)
        for name in ("ema", "momentum"):
            _check(self, name, "a number from 0 up to, not including, 1", lambda v: 0 <= v < 1)
        for name in ("warmup_steps", "val_every", "save_every"):
            _check(self, name, "0 or a positive whole number", lambda v: v >= 0 and v == int(v))
        for name in ("accumulate", "log_every"):
            _check(self, name, "a whole number of at least 1", lambda v: v >= 1 and v == int(v))
        _check(self, "keep", "a whole number of at least 2", lambda v: v >= 2)
        _check(self, "betas", "two numbers in [0, 1)", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v))
        for name, allowed in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("strategy", STRATEGIES)):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"training.{name}: got {getattr(self, name)!r}{nearest(str(getattr(self, name)), allowed)}",
                    hint=f"Allowed: {', '.join(allowed)}.",
                )

    def _check_budget(self) -> None:
        for name in BUDGETS:
            _check(self, name, "0 or a positive number", lambda v: v >= 0 and math.isfinite(v))
        given = {name: getattr(self, name) for name in BUDGETS if getattr(self, name)}
        if len(given) != 1:
            raise ConfigError(
                f"training: got {given or 'no budget'}; exactly one of {', '.join(BUDGETS)} says how long to train",
                hint="For example training.minutes=20.",
            )

    @property
    def budget(self) -> tuple[str, float]:
        """Which of `steps`, `tokens`, `minutes` is set, and to what."""
        name = next(name for name in BUDGETS if getattr(self, name))
        return name, getattr(self, name)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TrainingConfig:
        """Raises ConfigError for a key that is not one of the fields."""
        return from_keys(cls, config, "training")


def _check(config: TrainingConfig, name: str, allowed: str, holds: Any) -> None:
    value = getattr(config, name)
    if not holds(value):
        raise ConfigError(f"training.{name}: got {value!r}, allowed: {allowed}")
