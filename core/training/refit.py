"""The last layer of a trained network, solved instead of learned: least squares over the training part.

Where a readout is a linear map of hidden states to a mean, the best map for given hidden states is known in closed
form, as reservoir computing uses it (Jaeger 2001, GMD report 148). Descent comes near it slowly in directions in which
hidden states hardly vary; a forecast that feeds on itself needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch import Tensor

from core.errors import ConfigError
from core.nn.model import SequenceModel
from core.nn.readout import Reading
from core.nn.real_readout import PointEstimate
from core.training.module import TrainingModule
from core.training.precision import arithmetic
from core.training.validation import Validation

if TYPE_CHECKING:
    from core.batching.batch import Batch

RIDGE = 1e-14
"""Of the mean square of the hidden states: it only keeps directions that do not vary from being divided by zero."""


def check(model: SequenceModel, strategy: str) -> None:
    """Raises ConfigError for a model without a readout that can be solved, or one whose weights are sharded."""
    if not _solvable(model):
        raise ConfigError(
            "training.refit: the model has no mse readout, whose best last layer is known in closed form",
            hint="Set readouts.NAME=mse, or training.refit=false.",
        )
    if strategy == "fsdp":
        raise ConfigError(
            "training.refit: weights that are sharded are not solved for", hint="Use training.strategy=ddp."
        )


def _solvable(model: SequenceModel) -> dict[str, PointEstimate]:
    return {name: readout for name, readout in model.readouts.items() if isinstance(readout, PointEstimate)}


class Refit(L.Callback):
    """Before the last checkpoint: solves the readouts and keeps them where validation says that they are better.

    A run that was stopped in between makes up for it when it is begun again.

    Args:
        batches: gives what they are fitted to, this process's rows.
        validation: judges, and writes the bundle.
    """

    def __init__(self, batches: Callable[[], Iterable[Batch]], validation: Validation) -> None:
        self.batches, self.validation = batches, validation

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        if module.course.step == module.plan.steps and not module.course.refitted:
            self._refit(module)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        if module.facts is not None and module.facts.step == module.plan.steps and not module.stop_signal:
            self._refit(module)

    def _refit(self, module: TrainingModule) -> None:
        with module.averages.in_place() if module.averages is not None else nullcontext():
            readouts = _solvable(module.network.model)
            kept = {
                name: (r.proj.weight.detach().clone(), r.proj.bias.detach().clone()) for name, r in readouts.items()
            }
            sums = self._sums(module, readouts)
            if sums is None:
                return
            try:
                for name, (gram, moments) in sums.items():
                    solve(readouts[name], gram, moments)
                module.course.refitted = self.validation.keep_if_better(module)
            finally:  # training's own weights are what checkpoints hold
                with torch.no_grad():
                    for name, (weight, bias) in kept.items():
                        readouts[name].proj.weight.copy_(weight)
                        readouts[name].proj.bias.copy_(bias)

    @torch.no_grad()
    def _sums(self, module: TrainingModule, names: Iterable[str]) -> dict[str, tuple[Tensor, Tensor]] | None:
        """By readout (D + 1, D + 1) and (D + 1, W): what least squares needs to know of all batches, in float64; None
        where a signal came in between."""
        network, width = module.network, module.network.model.hidden_width
        targets = {name: network.model.spec[name] for name in names}
        sums = {
            name: (
                torch.zeros(width + 1, width + 1, dtype=torch.float64),
                torch.zeros(width + 1, f.width * network.model.spec.patch, dtype=torch.float64),
            )
            for name, f in targets.items()
        }
        network.eval()
        try:
            for batch in self.batches():
                batch = module.transfer_batch_to_device(batch, module.device, 0)
                with arithmetic(module.plan.precision, module.device):
                    hidden, _ = network.model(batch.inputs)
                for name, reading in network.model.readings(batch.inputs).items():
                    if name in sums:
                        add(sums[name], hidden, reading, batch.targets[name], batch.loss_mask[name])
                if module.trainer.world_size == 1 and module.look_for_signal():
                    return None
        finally:
            network.train()
        if module.trainer.world_size > 1:
            for both in sums.values():
                for total in both:
                    everyones = total.to(module.device)
                    torch.distributed.all_reduce(everyones)
                    total.copy_(everyones)
        return sums


def add(sums: tuple[Tensor, Tensor], hidden: Tensor, reading: Reading, target: Tensor, mask: Tensor) -> None:
    """Adds a batch's positions, hidden (B, T, D) and raw target (B, T, W), where all components count."""
    counted = reading.counted(mask).all(-1)
    x = torch.nn.functional.pad(hidden[counted].cpu().double(), (0, 1), value=1.0)
    y = reading.scaled(target)[counted].cpu().double()
    sums[0].addmm_(x.mT, x)
    sums[1].addmm_(x.mT, y)


@torch.no_grad()
def solve(readout: PointEstimate, gram: Tensor, moments: Tensor) -> None:
    """Puts the least-squares weights and bias into `readout`; it stays as it is where nothing was counted, or where
    the sums have no solution in float64."""
    if not bool(gram[-1, -1] > 0):
        return
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    found = torch.linalg.lstsq(gram + ridge, moments, driver="gelsd").solution
    if bool(found.isfinite().all()):
        readout.proj.weight.copy_(found[:-1].mT)
        readout.proj.bias.copy_(found[-1])
