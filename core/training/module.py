"""The LightningModule: what happens in one step of training, and nothing of what surrounds it.

A step reads `accumulate` batches. Their gradients are weighted by predicted tokens, over batches and processes, so that
the step is the same however it was cut up. Everything random in it is seeded by f(seed, step); the learning rate is a
function of the step; so nothing but weights, optimizer, averages and the step's number makes a state.
"""

from __future__ import annotations

import hashlib
import math
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from core.errors import DivergedError
from core.order import seed_of
from core.training.config import TrainingConfig
from core.training.course import Course, StepFacts
from core.training.ema import AveragedWeights
from core.training.network import Network, shard
from core.training.optimizers import OPTIMIZERS
from core.training.plan import Plan
from core.training.precision import arithmetic
from core.training.schedule import learning_rate
from core.training.signals import SignalWatch

if TYPE_CHECKING:
    from core.batching.batch import Batch

NAMED_ROWS = 4
"""Rows of a diverged batch that the error names."""


class TrainingModule(L.LightningModule):
    """Steps of a network.

    Args:
        network: model and objective; trained in place, sharded in place under `fsdp`.
        config: the recipe.
        data: asked only for the names of records when a step diverges.
        watch: its signal is agreed upon between processes with every step.
    """

    plan: Plan
    """Set before the first step."""

    def __init__(self, network: Network, config: TrainingConfig, data: Any, watch: SignalWatch) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.course = Course()
        self.averages: AveragedWeights | None = None
        self.facts: StepFacts | None = None
        """Of the step that has just ended; None within a step of several batches."""
        self._data, self._watch = data, watch
        self._batches: list[Batch] = []
        self._losses: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._loss = self._norm = math.nan
        self.stop_signal = 0
        """The signal to stop for as known at the step's end, 0 for none; the same on all processes."""

    def configure_model(self) -> None:
        mesh = self.device_mesh
        if mesh is not None:
            shard(self.network, mesh["data_parallel"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self._optimizer = OPTIMIZERS.get(self.config.optimizer)(self.network, self.config)
        return self._optimizer

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)

    @property
    def weighted(self) -> bool:
        """Whether a step's gradient comes from several batches, so that their sizes matter."""
        return self.config.accumulate > 1 or self.trainer.world_size > 1

    def look_for_signal(self) -> int:
        """Renews `stop_signal` where this process decides alone; several agree on it with a step's sums."""
        if self.trainer.world_size == 1:
            self.stop_signal = self._watch.received
        return self.stop_signal

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        number = batch_idx % self.config.accumulate
        if number == 0:
            self._batches, self._losses, self._counts = [], [], []
            self.facts = None
            self.lr = learning_rate(self.config, self.course.step, self.plan.steps)
            for group in self._optimizer.param_groups:
                group["lr"] = self.lr
        self.network.at(self.course.step / self.plan.steps)
        seed_everything(seed_of(self.config.seed, "step", self.course.step, number, self.global_rank), self.device)
        with arithmetic(self.plan.precision, self.device):
            losses = self.network(batch)
        loss, count = losses["loss"], losses["n"].detach()
        self._batches.append(batch)
        self._losses.append(loss.detach())
        self._counts.append(count)
        return loss * count if self.weighted else loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Between backward and the change of the weights: weigh, clip, and look at the numbers, once a step.

        Raises DivergedError where loss or gradient is not finite; the weights are still those of the step before.
        """
        counts, losses = torch.stack(self._counts).float(), torch.stack(self._losses).float()
        totals = torch.stack([(losses * counts).sum(), counts.sum(), counts.new_tensor(self._watch.received)])
        if self.trainer.world_size > 1:
            totals = totals.double()
            torch.distributed.all_reduce(totals)
        if self.weighted:
            # Lightning divided by the number of batches, the strategy by the number of processes
            parts = self.config.accumulate * self.trainer.world_size
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            torch._foreach_mul_(gradients, float(parts) / totals[1].float().clamp(min=1))
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        mean = totals[0] / totals[1].clamp(min=1) if self.weighted else losses[0]
        self._loss, self._norm, signal = torch.stack([mean, norm.to(mean), totals[2].to(mean)]).tolist()
        # a signal that came after the sum was made must wait for the next step, or one process stops alone
        self.stop_signal = (self._watch.received or SIGTERM) if signal else 0
        if not (math.isfinite(self._loss) and math.isfinite(self._norm)):
            raise self._diverged()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.averages is not None:
            self.averages.update(self.course.step)
        self.course.step += 1
        self.course.tokens += sum(batch.global_tokens or batch.n_tokens for batch in self._batches)
        self.facts = StepFacts(
            self.course.step, self._loss, self._norm, self.lr, self._row_digest(), self.course.tokens
        )
        self.look_for_signal()

    def _row_digest(self) -> str:
        """Of the step's only batch, or of the digests of its batches."""
        digests = [batch.row_digest() for batch in self._batches]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def _diverged(self) -> DivergedError:
        what = "loss" if not math.isfinite(self._loss) else "gradient norm"
        value = self._loss if what == "loss" else self._norm
        rows = [row for batch in self._batches for row in batch.rows.tolist()]
        shown = "; ".join(name_row(self._data, row) for row in rows[:NAMED_ROWS])
        more = f"; and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
        where = f" of process {self.global_rank}" if self.trainer.world_size > 1 else ""
        return DivergedError(
            f"training diverged: the {what} is {value} in step {self.course.step + 1}. Its batch{where} read "
            f"{shown}{more}.",
            hint="The last good checkpoint is kept. Lower training.lr, or look at these records.",
        )


def seed_everything(seed: int, device: torch.device) -> None:
    """Seeds the generators that a step on `device` draws from.

    [`torch.manual_seed` costs a millisecond and some memory at each call: it queues itself, with a stack trace, for
    every accelerator that is not in use.]
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def name_row(data: Any, row: list[int]) -> str:
    """A row (store, sequence, start) in words, with the record's id."""
    store, sequence, start = row
    return f"record '{data.stores[store].ids[sequence]}' (row {sequence}) from token {start}"
