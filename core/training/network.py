"""A model with its objective as one module: a batch goes in, named losses come out.

Everything that is trained lives under it, `model.*` and `objective.*`, so these are the names in checkpoints; and what
wraps a training step (autocast, sharding) has one `forward` to wrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from core.batching.batch import Batch
    from core.nn.model import SequenceModel
    from core.objectives import Objective


class Network(nn.Module):
    """model: the SequenceModel; objective: what it is trained for, its own modules included."""

    def __init__(self, model: SequenceModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective.modules
        self._losses = objective

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """-> the objective's scalars; `loss` is mean nats per predicted token, `n` the number of those."""
        batch = self._losses.prepare(batch)
        hidden, _ = self.model(batch.inputs)
        losses = self._losses.loss(hidden, self.model.readings(batch.inputs), batch)
        if self.training and "model" in self._losses.needs:
            further = self._losses.free_running(self.model, batch)
            losses = {**losses, **further, "loss": losses["loss"] + sum(further.values())}
        return losses

    def at(self, progress: float) -> None:
        """Tells the objective which share of the run is done."""
        self._losses.progress = progress


def shard(network: Network, mesh: object) -> None:
    """FSDP2 in place: every block is a unit, what is left (embedding, norm, readouts) another.

    mesh: a one-dimensional DeviceMesh of the processes that share the weights.
    """
    from torch.distributed.fsdp import fully_shard

    backbone = getattr(network.model, "backbone", None)
    for block in getattr(backbone, "layers", ()):
        fully_shard(block, mesh=mesh)  # type: ignore[call-overload]
    fully_shard(network, mesh=mesh)  # type: ignore[call-overload]
