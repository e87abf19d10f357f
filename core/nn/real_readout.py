"""Readouts of real values: a mean, a normal, Student's t, quantiles. All in scaled units, component by component.

What scaled units are, a `Reading` knows (readout.py). Draws are the inverse distribution function at uniform numbers,
so that they are a function of those numbers only.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import ndtri, stdtrit
from torch import Tensor, nn

from core.nn.readout import RealReadout, wide, wide_linear
from core.sequence import Field

FLOOR = 1e-4
"""The least scale of a distribution, in scaled units."""


def _projection(width: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _before_softplus(value: float) -> float:
    return math.log(math.expm1(value))


class PointEstimate(RealReadout):
    """`mse`: nll is half the squared error.

    That is a normal of unit variance without its constant 1/2 ln(2 pi), so differences between models are nats while
    the value itself is not a density. A draw is the mean.
    """

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.proj = _projection(width, field.width)

    @property
    def loss_is_nats(self) -> bool:
        """No: beside the log-Jacobian, a constant here, an error of 1e-4 would drown in rounding."""
        return False

    def mean(self, hidden: Tensor) -> Tensor:
        return wide_linear(hidden, self.proj)

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (wide(target) - self.mean(hidden)).square()

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        return self.mean(hidden).expand(torch.broadcast_shapes(level.shape, (*hidden.shape[:-1], 1)))


class Gaussian(RealReadout):
    """Independent normals per component, with a learned scale of at least `FLOOR`."""

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.proj = _projection(width, 2 * field.width)  # [mean, scale]
        with torch.no_grad():
            self.proj.bias[field.width :] = _before_softplus(1.0)

    def distribution(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale, (..., W) float32 each."""
        mean, scale = wide_linear(hidden, self.proj).chunk(2, -1)
        return mean, F.softplus(scale) + FLOOR

    def mean(self, hidden: Tensor) -> Tensor:
        return self.distribution(hidden)[0]

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        mean, scale = self.distribution(hidden)
        z = (wide(target) - mean) / scale
        return 0.5 * z.square() + scale.log() + 0.5 * math.log(2 * math.pi)

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        mean, scale = self.distribution(hidden)
        return mean + scale * torch.special.ndtri(level.double()).to(mean.dtype)


