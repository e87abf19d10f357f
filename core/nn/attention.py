"""Causal attention: fused projections, grouped queries, query-key norm, rotary positions, an optional sliding window.

Rows padded on the right need no mask: what is padded comes later, and nobody looks there. On the CPU one C++ kernel
does what lies between the projections. Without it a mask is built only for a window shorter than the row; in any case
for packed documents, and for a chunk with keys from before.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.kernels.native import attention as native
from core.kernels.wide import wide_dtype
from core.nn.causal import causal_attention
from core.nn.config import ModelConfig
from core.nn.norm import RMSNorm
from core.nn.rotary import NormRotate, norm_and_rotate, rotation_table, rotations
from core.nn.state import AttentionState


class Attention(nn.Module):
    """H query heads over G key and value heads of C channels (arXiv 1706.03762, 2305.13245)."""

    has_mlp: ClassVar[bool] = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.key_heads = config.query_heads, config.key_heads
        self.channels = config.width // self.heads
        self.window, self.base, self.eps = config.window, config.rope_base, config.norm_eps
        self.turning = self.heads + self.key_heads  # heads that are normed and rotated
        self.in_proj = nn.Linear(config.width, (self.turning + self.key_heads) * self.channels, bias=False)  # [q, k, v]
        self.q_norm = RMSNorm(self.channels, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(self.channels, config.norm_eps) if config.qk_norm else None
        self.out_proj = nn.Linear(config.width, config.width, bias=False)
        for projection in (self.in_proj, self.out_proj):
            nn.init.normal_(projection.weight, std=0.02)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        lengths: Tensor | None = None,
        state: AttentionState | None = None,
    ) -> tuple[Tensor, AttentionState | None]:
        """(B, T, width) -> (B, T, width). Raises ConfigError for segments with a state, or a state that is full."""
        if state is not None and segments is not None:
            hint = "Give each document a row of its own."
            raise ConfigError("attention cannot carry a state over packed documents", hint=hint)
        qkv = self.in_proj(x).unflatten(-1, (-1, self.channels))
        wide = wide_dtype(qkv.dtype)
        rotation = self._rotation(x.shape[1], positions, state, wide, x.device)
        if state is None and segments is None and native.usable(qkv):
            return self.out_proj(self._attend_natively(qkv, rotation).flatten(-2)), None
        qk, v = NormRotate.apply(qkv, self._norm_weight(), rotation, self.turning, self.eps)
        q, k = qk.transpose(1, 2).split((self.heads, self.key_heads), 1)  # (B, heads, T, C)
        v = v.transpose(1, 2)
        if state is None or (state.even and state.seen == 0):
            y = self._attend(q, k, v, segments)
        else:
            y = self._attend_carried(q, k, v, state)
        new = None if state is None else self._extended(state, k, v, lengths)
        return self.out_proj(y.transpose(1, 2).flatten(-2)), new

    def step(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """(B, width) -> (B, width); the state changes in place. Raises ConfigError where the state is full."""
        check_room(state, state.seen + 1)
        qkv = self.in_proj(x).unflatten(-1, (-1, self.channels))
        wide, slots = wide_dtype(qkv.dtype), state.keys.shape[2]
        rotation = self._rotation(1, None, state, wide, x.device)
        qk = norm_and_rotate(qkv[:, : self.turning].to(wide), self._norm_weight(), rotation.squeeze(-3), self.eps)
        q, k = qk.to(state.keys.dtype).split((self.heads, self.key_heads), 1)
        v = qkv[:, self.turning :].to(state.values.dtype)
        used, mask = min(state.seen + 1, slots), None
        if state.even:
            state.keys[:, :, state.seen % slots] = k
            state.values[:, :, state.seen % slots] = v
        else:
            rows, slot = torch.arange(len(x), device=x.device), state.position % slots
            state.keys[rows, :, slot] = k
            state.values[rows, :, slot] = v
            mask = (torch.arange(used, device=x.device) <= state.position[:, None])[:, None, None]
        keys, values = state.keys[:, :, :used], state.values[:, :, :used]
        y = self._masked(q.unsqueeze(2), keys, values, mask)
        state.position += 1
        state.seen += 1
        return self.out_proj(y.flatten(1).to(qkv.dtype)), state

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> AttentionState:
        """Room for `max_length` tokens, or a ring of the window where that is shorter."""
        weight = self.in_proj.weight
        device = device or weight.device
        ring = 0 < self.window <= max_length
        shape = (batch, self.key_heads, self.window if ring else max_length, self.channels)
        return AttentionState(
            torch.zeros(shape, device=device, dtype=weight.dtype),
            torch.zeros(shape, device=device, dtype=weight.dtype),
            torch.zeros(batch, device=device, dtype=torch.int64),
            limit=None if ring else max_length,
        )

    def mixing_flops(self, length: int) -> float:
        """FLOPs per token, forward, beyond the projections: scores and weighted values of half the row on average."""
        seen = min((length + 1) / 2, self.window or length)
        return 4 * self.heads * self.channels * seen

    def _norm_weight(self) -> Tensor | None:
        """(query heads + key heads, C), or None without a norm."""
        if self.q_norm is None or self.k_norm is None:
            return None
        return torch.cat((self.q_norm.weight.expand(self.heads, -1), self.k_norm.weight.expand(self.key_heads, -1)))

    def _rotation(
        self,
        length: int,
        positions: Tensor | None,
        state: AttentionState | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """Rotations (T, 2, C), or (B, T, 2, C) where rows stand at different positions."""
        if positions is not None:
            return rotations(positions, self.channels, self.base, dtype)
        start = 0 if state is None else state.seen
        rounded = max(256, 1 << (start + length - 1).bit_length())  # so that a growing row asks for few tables
        table = rotation_table(rounded, self.channels, self.base, dtype, device)
        if state is not None and not state.even:
            return table[state.position[:, None] + torch.arange(length, device=device)]
        return table[start : start + length]

    def _attend_natively(self, qkv: Tensor, rotation: Tensor) -> Tensor:
        """(B, T, H + 2 G, C) -> (B, T, H, C)."""
        return native.attend(
            qkv,
            None if self.q_norm is None else self.q_norm.weight,
            None if self.k_norm is None else self.k_norm.weight,
            rotation,
            heads=self.heads,
            key_heads=self.key_heads,
            window=self.window,
            eps=self.eps,
        )

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None) -> Tensor:
        """Rows that start with the chunk: q (B, H, T, C), k and v (B, G, T, C) -> (B, H, T, C)."""
        if segments is None:
            return causal_attention(q, k, v, self.window)
        behind = torch.arange(q.shape[2], device=q.device)[:, None] - torch.arange(q.shape[2], device=q.device)
        mask = (behind >= 0) & ((behind < self.window) if self.window else True)
        return self._masked(q, k, v, mask & (segments[:, None, :, None] == segments[:, None, None, :]))

    def _masked(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=self.heads != self.key_heads)

    def _attend_carried(self, q: Tensor, k: Tensor, v: Tensor, state: AttentionState) -> Tensor:
        length, slots = q.shape[2], state.keys.shape[2]
        used = min(state.seen, slots)
        here = state.position[:, None]  # (B, 1)
        slot = torch.arange(used, device=q.device)
        held = here - 1 - (here - 1 - slot) % slots  # position in each slot; negative where it is empty
        new = here + torch.arange(length, device=q.device)
        keys = torch.cat((held, new), 1)[:, None, :]
        mask = (keys >= 0) & (keys <= new[:, :, None])
        if self.window:
            mask &= new[:, :, None] - keys < self.window
        k = torch.cat((state.keys[:, :, :used].to(k.dtype), k), 2)
        v = torch.cat((state.values[:, :, :used].to(v.dtype), v), 2)
        return self._masked(q, k, v, mask.unsqueeze(1))

    def _extended(self, state: AttentionState, k: Tensor, v: Tensor, lengths: Tensor | None) -> AttentionState:
        """The state after a chunk: in each slot the latest position that belongs there, new or from before."""
        length, slots = k.shape[2], state.keys.shape[2]
        if lengths is None:
            position, seen, even = state.position + length, state.seen + length, state.even
        else:
            position = state.position + lengths
            seen = int(position.max())
            even = bool((position == seen).all())
        check_room(state, seen)
        slot = torch.arange(slots, device=k.device)
        last = position[:, None] - 1
        held = last - (last - slot) % slots  # (B, slots)
        before = state.position[:, None]
        source = torch.where(held >= before, held - before + slots, slot)[:, None, :, None].expand_as(state.keys)
        keys, values = (
            torch.cat((old, new.to(old.dtype)), 2).gather(2, source)
            for old, new in ((state.keys, k), (state.values, v))
        )
        return AttentionState(keys, values, position, seen, even, state.limit)


def check_room(state: AttentionState, seen: int) -> None:
    if state.limit is not None and seen > state.limit:
        raise ConfigError(
            f"the state has room for {state.limit} tokens, {seen} are needed", hint="Make it with a larger max_length."
        )
