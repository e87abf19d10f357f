"""The last layer of a trained network, solved instead of learned: least squares over the training part.

Where a readout is a linear map of hidden states to a mean, the best map for given hidden states is known in closed
form, as reservoir computing uses it (Jaeger 2001, GMD report 148). Descent comes near it slowly in directions in which
hidden states hardly vary; a forecast that feeds on itself needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

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

    Args:
        batches: `batches(module)` gives what they are fitted to, this process's rows.
        validation: judges, and writes the bundle.
    """

    def __init__(self, batches: Callable[[TrainingModule], Iterable[Batch]], validation: Validation) -> None:
        self.batches, self.validation = batches, validation

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        if module.facts is None or module.facts.step != module.plan.steps or module.stop_signal:
            return
        with module.averages.in_place() if module.averages is not None else nullcontext():
            readouts = _solvable(module.network.model)
            kept = {
                name: (r.proj.weight.detach().clone(), r.proj.bias.detach().clone()) for name, r in readouts.items()
            }
            for name, (gram, moments) in self._sums(module, readouts).items():
                solve(readouts[name], gram, moments)
            self.validation.consider(module)
            with torch.no_grad():  # training's own weights are what checkpoints hold
                for name, (weight, bias) in kept.items():
                    readouts[name].proj.weight.copy_(weight)
                    readouts[name].proj.bias.copy_(bias)

    @torch.no_grad()
    def _sums(self, module: TrainingModule, names: Iterable[str]) -> dict[str, tuple[Tensor, Tensor]]:
        """By readout (D + 1, D + 1) and (D + 1, W): what least squares needs to know of all batches, in float64."""
        network, width = module.network, module.network.model.hidden_width
        targets = {name: network.model.spec[name] for name in names}
        sums = {
            name: (
                torch.zeros(width + 1, width + 1, dtype=torch.float64, device=module.device),
                torch.zeros(width + 1, f.width * network.model.spec.patch, dtype=torch.float64, device=module.device),
            )
            for name, f in targets.items()
        }
        network.eval()
        try:
            for batch in self.batches(module):
                batch = module.transfer_batch_to_device(batch, module.device, 0)
                with arithmetic(module.plan.precision, module.device):
                    hidden, _ = network.model(batch.inputs)
                for name, reading in network.model.readings(batch.inputs).items():
                    if name in sums:
                        add(sums[name], hidden, reading, batch.targets[name], batch.loss_mask[name])
        finally:
            network.train()
        if module.trainer.world_size > 1:
            for both in sums.values():
                for total in both:
                    torch.distributed.all_reduce(total)
        return sums


def add(sums: tuple[Tensor, Tensor], hidden: Tensor, reading: Reading, target: Tensor, mask: Tensor) -> None:
    """Adds a batch's positions, hidden (B, T, D) and raw target (B, T, W), where all components count."""
    counted = reading.counted(mask).all(-1)
    x = torch.nn.functional.pad(hidden.double()[counted], (0, 1), value=1.0)
    y = reading.scaled(target)[counted].double()
    sums[0].addmm_(x.mT, x)
    sums[1].addmm_(x.mT, y)


@torch.no_grad()
def solve(readout: PointEstimate, gram: Tensor, moments: Tensor) -> None:
    """Puts the least-squares weights and bias into `readout`; with nothing counted it stays as it is."""
    if not bool(gram[-1, -1] > 0):
        return
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    found = torch.linalg.lstsq(gram + ridge, moments).solution
    readout.proj.weight.copy_(found[:-1].mT)
    readout.proj.bias.copy_(found[-1])


def a_pass(data: Any) -> Callable[[TrainingModule], Iterable[Batch]]:
    """An epoch's batches, those after the last step."""

    def batches(module: TrainingModule) -> Iterable[Batch]:
        stop = module.plan.steps + data.steps_per_epoch(0)
        return cast("Iterable[Batch]", data.train_batches(module.plan.steps, stop))

    return batches
