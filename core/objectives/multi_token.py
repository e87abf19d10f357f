"""Multi-token prediction: from each position the next k tokens, each by a head of its own before the same readouts.

loss = next-token loss + weight * mean over j = 2..k of the loss of token i + j - 1. Heads side by side as in Gloeckle
et al. 2024 (arXiv 2404.19737), or one after the other, each reading the one before (as DeepSeek-V3's modules, arXiv
2412.19437, without their shifted embeddings). Only the first head is used afterwards; validation measures that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core.batching.batch import predicted_steps
from core.config_keys import from_keys
from core.errors import ConfigError
from core.nn.mlp import GatedMLP
from core.nn.norm import RMSNorm
from core.nn.readout import Reading
from core.objectives.next_token import NextToken, next_token_sums
from core.sequence import TokenSpec

if TYPE_CHECKING:
    from core.batching.batch import Batch
    from core.nn.config import ModelConfig

ARRANGEMENTS = ("parallel", "sequential")


@dataclass(frozen=True)
class MultiTokenConfig:
    """How far ahead is predicted, and what it counts."""

    tokens: int = 3
    """k: tokens predicted from a position, the next one among them."""
    weight: float = 0.1
    """lambda: what the later tokens' mean loss counts beside the next token's (PhyxMamba, arXiv 2505.23863: 0.1)."""
    heads: str = "parallel"
    """`parallel`: every head reads the hidden state; `sequential`: each reads the one before it."""
    curriculum: float = 0.0
    """Share of the run over which the horizon grows from 1 to `tokens`; 0: all from the start."""

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("tokens", self.tokens >= 2 and self.tokens == int(self.tokens), "a whole number of at least 2"),
            ("weight", self.weight > 0, "a positive number"),
            ("heads", self.heads in ARRANGEMENTS, ", ".join(ARRANGEMENTS)),
            ("curriculum", 0 <= self.curriculum <= 1, "a share from 0 to 1"),
        ):
            if not good:
                raise ConfigError(f"objective.{name}: got {getattr(self, name)!r}, allowed: {allowed}")


class Head(nn.Module):
    """x + MLP(norm(x)), normed again: the hidden state as it would be one token later."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(model.width, model.norm_eps)
        self.mlp = GatedMLP(model.width, model.hidden)
        self.norm_f = RMSNorm(model.width, model.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_f(x + self.mlp(self.norm(x)))


class MultiToken(NextToken):
    """See the file's head. Options: `MultiTokenConfig`."""

    def __init__(self, spec: TokenSpec, model: ModelConfig, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(spec, model)
        if spec.variables:
            raise ConfigError(
                "objective=multi_token reads one token a position, the tokenizer has one for each channel",
                hint="Choose objective=next_token, or a tokenizer that reads all channels as one token.",
            )
        self.config: MultiTokenConfig = from_keys(MultiTokenConfig, options or {}, "objective")
        self.modules = nn.ModuleDict({f"head{j}": Head(model) for j in range(2, self.config.tokens + 1)})

    @property
    def horizon(self) -> int:
        """Tokens that are predicted from a position at this point of the run."""
        tokens, share = self.config.tokens, self.config.curriculum
        grown = 1.0 if share == 0 else min(1.0, self.progress / share)
        return 1 + int(grown * (tokens - 1) + 1e-9)

    def loss(self, hidden: Tensor, readings: Mapping[str, Reading], batch: Batch) -> dict[str, Tensor]:
        found = super().loss(hidden, readings, batch)
        if not self.modules.training or self.horizon < 2:
            return found
        later: list[Tensor] = []
        x = hidden
        for ahead in range(1, min(self.horizon, hidden.shape[1])):
            x = self.modules[f"head{ahead + 1}"](x if self.config.heads == "sequential" else hidden)
            sums, masks = next_token_sums(self.spec, x, readings, batch, ahead)
            n = predicted_steps(masks, batch.patch).sum().clamp(min=1)
            later.append(torch.stack(list(sums.values())).sum() / n)
            found[f"loss/ahead_{ahead + 1}"] = later[-1].detach()
        if later:
            found["loss"] = found["loss"] + self.config.weight * torch.stack(later).mean()
        return found
