"""What a model is trained for. An objective turns hidden states into named scalars; it knows no optimiser and no file.

`OBJECTIVES` is the one way from a name in a config to a class; further ones come from entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.batching.batch import Batch
    from core.nn.model import SequenceModel
    from core.nn.readout import Reading


class Objective(Protocol):
    """A loss over a batch, with the modules of its own that it may need. Made as `Class(spec, model_config, options)`.

    In training mode (that of `modules`) the loss may have further terms; in evaluation it is that of the next token.
    """

    needs: frozenset[str]
    """`model`: training calls `free_running` as well and adds what comes of it; empty otherwise."""
    modules: nn.ModuleDict
    """Parameters of its own; saved with the model under `objective.`."""
    progress: float
    """The share of the run that is done, set before every step."""

    def refuses(self, mixers: str) -> str:
        """Why it cannot train a model of these mixers (a letter for each layer), in words; empty where it can."""
        ...

    def prepare(self, batch: Batch) -> Batch:
        """The batch as the model shall read it."""
        ...

    def loss(self, hidden: Tensor, readings: Mapping[str, Reading], batch: Batch) -> dict[str, Tensor]:
        """Named scalars from hidden (B, T, D); `loss` is the one to minimise, `n` the number of predicted tokens."""
        ...

    def free_running(self, model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
        """Named scalars of what the model does when it reads its own predictions."""
        ...


OBJECTIVES: Registry[Any] = Registry(
    "objective",
    {
        "next_token": "core.objectives.next_token:NextToken",
        "multi_token": "core.objectives.multi_token:MultiToken",
        "roll_out": "core.objectives.roll_out:RollOut",
    },
)
