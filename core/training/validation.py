"""Validation between steps: the fixed share of the validation spans, and the best weights into the bundle.

Nothing of it reaches the training stream: a step seeds what is random in it by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch

from core.errors import DivergedError
from core.training.gauge import Gauge
from core.training.module import TrainingModule
from core.training.network import Network
from core.training.precision import arithmetic
from core.training.state import gather_weights

if TYPE_CHECKING:
    from core.batching.batch import Batch

BundleWriter = Callable[[Path, Mapping[str, Any]], None]


class Validation(L.Callback):
    """Measures when the plan says so.

    Args:
        batches: gives the validation batches, or none; this process's rows of them. Asked once, when first needed.
        best: the network that a bundle is made of: the trained one itself, or, where that is sharded, a whole copy.
        bundle: where bundles go.
        bundle_writer: writes one of `best` as it is at that moment; called on the first process only.
        gauge: how the result is given beside the loss itself.
    """

    def __init__(
        self,
        batches: Callable[[], Iterable[Batch]],
        best: Network,
        bundle: Path,
        bundle_writer: BundleWriter,
        gauge: Gauge,
    ) -> None:
        self.best, self.bundle, self.bundle_writer = best, bundle, bundle_writer
        self._make_batches = batches
        self.gauge = gauge

    @cached_property
    def batches(self) -> Iterable[Batch]:
        return self._make_batches()

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The first weights, where the plan says so; a run that was stopped before a validation makes up for it."""
        assert isinstance(module, TrainingModule)
        if module.plan.validates(module.course.step) and module.course.validated < module.course.step:
            self._measure(module)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        if module.facts is not None and module.plan.validates(module.facts.step) and not module.stop_signal:
            self._measure(module)

    def _measure(self, module: TrainingModule) -> None:
        course = module.course
        with module.averages.in_place() if module.averages is not None else nullcontext():
            result = self._mean_nll(module)
            if result is None:
                return
            nll = result[0] / result[1] if result[1] else None
            if nll is not None and not math.isfinite(nll):
                raise DivergedError(
                    f"training diverged: the validation loss is {nll} after step {course.step}",
                    hint="The last good checkpoint is kept. Lower training.lr or raise training.warmup_steps.",
                )
            course.validated = course.step
            course.last_val = nll
            # without anything to validate on, the last weights are the best ones
            if nll is None or course.best_val is None or nll < course.best_val:
                course.best_val, course.best_step = nll, course.step
                self._publish(module)

    def keep_if_better(self, module: TrainingModule) -> bool:
        """Makes a bundle of the weights as they stand where validation says that none before were better; False where
        a signal came in between."""
        course, result = module.course, self._mean_nll(module)
        if result is None:
            return False
        nll = result[0] / result[1] if result[1] else math.nan
        if course.best_val is not None and nll < course.best_val:
            course.best_val, course.best_step = nll, course.step
            self._publish(module)
        return True

    @torch.no_grad()
    def _mean_nll(self, module: TrainingModule) -> tuple[float, float] | None:
        """Sum of nats and number of tokens over all processes; None where a signal came in between."""
        network, totals = module.network, torch.zeros(2, dtype=torch.float64)
        network.eval()
        try:
            for batch in self.batches:
                batch = module.transfer_batch_to_device(batch, module.device, 0)
                with arithmetic(module.plan.precision, module.device):
                    losses = network(batch)
                totals += torch.stack([losses["loss"] * losses["n"], losses["n"]]).to("cpu", torch.float64)
                if module.trainer.world_size == 1 and module.look_for_signal():
                    return None
        finally:
            network.train()
        if module.trainer.world_size > 1:
            totals = totals.to(module.device)
            torch.distributed.all_reduce(totals)
        nats, tokens = totals.tolist()
        return nats, tokens

    def _publish(self, module: TrainingModule) -> None:
        if self.best is not module.network:
            weights = gather_weights(module.network)
            if module.global_rank == 0:
                self.best.load_state_dict(weights)
        if module.global_rank == 0:
            course = module.course
            self.bundle_writer(
                self.bundle,
                {
                    "step": course.step,
                    "steps": module.plan.steps,
                    "tokens": course.tokens,
                    "seconds_training": course.seconds,
                    "seed": module.config.seed,
                    "val_nll": course.best_val,
                    self.gauge.column: self.gauge(course.best_val),
                },
            )
