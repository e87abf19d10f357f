"""What a model is trained for. An objective turns hidden states into named scalars; it knows no optimiser and no file.

`OBJECTIVES` is the one way from a name in a config to a class; further ones come from entry points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.batching.batch import Batch


class Objective(Protocol):
    """A loss over a batch, with the modules of its own that it may need."""

    needs: frozenset[str]
    """What the batch must carry beyond inputs, targets and loss masks, by name; empty for next-token."""
    modules: nn.ModuleDict
    """Parameters of its own; saved with the model under `objective.`."""

    def refuses(self, mixers: str) -> str:
        """Why it cannot train a model of these mixers (a letter for each layer), in words; empty where it can."""
        ...

    def prepare(self, batch: Batch) -> Batch:
        """The batch as the model shall read it."""
        ...

    def loss(self, hidden: Tensor, readouts: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        """Named scalars from hidden (B, T, D); `loss` is the one to minimise, `n` the number of predicted tokens."""
        ...


OBJECTIVES: Registry[Any] = Registry("objective", {"next_token": "core.objectives.next_token:NextToken"})