class StudentT(RealReadout):
    """Independent Student's t per component: location, scale of at least `FLOOR`, more than two degrees of freedom."""

    LEAST_FREEDOM = 2.0

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.proj = _projection(width, 3 * field.width)  # [location, scale, freedom]
        with torch.no_grad():
            self.proj.bias[field.width : 2 * field.width] = _before_softplus(1.0)
            self.proj.bias[2 * field.width :] = _before_softplus(4.0)

    def distribution(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location, scale and degrees of freedom, (..., W) float32 each."""
        location, scale, freedom = wide_linear(hidden, self.proj).chunk(3, -1)
        return location, F.softplus(scale) + FLOOR, F.softplus(freedom) + self.LEAST_FREEDOM

    def mean(self, hidden: Tensor) -> Tensor:
        return self.distribution(hidden)[0]

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        location, scale, freedom = self.distribution(hidden)
        z = (wide(target) - location) / scale
        half = 0.5 * freedom
        return (
            torch.lgamma(half)
            - torch.lgamma(half + 0.5)
            + 0.5 * torch.log(math.pi * freedom)
            + scale.log()
            + (half + 0.5) * torch.log1p(z.square() / freedom)
        )

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        location, scale, freedom = self.distribution(hidden)
        wanted = np.asarray(level.detach().cpu(), dtype=np.float64)
        z = stdtrit(freedom.detach().cpu().double().numpy(), wanted)
        return location + scale * torch.from_numpy(np.asarray(z)).to(location)


class Quantile(RealReadout):
    """Quantiles at the levels 0.05, 0.1 ... 0.95 that cannot cross: a median and positive gaps to both sides.

    Training minimises twice the mean pinball loss over the levels, which tends to the CRPS (Gneiting and Raftery 2007,
    eq. 23; Gneiting and Ranjan 2011). As a density it is constant between neighbouring quantiles, with exponential
    tails that begin as high as the last gap is; `component_nll` is of that.
    """

    LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
    MIDDLE = LEVELS.index(0.5)
    LEAST_GAP = 1e-6
    by_component = True

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.components = field.width
        self.proj = _projection(width, field.width * len(self.LEVELS))  # [median, gaps above, gaps below] by component
        self.register_buffer("levels", torch.tensor(self.LEVELS), persistent=False)
        gaps = np.diff(ndtri(self.LEVELS)).tolist()
        above, below = gaps[self.MIDDLE :], gaps[: self.MIDDLE][::-1]
        start = torch.tensor([0.0, *map(_before_softplus, above), *map(_before_softplus, below)])
        with torch.no_grad():
            self.proj.bias.copy_(start.repeat(field.width))

    @property
    def loss_is_nats(self) -> bool:
        return False

    def quantiles(self, hidden: Tensor) -> Tensor:
        """(..., W, Q) float32, ascending."""
        return self._quantiles_and_gaps(hidden)[0]

    def _quantiles_and_gaps(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The quantiles, and the gaps (..., W, Q - 1) between them: positive also where rounding eats them."""
        raw = wide_linear(hidden, self.proj).unflatten(-1, (self.components, len(self.LEVELS)))
        median, gaps = raw[..., :1], F.softplus(raw[..., 1:]) + self.LEAST_GAP
        above, below = gaps[..., : self.MIDDLE], gaps[..., self.MIDDLE :]
        quantiles = torch.cat((median - below.cumsum(-1).flip(-1), median, median + above.cumsum(-1)), -1)
        return quantiles, torch.cat((below.flip(-1), above), -1)

    def mean(self, hidden: Tensor) -> Tensor:
        """The median: what a point forecast under absolute error is."""
        return self.quantiles(hidden)[..., self.MIDDLE]

    def component_loss(self, hidden: Tensor, target: Tensor) -> Tensor:
        error = wide(target).unsqueeze(-1) - self.quantiles(hidden)
        levels: Tensor = self.levels  # type: ignore[assignment]
        return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        (q, gaps), x = self._quantiles_and_gaps(hidden), wide(target)
        log_heights = (self._masses() / gaps).log()
        inside = (x.unsqueeze(-1) >= q).sum(-1) - 1  # -1: below all, Q - 1: above all
        last = len(self.LEVELS) - 2
        log_density = log_heights.gather(-1, inside.clamp(0, last).unsqueeze(-1)).squeeze(-1)
        lower, upper = log_heights[..., 0], log_heights[..., -1]
        tail = self.LEVELS[0]
        below = lower - (q[..., 0] - x).clamp(min=0) * lower.exp() / tail
        above = upper - (x - q[..., -1]).clamp(min=0) * upper.exp() / tail
        log_density = torch.where(inside < 0, below, torch.where(inside > last, above, log_density))
        return -log_density

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        q, gaps = self._quantiles_and_gaps(hidden)
        level = level.to(q.dtype).expand(q.shape[:-1])
        heights, tail = self._masses() / gaps, self.LEVELS[0]
        levels: Tensor = self.levels  # type: ignore[assignment]
        gap = (torch.searchsorted(levels, level.contiguous(), right=True) - 1).clamp(0, len(self.LEVELS) - 2)
        start = q.gather(-1, gap.unsqueeze(-1)).squeeze(-1)
        height = heights.gather(-1, gap.unsqueeze(-1)).squeeze(-1)
        inner = start + (level - levels[gap]) / height
        below = q[..., 0] + tail / heights[..., 0] * (level / tail).clamp(min=1e-12).log()
        above = q[..., -1] - tail / heights[..., -1] * ((1 - level) / tail).clamp(min=1e-12).log()
        return torch.where(level < levels[0], below, torch.where(level > levels[-1], above, inner))

    def _masses(self) -> Tensor:
        levels: Tensor = self.levels  # type: ignore[assignment]
        return levels.diff()
