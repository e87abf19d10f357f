"""Next-token prediction: the negative log-likelihood of every target field at every predicted position.

The likelihood of a token is the product over its target fields, so the loss is their sum. It knows nothing of how the
batch was made; which positions count is said by the batch's loss masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.batching.batch import predicted_steps
from core.config_keys import from_keys
from core.nn.readout import Reading
from core.sequence import TokenSpec

if TYPE_CHECKING:
    from core.batching.batch import Batch
    from core.nn.config import ModelConfig
    from core.nn.model import SequenceModel


@dataclass(frozen=True)
class NextTokenConfig:
    """Nothing to choose."""


class NextToken:
    """loss = (sum over target fields of the sum of nll where the field's loss mask is True) / predicted steps.

    A step (a token, or one of a patch's) is predicted where the loss mask of at least one target field is True in any
    of its channels. Sums are in float32, nats; of a quantile readout, pinball loss.
    """

    def __init__(
        self, spec: TokenSpec, model: ModelConfig | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        from_keys(NextTokenConfig, options or {}, "objective")
        self.spec = spec
        self.needs: frozenset[str] = frozenset()
        self.modules = nn.ModuleDict()
        self.progress = 0.0

    def refuses(self, mixers: str) -> str:
        return ""  # every mixer is causal

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def free_running(self, model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
        return {}

    def loss(self, hidden: Tensor, readings: Mapping[str, Reading], batch: Batch) -> dict[str, Tensor]:
        """hidden (B, T, D) -> {"loss": mean nats per predicted step, "nll/<field>": their sum, "n": predicted steps}.

        All are float32 scalars; "loss" is 0 where nothing is predicted.
        """
        sums, masks = next_token_sums(self.spec, hidden, readings, batch)
        n = predicted_steps(masks, batch.patch).sum().float()
        total = torch.stack(list(sums.values())).sum()
        return {"loss": total / n.clamp(min=1), **{f"nll/{name}": nats for name, nats in sums.items()}, "n": n}


def next_token_sums(
    spec: TokenSpec, hidden: Tensor, readings: Mapping[str, Reading], batch: Batch, ahead: int = 0
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Sums of the loss by target field, and the masks of what they were summed over.

    ahead: hidden state i predicts token i + `ahead`, relative to what is known at i.
    """
    stop = hidden.shape[1] - ahead
    sums, masks = {}, []
    for field in spec.targets:
        reading = readings[field.name].cut(0, stop)
        mask = reading.counted(batch.loss_mask[field.name][:, ahead:])
        if ahead and batch.inputs.segments is not None:
            together = batch.inputs.segments[:, ahead:] == batch.inputs.segments[:, :stop]
            mask = mask & (together if mask.dim() == 2 else together.unsqueeze(-1))
        target = batch.targets[field.name][:, ahead:]
        sums[field.name] = reading.loss(hidden[:, :stop], target, mask).sum()
        masks.append(mask)
    return sums, masks
