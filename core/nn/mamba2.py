"""Mamba-2 (arXiv 2405.21060), with mamba-ssm's parameter names, shapes and initialisation.

    z, x, B, C, dt = in_proj(u)
    x, B, C = silu(conv1d([x, B, C]))
    y = ssd(x, softplus(dt + dt_bias), -exp(A_log), B, C) + D x
    out = out_proj(norm(y * silu(z)))

The recurrence itself is in core/kernels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.kernels.native.mamba2 import Sizes, can_mix, mamba2_mixing
from core.kernels.ssd import ssd
from core.kernels.step import ssd_step
from core.kernels.wide import wide_dtype
from core.nn.config import ModelConfig
from core.nn.conv import causal_conv, conv_step, last_inputs
from core.nn.norm import GatedRMSNorm
from core.nn.recurrence import initial_steps, inverse_softplus, no_weight_decay
from core.nn.state import RecurrentState


class Mamba2(nn.Module):
    """A mixer of H heads of P channels with scalar decays."""

    has_mlp: ClassVar[bool] = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner, self.states, self.groups = config.inner, config.state_size("S"), config.ngroups
        self.headdim, self.chunk = config.ssd_headdim, config.chunk
        self.heads = self.inner // self.headdim
        channels = self.inner + 2 * self.groups * self.states
        self.in_proj = nn.Linear(config.width, self.inner + channels + self.heads, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, config.d_conv, groups=channels, padding=config.d_conv - 1)
        self.dt_bias = nn.Parameter(inverse_softplus(initial_steps(self.heads)))
        self.A_log = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = GatedRMSNorm(self.inner, 1e-5, self.groups)
        self.out_proj = nn.Linear(self.inner, config.width, bias=False)
        no_weight_decay(self.dt_bias, self.A_log, self.D)

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
        projected = self.in_proj(x)
        if state is None and type(self.norm) is GatedRMSNorm and can_mix(projected, self.conv1d, self.norm, segments):
            return self.out_proj(self._mix_in_one(projected, segments)), None
        z, xBC, dt = projected.split((self.inner, self.conv1d.in_channels, self.heads), -1)
        before = None if state is None else state.conv
        convolved = causal_conv(xBC, self.conv1d.weight, self.conv1d.bias, initial=before, segments=segments)
        steps = F.softplus(dt + self.dt_bias)
        if state is not None and lengths is not None:  # padding must not move the state
            steps = steps * (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).unsqueeze(-1)
        inputs, B, C = convolved.split((self.inner, self.groups * self.states, self.groups * self.states), -1)
        y, ssm = ssd(
            inputs.unflatten(-1, (self.heads, self.headdim)),
            steps,
            -self.A_log.exp(),
            B.unflatten(-1, (self.groups, self.states)),
            C.unflatten(-1, (self.groups, self.states)),
            self.D,
            initial_state=None if state is None else state.ssm,
            segments=segments,
            final=state is not None,
            chunk=self.chunk,
        )
        out = self.out_proj(self.norm(y.flatten(-2), z))
        if state is None:
            return out, None
        assert ssm is not None
        taps = self.conv1d.kernel_size[0]
        return out, RecurrentState(last_inputs(xBC, taps, state.conv, lengths, segments), ssm)

    def _mix_in_one(self, projected: Tensor, segments: Tensor | None) -> Tensor:
        """What `forward` does between the projections, without a state, as one function of autograd."""
        return mamba2_mixing(
            projected,
            *(self.conv1d.weight, self.conv1d.bias, self.dt_bias, -self.A_log.exp(), self.D, self.norm.weight),
            eps=self.norm.eps,
            sizes=Sizes(self.heads, self.headdim, self.groups, self.states, self.chunk),
            segments=segments,
        )

    def step(self, x: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """(B, width) -> (B, width); the state changes in place."""
        z, xBC, dt = self.in_proj(x).split((self.inner, self.conv1d.in_channels, self.heads), -1)
        convolved = conv_step(xBC, self.conv1d.weight, self.conv1d.bias, state.conv)
        inputs, B, C = convolved.split((self.inner, self.groups * self.states, self.groups * self.states), -1)
        y = ssd_step(
            state.ssm,
            inputs.unflatten(-1, (self.heads, self.headdim)),
            dt,
            self.A_log,
            B.unflatten(-1, (self.groups, self.states)),
            C.unflatten(-1, (self.groups, self.states)),
            self.D,
            delta_bias=self.dt_bias,
        )
        return self.out_proj(self.norm(y.flatten(1), z)), state

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> RecurrentState:
        """`max_length` means nothing to a recurrence: its state has one size."""
        weight = self.conv1d.weight
        device = device or weight.device
        return RecurrentState(
            torch.zeros(batch, weight.shape[2] - 1, weight.shape[0], device=device, dtype=weight.dtype),
            torch.zeros(
                batch,
                self.heads,
                self.headdim,
                self.states,
                device=device,
                dtype=wide_dtype(weight.dtype),
            ),
        )

    def mixing_flops(self, length: int) -> float:
        """FLOPs per token, forward, beyond the projections: the convolution, the state's update and its reading."""
        return 2 * self.conv1d.weight.numel() + 6 * self.inner * self.states
