"""Mamba-1 (arXiv 2312.00752), with mamba-ssm's parameter names, shapes and initialisation.

    x, z = in_proj(u)
    x = silu(conv1d(x))
    dt, B, C = x_proj(x)
    y = (scan(x, softplus(dt_proj(dt)), -exp(A_log), B, C) + D x) silu(z)
    out = out_proj(y)

The scan itself is in core/kernels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.kernels.native.mamba1 import can_mix, mamba1_mixing
from core.kernels.selective_scan import selective_scan
from core.kernels.step import selective_scan_step
from core.nn.config import ModelConfig
from core.nn.conv import causal_conv, conv_step, last_inputs
from core.nn.recurrence import initial_steps, inverse_softplus, no_weight_decay
from core.nn.state import RecurrentState


class Mamba1(nn.Module):
    """A mixer with a state of N numbers for each of its inner channels."""

    has_mlp: ClassVar[bool] = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner, self.states, self.rank = config.inner, config.state_size("M"), config.dt_rank
        self.in_proj = nn.Linear(config.width, 2 * self.inner, bias=False)
        self.conv1d = nn.Conv1d(self.inner, self.inner, config.d_conv, groups=self.inner, padding=config.d_conv - 1)
        self.x_proj = nn.Linear(self.inner, self.rank + 2 * self.states, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(inverse_softplus(initial_steps(self.inner)))
        self.A_log = nn.Parameter(torch.arange(1.0, self.states + 1).repeat(self.inner, 1).log())
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, config.width, bias=False)
        no_weight_decay(self.dt_proj.bias, self.A_log, self.D)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        lengths: Tensor | None = None,
        state: RecurrentState | None = None,
    ) -> tuple[Tensor, RecurrentState | None]:
        """(B, T, width) -> (B, T, width); `positions` mean nothing to a recurrence."""
        xz = self.in_proj(x)
        if state is None and can_mix(xz, self.conv1d, (self.x_proj, self.dt_proj), segments):
            return self.out_proj(self._mix_in_one(xz, segments)), None
        inputs, z = xz.chunk(2, -1)
        before = None if state is None else state.conv
        u = causal_conv(inputs, self.conv1d.weight, self.conv1d.bias, initial=before, segments=segments)
        low_rank, B, C = self.x_proj(u).split((self.rank, self.states, self.states), -1)
        y, ssm = selective_scan(
            u,
            self._steps(low_rank),
            -self.A_log.exp(),
            B,
            C,
            self.D,
            z=z,
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
            initial_state=None if state is None else state.ssm,
            segments=segments,
            lengths=None if state is None else lengths,  # padding moves no state that is asked for
            final=state is not None,
        )
        out = self.out_proj(y)
        if state is None:
            return out, None
        assert ssm is not None
        taps = self.conv1d.kernel_size[0]
        return out, RecurrentState(last_inputs(inputs, taps, state.conv, lengths, segments), ssm)

    def _mix_in_one(self, xz: Tensor, segments: Tensor | None) -> Tensor:
        """What `forward` does between the projections, without a state, as one function of autograd."""
        conv, dt = self.conv1d, self.dt_proj
        A = -self.A_log.exp()
        return mamba1_mixing(xz, conv.weight, conv.bias, self.x_proj.weight, dt.weight, dt.bias, A, self.D, segments)

    def _steps(self, low_rank: Tensor) -> Tensor:
        """Steps before their bias, which the scan adds; a projection with an adapter around it is run as a module."""
        dt = self.dt_proj
        return F.linear(low_rank, dt.weight) if type(dt) is nn.Linear else dt(low_rank) - dt.bias

    def step(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """(B, width) -> (B, width); the state changes in place."""
        inputs, z = self.in_proj(x).chunk(2, -1)
        u = conv_step(inputs, self.conv1d.weight, self.conv1d.bias, state.conv)
        low_rank, B, C = self.x_proj(u).split((self.rank, self.states, self.states), -1)
        y = selective_scan_step(
            state.ssm, u, self._steps(low_rank), self.A_log, B, C, self.D, z=z, delta_bias=self.dt_proj.bias
        )
        return self.out_proj(y), state

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> RecurrentState:
        """`max_length` means nothing to a recurrence: its state has one size."""
        weight = self.conv1d.weight
        device = device or weight.device
        return RecurrentState(
            torch.zeros(batch, weight.shape[2] - 1, self.inner, device=device, dtype=weight.dtype),
            torch.zeros(batch, self.inner, self.states, device=device, dtype=self.A_log.dtype),
        )

    def mixing_flops(self, length: int) -> float:
        """FLOPs per token, forward, beyond the projections: the convolution, the state's update and its reading."""
        return 2 * self.conv1d.weight.numel() + 6 * self.inner * self.states
