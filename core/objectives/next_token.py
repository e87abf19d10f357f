"""Next-token prediction: the negative log-likelihood of every target field at every predicted position.

The likelihood of a token is the product over its target fields, so the loss is their sum. It knows nothing of how the
batch was made; which positions count is said by the batch's loss masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from core.nn.readout import Readout
from core.sequence import TokenSpec

if TYPE_CHECKING:
    from core.batching.batch import Batch


class NextToken:
    """loss = (sum over target fields of the sum of nll where the field's loss mask is True) / predicted positions.

    A position is predicted where the loss mask of at least one target field is True. All sums are in float32, nats.
    """

    def __init__(self, spec: TokenSpec) -> None:
        self.spec = spec
        self.needs: frozenset[str] = frozenset()
        self.modules = nn.ModuleDict()

    def refuses(self, mixers: str) -> str:
        return ""  # every mixer is causal

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def loss(self, hidden: Tensor, readouts: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        """hidden (B, T, D) -> {"loss": mean nats per predicted token, "nll/<field>": their sum, "n": predicted tokens}.

        All are float32 scalars; "loss" is 0 where nothing is predicted.
        """
        sums: dict[str, Tensor] = {}
        predicted = torch.zeros(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        for field in self.spec.targets:
            mask, target = batch.loss_mask[field.name], batch.targets[field.name]
            if not field.is_symbol:
                # a missing value may be NaN, and 0 * NaN is NaN in the gradient
                target = target.masked_fill(~mask[..., None], 0.0)
            nll = cast(Readout, readouts[field.name]).nll(hidden, target)  # (B, T)
            sums[f"nll/{field.name}"] = (nll.float() * mask).sum()
            predicted = predicted | mask
        n = predicted.sum().float()
        total = torch.stack(list(sums.values())).sum()
        return {"loss": total / n.clamp(min=1), **sums, "n": n}
