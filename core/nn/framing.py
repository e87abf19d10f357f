"""Real values in the model's units and back: location and scale, last values, delays; see `core.scaling.Scaling`.

A `Frame` holds, for every position, what its values are read by and what its prediction is relative to, made of nothing
but what is read up to there. `Framing` computes it for a chunk of positions, with what came before in a state that is a
dict of tensors with rows first, all zeros at the start. Sums are float64: a large offset costs no digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.sequence import Field

State = dict[str, Tensor]

DEGENERATE = 1e-6
"""A spread below this share of the values' size is none: nothing is learned from predictions relative to it."""
SATURATION = 1e3
"""Scaled inputs are cut off here: a step of a flat line is a million times its spread. Targets never are."""
_NORMAL_QUARTILES = 1.349
"""Interquartile range of a standard normal."""


@dataclass
class Frame:
    """What values of a real field are relative to. C channels, P steps of a patch; all tensors broadcast to (B, T, .).

    Args:
        location, scale: (..., C), of what is read.
        target_location, target_scale: (..., C) or (..., P C), of what is predicted.
        known: (B, T, C) bool, where the prediction of a channel may be counted; None for everywhere.
        drift: (B, T, 2 C), log of the scale and location relative to where the row began to be known; None if constant.
        arcsinh: whether asinh is taken of what is scaled.
    """

    location: Tensor
    scale: Tensor
    target_location: Tensor
    target_scale: Tensor
    known: Tensor | None = None
    drift: Tensor | None = None
    arcsinh: bool = False

    def read(self, values: Tensor) -> Tensor:
        """Raw (B, T, P, C) -> scaled, cut off at SATURATION."""
        z = (values - self.location.unsqueeze(-2)) / self.scale.unsqueeze(-2)
        return (z.asinh() if self.arcsinh else z).clamp(-SATURATION, SATURATION)

    def toward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Raw targets (B, T, P C) -> what a readout predicts, and the log of its derivative by the raw value."""
        location, scale = self._wide(values.shape[-1])
        z = (values - location) / scale
        log_slope = -scale.log().expand_as(z)
        if not self.arcsinh:
            return z, log_slope
        return z.asinh(), log_slope - 0.5 * torch.log1p(z.square())

    def back(self, z: Tensor) -> Tensor:
        """What a readout predicts (B, T, P C) -> raw; monotone, so quantiles go to quantiles."""
        location, scale = self._wide(z.shape[-1])
        return location + scale * (z.sinh() if self.arcsinh else z)

    def cut(self, start: int, stop: int) -> Frame:
        """Positions [start, stop) of it."""
        return self._each(lambda t: t if t.dim() < 2 or t.shape[1] == 1 else t[:, start:stop])

    def rows(self, rows: Tensor) -> Frame:
        """The rows (R,) int64 of the batch, in that order; they may repeat."""
        return self._each(lambda t: t if t.dim() < 2 else t[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Frame:
        known, drift = (None if t is None else change(t) for t in (self.known, self.drift))
        location, scale = change(self.location), change(self.scale)
        target_location, target_scale = change(self.target_location), change(self.target_scale)
        return Frame(location, scale, target_location, target_scale, known, drift, self.arcsinh)

    def _wide(self, width: int) -> tuple[Tensor, Tensor]:
        """Target location and scale for every component of a patch."""

        return _tiled(self.target_location, width), _tiled(self.target_scale, width)

    def counted(self, mask: Tensor) -> Tensor:
        """A loss mask (B, T, P C) without what is relative to nothing that came before."""
        return mask if self.known is None else mask & _tiled(self.known, mask.shape[-1])


class Framing(nn.Module):
    """Frames and readings of one real field.

    Args:
        field: its width, scaling and delays.
        patch: steps of a position.
    """

    location: Tensor
    scale: Tensor
    residual_scale: Tensor

    def __init__(self, field: Field, patch: int) -> None:
        super().__init__()
        self.channels, self.patch, self.scaling = field.width, patch, field.scaling
        self.delays, self.lag, self.has_memory = field.delays, field.lag, field.has_memory
        scaling = field.scaling
        constant = scaling is not None and scaling.kind == "constant"
        location = scaling.location if scaling is not None and constant else (0.0,) * field.width
        scale = scaling.scale if scaling is not None and constant else (1.0,) * field.width
        change = scaling.residual_scale if scaling is not None and scaling.residual_scale else scale
        if len(change) not in (field.width, field.width * patch):
            raise ConfigError(
                f"field '{field.name}' has {field.width} channels in patches of {patch}, "
                f"but {len(change)} residual scales"
            )
        # the spec has them: they are no weights
        for name, values in (("location", location), ("scale", scale), ("residual_scale", change)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    @property
    def running(self) -> bool:
        return self.scaling is not None and self.scaling.kind == "running"

    @property
    def residual(self) -> bool:
        return self.scaling is not None and self.scaling.residual

    @property
    def constant(self) -> Frame:
        """The frame of a field without memory, which needs no values."""
        arcsinh = self.scaling is not None and self.scaling.arcsinh
        return Frame(self.location, self.scale, self.location, self.scale, arcsinh=arcsinh)

    @property
    def features(self) -> int:
        """Scaled values that a position reads, delays included."""
        return self.patch * self.channels * self.delays

    @property
    def drifts(self) -> int:
        return 2 * self.channels if self.running else 0

    def init_state(self, batch: int, device: torch.device) -> State:
        """Nothing before; empty where no reading depends on what came before."""
        c = self.channels
        state: State = {}

        def zeros(name: str, *shape: int, dtype: torch.dtype = self.location.dtype) -> None:
            state[name] = torch.zeros(batch, *shape, dtype=dtype, device=device)

        if self.residual:
            zeros("last", c)
            zeros("has_last", c, dtype=torch.bool)
        if self.delays > 1:
            zeros("history", (self.delays - 1) * self.lag, c)
            zeros("seen", (self.delays - 1) * self.lag, c, dtype=torch.bool)
        if self.running:
            assert self.scaling is not None
            zeros("count", c, dtype=torch.int64)
            for name in ("reference", "sum", "sum_squares"):
                zeros(name, c, dtype=torch.float64)
            for name in ("base_location", "base_log_scale"):
                zeros(name, c)
            zeros("has_base", c, dtype=torch.bool)
            if self.scaling.method == "robust":
                zeros("first", self.scaling.freeze, c)
        return state

    def forward(
        self, values: Tensor, there: Tensor | None, nothing: Tensor | None, state: State | None
    ) -> tuple[Frame, Tensor, Tensor, State | None]:
        """Positions of a chunk.

        Args:
            values: (B, T, P C) raw, as they are read.
            there: bool like values, where something is missing.
            nothing: (B, T) bool, where nothing is read: starts and padding.
            state: what came before; left as it is.

        Returns: the frame; scaled readings (B, T, features) and where they are missing, bool; the state after the chunk
        where one was given.
        """
        b, t, _ = values.shape
        steps = values.view(b, t, self.patch, self.channels)
        seen = torch.ones_like(steps, dtype=torch.bool) if there is None else there.view_as(steps)
        if nothing is not None:
            seen = seen & ~nothing[..., None, None]
        steps = steps.masked_fill(~seen, 0.0)
        before = state if state is not None else self.init_state(b, values.device)
        after: State = {}
        frame = self._frame(steps, seen, before, after)
        z = frame.read(steps).masked_fill(~seen, 0.0)
        missing = ~seen
        if self.delays > 1:
            z, missing = self._delayed(steps, seen, frame, before, after)
        return frame, z.flatten(-2), missing.flatten(-2), after if state is not None else None

    def _frame(self, steps: Tensor, seen: Tensor, before: State, after: State) -> Frame:
        scaling = self.scaling
        location, scale = self.location, self.scale
        known = drift = None
        if self.running:
            location, scale, known, drift = self._running(steps, seen, before, after)
        if not self.residual:
            return Frame(location, scale, location, scale, known, drift, bool(scaling and scaling.arcsinh))
        last, has = self._last(steps, seen, before, after)
        change = scale if self.running else self.residual_scale
        known = has if known is None else known & has
        target_scale = torch.where(_tiled(has, change.shape[-1]), change, _tiled(scale, change.shape[-1]))
        target_location = torch.where(has, last, location)
        if self.scaling is not None and self.scaling.residual_of == "patch":
            width = self.patch * self.channels
            target_location = torch.where(seen.flatten(-2), steps.flatten(-2), _tiled(target_location, width))
        return Frame(location, scale, target_location, target_scale, known, drift)

    def _last(self, steps: Tensor, seen: Tensor, before: State, after: State) -> tuple[Tensor, Tensor]:
        """(B, T, C) the last observed value up to each position, and whether there is one."""
        flat, flags = steps.flatten(1, 2), seen.flatten(1, 2)
        index = torch.arange(1, flat.shape[1] + 1, device=flat.device)[None, :, None].expand_as(flat)
        latest = torch.where(flags, index, 0).cummax(1).values[:, self.patch - 1 :: self.patch]
        last = torch.where(latest > 0, flat.gather(1, (latest - 1).clamp(min=0)), before["last"][:, None])
        has = (latest > 0) | before["has_last"][:, None]
        after["last"], after["has_last"] = last[:, -1].clone(), has[:, -1].clone()
        return last, has

    def _delayed(self, steps: Tensor, seen: Tensor, frame: Frame, before: State, after: State) -> tuple[Tensor, Tensor]:
        """Each step beside the values `lag`, 2 `lag` ... steps before it: (B, T, P, delays C) scaled, and missing."""
        b, t, p, c = steps.shape
        reach = (self.delays - 1) * self.lag
        flat = torch.cat((before["history"], steps.flatten(1, 2)), 1)
        flags = torch.cat((before["seen"], seen.flatten(1, 2)), 1)
        after["history"], after["seen"] = flat[:, -reach:].clone(), flags[:, -reach:].clone()

        def taps(x: Tensor) -> list[Tensor]:
            ends = [reach - j * self.lag for j in range(self.delays)]
            return [x[:, end : end + t * p].reshape(b, t, p, c) for end in ends]

        missing = [~flag for flag in taps(flags)]
        read = [frame.read(x).masked_fill(m, 0.0) for x, m in zip(taps(flat), missing, strict=True)]
        return torch.cat(read, -1), torch.cat(missing, -1)

    def _running(
        self, steps: Tensor, seen: Tensor, before: State, after: State
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of what is read up to each position: location, scale and known (B, T, C), drift (B, T, 2 C)."""
        scaling = self.scaling
        assert scaling is not None
        flat, flags = steps.flatten(1, 2).double(), seen.flatten(1, 2)
        counts = before["count"][:, None] + flags.cumsum(1)
        counted = flags & (counts <= scaling.freeze) if scaling.freeze else flags
        first = counted & (counts == 1)
        reference = before["reference"] + (flat * first).sum(1)  # of each row the very first value, so that sums
        ends = slice(self.patch - 1, None, self.patch)  # of squares lose no digits to an offset
        about = flat.abs() if scaling.method == "mean_abs" else flat - reference[:, None]
        about = about * counted
        sums = before["sum"][:, None] + about.cumsum(1)
        squares = before["sum_squares"][:, None] + about.square().cumsum(1)
        after |= {"count": counts[:, -1], "reference": reference, "sum": sums[:, -1], "sum_squares": squares[:, -1]}
        counts, sums, squares = counts[:, ends], sums[:, ends], squares[:, ends]
        n = (counts.clamp(max=scaling.freeze) if scaling.freeze else counts).clamp(min=1).double()
        if scaling.method == "mean_abs":
            location, scale = torch.zeros_like(sums), sums / n
            size = scale
        elif scaling.method == "standard":
            location = reference[:, None] + sums / n
            scale = (squares / n - (sums / n).square()).clamp(min=0).sqrt()
            size = location.abs()
        else:
            location, scale = self._quartiles(flat, counted, counts, before, after)
            size = location.abs()
        flat_line = scale <= DEGENERATE * size
        scale = torch.where(flat_line, (DEGENERATE * size).clamp(min=1e-12), scale)
        location = torch.where(counts > 0, location, 0.0)
        scale = torch.where(counts > 0, scale, 1.0)
        enough = (counts >= scaling.least) & ~flat_line
        drift = self._drift(location.to(self.location), scale.log().to(self.location), enough, before, after)
        return location.to(self.location), scale.to(self.location), enough, drift

    def _quartiles(
        self, flat: Tensor, counted: Tensor, counts: Tensor, before: State, after: State
    ) -> tuple[Tensor, Tensor]:
        """Median and scaled interquartile range of the first `freeze` observed values, (B, T, C) float64."""
        assert self.scaling is not None
        freeze = self.scaling.freeze
        first = before["first"].double()
        place = (before["count"][:, None] + counted.cumsum(1) - 1).clamp(0, freeze - 1)
        first = first.scatter_add(1, place, flat * counted)
        after["first"] = first.to(before["first"])
        slots = torch.arange(freeze, device=flat.device)[None, :, None]
        levels = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device=flat.device)
        columns: list[Tensor] = []
        for i in range(counts.shape[1]):
            n = counts[:, i].clamp(max=freeze)
            if columns and torch.equal(n, counts[:, i - 1].clamp(max=freeze)):
                columns.append(columns[-1])
                continue
            prefix = first.masked_fill(slots >= n[:, None], torch.nan)
            columns.append(torch.nanquantile(prefix, levels, dim=1).nan_to_num(0.0))
        low, middle, high = torch.stack(columns, 2)
        return middle, (high - low) / _NORMAL_QUARTILES

    def _drift(self, location: Tensor, log_scale: Tensor, enough: Tensor, before: State, after: State) -> Tensor:
        """How far scale (its log) and location have moved since the channel began to be known: (B, T, 2 C)."""
        here = enough.int().argmax(1, keepdim=True)
        has = before["has_base"][:, None]
        base_location = torch.where(has, before["base_location"][:, None], location.gather(1, here))
        base_log_scale = torch.where(has, before["base_log_scale"][:, None], log_scale.gather(1, here))
        begun = (enough.cumsum(1) > 0) | has
        after |= {
            "has_base": begun[:, -1],
            "base_location": base_location[:, 0] * begun[:, -1],
            "base_log_scale": base_log_scale[:, 0] * begun[:, -1],
        }
        moved = torch.where(begun, ((location - base_location) * (-log_scale).exp()).asinh(), 0.0)
        grown = torch.where(begun, log_scale - base_log_scale, 0.0)
        return torch.cat((moved, grown), -1)


def _tiled(t: Tensor, width: int) -> Tensor:
    """What is per channel, for every component of a patch of `width`."""
    return t if t.shape[-1] == width else t.repeat(*(1,) * (t.dim() - 1), width // t.shape[-1])
