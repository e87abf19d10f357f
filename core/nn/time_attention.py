"""Attention over variables side by side: TimeAttention of Timer-XL (arXiv 2410.04803, section 3.2).

The token of variable m at time i sees that of variable n at time j where j <= i: causal in time, all variables of one
time see each other. Rotary positions count time alone, so the order of the variables means nothing; a learned scalar a
head for the own variable and one for the others (eq. 6) tells them apart. The plain form: one mask, torch's attention.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.kernels.wide import wide_dtype
from core.nn.attention import Attention, check_room
from core.nn.config import ModelConfig
from core.nn.rotary import norm_and_rotate
from core.nn.state import AttentionState


class TimeAttention(Attention):
    """H query heads over G key and value heads; x (B, T, variables, width).

    Its state is that of attention with the variables of a time in one slot.
    """

    def __init__(self, config: ModelConfig, variables: int) -> None:
        super().__init__(config)
        self.variables = variables
        self.own = nn.Parameter(torch.zeros(self.heads))
        self.other = nn.Parameter(torch.zeros(self.heads))

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        lengths: Tensor | None = None,
        state: AttentionState | None = None,
    ) -> tuple[Tensor, AttentionState | None]:
        """(B, T, C, width) -> (B, T, C, width). Raises ConfigError for packed documents, or a state that is full."""
        if segments is not None:
            raise ConfigError("variables side by side cannot be packed", hint="Give each document a row of its own.")
        qkv = self.in_proj(x).unflatten(-1, (-1, self.channels))  # (B, T, C, heads, channels)
        wide = wide_dtype(qkv.dtype)
        rotation = self._rotation(x.shape[1], positions, state, wide, x.device).unsqueeze(-3)
        qk = norm_and_rotate(qkv[..., : self.turning, :].to(wide), self._norm_weight(), rotation, self.eps)
        q, k = qk.to(qkv.dtype).split((self.heads, self.key_heads), -2)
        k, v = (self._by_time(x) for x in (k, qkv[..., self.turning :, :]))
        times = torch.arange(x.shape[1], device=x.device)[None]
        if state is None or (state.even and state.seen == 0):
            y = self._mix(q, k, v, times, times)
        else:
            here, slots = state.position[:, None], state.keys.shape[2]
            used = min(state.seen, slots)
            slot = torch.arange(used, device=x.device)
            held = here - 1 - (here - 1 - slot) % slots  # time in each slot; negative where it is empty
            keys, values = (
                torch.cat((old[:, :, :used].to(new), new), 2) for old, new in ((state.keys, k), (state.values, v))
            )
            y = self._mix(q, keys, values, here + times, torch.cat((held, here + times), 1))
        return self.out_proj(y), None if state is None else self._extended(state, k, v, lengths)

    def step(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """(B, C, width) -> (B, C, width); the state changes in place. Raises ConfigError where the state is full."""
        check_room(state, state.seen + 1)
        y, after = self.forward(x.unsqueeze(1), state=state)
        assert after is not None
        state.keys, state.values, state.position = after.keys, after.values, after.position
        state.seen, state.even = after.seen, after.even
        return y.squeeze(1), state

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> AttentionState:
        """Room for `max_length` times, or a ring of the window where that is shorter."""
        state = super().init_state(batch, max_length, device)
        state.keys, state.values = (t.repeat(1, 1, 1, self.variables) for t in (state.keys, state.values))
        return state

    def mixing_flops(self, length: int) -> float:
        return super().mixing_flops(length) * self.variables**2

    def _by_time(self, x: Tensor) -> Tensor:
        """(B, T, C, G, channels) -> (B, G, T, C channels), as a state keeps it."""
        return x.permute(0, 3, 1, 2, 4).flatten(-2)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, now: Tensor, then: Tensor) -> Tensor:
        """Queries (B, T, C, H, channels) at times `now` (B or 1, T), keys (B, G, S, C channels) at `then`."""
        behind = now[:, :, None] - then[:, None, :]
        seen = (behind >= 0) & (then >= 0)[:, None, :]
        if self.window:
            seen &= behind < self.window
        same = torch.eye(self.variables, dtype=torch.bool, device=q.device)
        bias = torch.where(same, self.own[:, None, None], self.other[:, None, None])  # (H, C, C)
        mask = torch.where(seen[:, None, :, None, :, None], bias[None, :, None, :, None, :], -torch.inf)
        queries = q.permute(0, 3, 1, 2, 4).flatten(2, 3)  # (B, H, T C, channels)
        keys, values = (x.unflatten(-1, (self.variables, -1)).flatten(2, 3) for x in (k, v))
        y = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask.flatten(4, 5).flatten(2, 3).to(queries.dtype),
            enable_gqa=self.heads != self.key_heads,
        )
        return y.unflatten(2, (-1, self.variables)).permute(0, 2, 3, 1, 4).flatten(-2)
