"""A block of the backbone: a mixer on the normed residual stream, and for attention a gated MLP after it.

`MIXERS` is the one way from a pattern's letter to a class. A block knows no mixer but through `Mixer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from core.nn.config import ModelConfig
from core.nn.mlp import GatedMLP
from core.nn.norm import make_norm
from core.nn.state import MixerState
from core.registry import Registry


class Mixer(Protocol):
    """What mixes tokens over time; an nn.Module made from a ModelConfig."""

    has_mlp: bool
    """Whether its block has an MLP after it."""
    out_proj: nn.Linear
    """The projection that writes into the residual stream."""

    def __call__(
        self,
        x: Tensor,
        *,
        positions: Tensor | None,
        segments: Tensor | None,
        lengths: Tensor | None,
        state: Any,
    ) -> tuple[Tensor, Any]:
        """(B, T, D) -> (B, T, D). A state is returned where one was given, after each row's last real token.

        Args:
            positions: (B, T) int64; None for those that follow the state, or 0 .. T - 1.
            segments: (B, T) document ids: documents do not see each other. A state belongs to the first of them.
            lengths: (B,) tokens before the padding at the right; None for all.
        """
        ...

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token: (B, D) -> (B, D); the state changes in place."""
        ...

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> MixerState: ...

    def mixing_flops(self, length: int) -> float:
        """FLOPs per token, forward, beyond the projections, in rows of `length`."""
        ...


MIXERS: Registry[Callable[[ModelConfig], Mixer]] = Registry(
    "mixer",
    {"A": "core.nn.attention:Attention", "M": "core.nn.mamba1:Mamba1", "S": "core.nn.mamba2:Mamba2"},
)

VARIABLE_MIXERS: Registry[Callable[[ModelConfig, int], Mixer]] = Registry(
    "mixer of variables side by side", {"A": "core.nn.time_attention:TimeAttention"}
)
"""Of specs whose positions hold several tokens, one a variable: x is (B, T, C, D) there, and a step's (B, C, D)."""


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm2(x)) where the mixer wants an MLP.

    Args:
        letter: of MIXERS.
        variables: tokens side by side at each position; 0 where a position is one token.
    """

    mixer: Mixer

    def __init__(self, config: ModelConfig, letter: str, variables: int = 0) -> None:
        super().__init__()
        self.norm = make_norm(config.norm, config.width, config.norm_eps, autocast=True)
        self.mixer = VARIABLE_MIXERS.get(letter)(config, variables) if variables else MIXERS.get(letter)(config)
        further = self.mixer.has_mlp
        self.norm2 = make_norm(config.norm, config.width, config.norm_eps, autocast=True) if further else None
        self.mlp = GatedMLP(config.width, config.hidden) if self.mixer.has_mlp else None
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    @property
    def branches(self) -> list[nn.Linear]:
        """The projections that write into the residual stream."""
        return [self.mixer.out_proj] + ([self.mlp.fc2] if self.mlp is not None else [])

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        lengths: Tensor | None = None,
        state: MixerState | None = None,
    ) -> tuple[Tensor, MixerState | None]:
        """(B, T, D) -> (B, T, D)."""
        y, state = self.mixer(self.norm(x), positions=positions, segments=segments, lengths=lengths, state=state)
        return self._mlp(x + self.dropout(y)), state

    def step(self, x: Tensor, state: MixerState) -> Tensor:
        """(B, D) -> (B, D); the state changes in place."""
        y, _ = self.mixer.step(self.norm(x), state)
        return self._mlp(x + self.dropout(y))

    def _mlp(self, x: Tensor) -> Tensor:
        if self.mlp is None or self.norm2 is None:
            return x
        return x + self.dropout(self.mlp(self.norm2(x)))

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> MixerState:
        return self.mixer.init_state(batch, max_length, device)
