"""From hidden states to likelihoods: one readout per target field, its kind chosen by name.

Every kind has `nll(hidden, target)` in nats. A symbol readout has `logits`; those of real values are in real_readout.py
and work in scaled units. A `Reading` is a readout with the frame that its values are relative to: it is raw on the
outside. Likelihoods are computed in float32 whatever the precision of the hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.kernels.wide import wide_dtype
from core.nn.cross_entropy import linear_cross_entropy
from core.registry import Registry
from core.sequence import Field, TokenSpec

if TYPE_CHECKING:
    from core.nn.framing import Frame

SMALL_VOCABULARY = 512
"""Up to here logits are computed in float32 also under autocast: they cost nothing, and bf16 logits cost 1e-3 nats."""

MANY_LOGITS = 2**25
"""Beyond so many, 128 MB in float32, the likelihood is computed without having them all at once."""


class Readout(nn.Module):
    """What every readout can do. hidden (..., D)."""

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Nats of target (...) int64 or (..., W) float -> (...) float32."""
        raise NotImplementedError


class SymbolReadout(Readout):
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) float32; ids as in the field's vocabulary, specials included."""
        raise NotImplementedError


class RealReadout(Readout):
    """Of real values in scaled units; W components, patch and channels together."""

    by_component: ClassVar[bool] = False
    """Whether `proj` has the outputs of a component side by side; else it has one kind of output of all of them."""

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Nats of each component of target (..., W) -> (..., W) float32."""
        raise NotImplementedError

    def component_loss(self, hidden: Tensor, target: Tensor) -> Tensor:
        """What training minimises, by component: the nats, unless a readout says otherwise."""
        return self.component_nll(hidden, target)

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        return self.component_nll(hidden, target).sum(-1)

    def mean(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., W) float32."""
        raise NotImplementedError

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        """The value below which each component lies with probability `level` (..., W), in (0, 1) -> (..., W)."""
        raise NotImplementedError

    def sample(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw each, (..., D) -> (..., W) float32."""
        mean = self.mean(hidden)
        level = torch.rand(mean.shape, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        return self.icdf(hidden, level.to(mean.device))

    @property
    def loss_is_nats(self) -> bool:
        """Whether `component_loss` is a log-likelihood, to which the log-Jacobian of a scaling belongs."""
        return True


class Categorical(SymbolReadout):
    """A softmax over the whole vocabulary.

    PAD, BOS, MASK and UNK are never targets, yet they keep their share of the softmax: nothing is masked, so nats are
    an honest upper bound. Training drives that share to about zero.
    """

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        assert field.vocabulary is not None
        self.proj = nn.Linear(width, len(field.vocabulary), bias=False)
        nn.init.normal_(self.proj.weight, std=0.02)

    def logits(self, hidden: Tensor) -> Tensor:
        if self.proj.out_features <= SMALL_VOCABULARY:
            return wide_linear(hidden, self.proj)
        return wide(self.proj(hidden))

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        if target.numel() * self.proj.out_features > MANY_LOGITS:
            return linear_cross_entropy(hidden.flatten(0, -2), self.proj.weight, target.flatten()).view(target.shape)
        logits = self.logits(hidden)
        nats = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), reduction="none")
        return nats.view(target.shape)


@dataclass
class Reading:
    """The readout of a target field, and the frame of the positions whose hidden states it is given (None: symbols)."""

    readout: Readout
    frame: Frame | None = None

    def counted(self, mask: Tensor) -> Tensor:
        """A loss mask, (B, T) of symbols or (B, T, W), without what is not to be counted (`Frame.counted`)."""
        return mask if self.frame is None else self.frame.counted(mask)

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Nats of raw targets (B, T) int64 or (B, T, W) float -> (B, T) float32."""
        if isinstance(self.readout, RealReadout):
            return self.component_nll(hidden, target).sum(-1)
        return self.readout.nll(hidden, target)

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Nats of each component of raw real targets (B, T, W) -> (B, T, W); of a mean, half the squared error."""
        return self._relative(self._real.component_nll, hidden, target, nats=True)

    def loss(self, hidden: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """What is minimised, summed over the components in `mask` (as `counted` gives it) -> (B, T) float32.

        That is the nats, but for readouts whose `component_loss` is another proper score.
        """
        if not isinstance(self.readout, RealReadout):
            return self.readout.nll(hidden, target).float() * mask
        # a missing value may be NaN, and 0 * NaN is NaN in the gradient
        target = target.masked_fill(~mask, 0.0)
        components = self._relative(self._real.component_loss, hidden, target, nats=self._real.loss_is_nats)
        return torch.where(mask, components, 0.0).sum(-1)

    def scaled(self, target: Tensor) -> Tensor:
        """Raw targets (B, T, W) as the readout predicts them, in its units and relative to what it starts from."""
        return wide(target) if self.frame is None else self.frame.toward(wide(target))[0]

    def mean(self, hidden: Tensor) -> Tensor:
        """(B, T, W) raw; under asinh, the value that the mean of the scaled ones stands for."""
        return self._back(self._real.mean(hidden))

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Raw values (B, T, W) at levels in (0, 1) that broadcast to it."""
        return self._back(self._real.icdf(hidden, level))

    def logits(self, hidden: Tensor) -> Tensor:
        assert isinstance(self.readout, SymbolReadout)
        return self.readout.logits(hidden)

    def rows(self, rows: Tensor) -> Reading:
        """For the rows (R,) int64 of the batch, in that order."""
        return Reading(self.readout, None if self.frame is None else self.frame.rows(rows))

    def cut(self, start: int, stop: int) -> Reading:
        """For the positions [start, stop)."""
        return Reading(self.readout, None if self.frame is None else self.frame.cut(start, stop))

    @property
    def _real(self) -> RealReadout:
        assert isinstance(self.readout, RealReadout)
        return self.readout

    def _back(self, z: Tensor) -> Tensor:
        return z if self.frame is None else self.frame.back(z)

    def _relative(
        self, of: Callable[[Tensor, Tensor], Tensor], hidden: Tensor, target: Tensor, *, nats: bool
    ) -> Tensor:
        target = wide(target)
        if self.frame is None:
            return of(hidden, target)
        z, log_slope = self.frame.toward(target)
        components = of(hidden, z)
        return components - log_slope if nats else components


SYMBOL_READOUTS: Registry[type[Readout]] = Registry("readout of a symbol field", {"categorical": Categorical})
REAL_READOUTS: Registry[type[Readout]] = Registry(
    "readout of a real field",
    {
        "mse": "core.nn.real_readout:PointEstimate",
        "gaussian": "core.nn.real_readout:Gaussian",
        "student_t": "core.nn.real_readout:StudentT",
        "quantile": "core.nn.real_readout:Quantile",
    },
)


def readout_kinds(spec: TokenSpec, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Kind by target field: the chosen one, else categorical for symbols and gaussian for real fields.

    Raises ConfigError where a field is not a target or the kind does not fit it.
    """
    chosen = chosen or {}
    names = [f.name for f in spec.targets]
    for name in chosen:
        if name not in names:
            raise ConfigError(f"readout for '{name}': that is not a target field", hint=f"Targets: {', '.join(names)}.")
    kinds = {f.name: chosen.get(f.name, "categorical" if f.is_symbol else "gaussian") for f in spec.targets}
    for field in spec.targets:
        (SYMBOL_READOUTS if field.is_symbol else REAL_READOUTS).get(kinds[field.name])
    return kinds


def make_readout(kind: str, width: int, field: Field, variables: int = 0) -> Readout:
    """The readout of a field as a batch has it, or of its `variables` side by side, with the same weights for each.

    Raises ConfigError where no such kind exists for the field.
    """
    registry = SYMBOL_READOUTS if field.is_symbol else REAL_READOUTS
    make = registry.get(kind)
    if not field.by_channel:
        return make(width, field)
    from core.nn.variables import EachVariable

    one = replace(field, width=field.width // variables, by_channel=False)
    return EachVariable(make(width, one), variables)


def wide(x: Tensor) -> Tensor:
    """In float32, or float64 where it is that already."""
    return x.to(wide_dtype(x.dtype))


def wide_linear(hidden: Tensor, layer: nn.Linear) -> Tensor:
    """The layer at full precision, also under autocast."""
    weight = wide(layer.weight)
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(hidden.to(weight.dtype), weight, None if layer.bias is None else wide(layer.bias))
