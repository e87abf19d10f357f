"""From hidden states to likelihoods: one readout per target field, its kind chosen by name.

Every kind has `nll(hidden, target)` in nats. A symbol readout has `logits`; a real one `mean` and `sample`.
Likelihoods are computed in float32 whatever the precision of the hidden states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ConfigError
from core.kernels.wide import wide_dtype
from core.nn.cross_entropy import linear_cross_entropy
from core.registry import Registry
from core.sequence import Field, TokenSpec

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
    def mean(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., W) float32."""
        raise NotImplementedError

    def sample(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw each, (..., D) -> (..., W) float32."""
        raise NotImplementedError


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
            return _wide_linear(hidden, self.proj)
        return _wide(self.proj(hidden))

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        if target.numel() * self.proj.out_features > MANY_LOGITS:
            return linear_cross_entropy(hidden.flatten(0, -2), self.proj.weight, target.flatten()).view(target.shape)
        logits = self.logits(hidden)
        nats = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), reduction="none")
        return nats.view(target.shape)


class PointEstimate(RealReadout):
    """`mse`: nll is half the squared error, summed over the width.

    That is a Gaussian of unit variance without its constant W/2 ln(2 pi), so differences between models are nats while
    the value itself is not a density. A draw is the mean.
    """

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.proj = nn.Linear(width, field.width)
        nn.init.normal_(self.proj.weight, std=0.02)
        nn.init.zeros_(self.proj.bias)

    def mean(self, hidden: Tensor) -> Tensor:
        return _wide_linear(hidden, self.proj)

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (_wide(target) - self.mean(hidden)).square().sum(-1)

    def sample(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.mean(hidden)


class Gaussian(RealReadout):
    """Independent normals per channel, with a learned scale of at least `FLOOR`."""

    FLOOR = 1e-4

    def __init__(self, width: int, field: Field) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * field.width)  # [mean, scale]
        nn.init.normal_(self.proj.weight, std=0.02)
        nn.init.zeros_(self.proj.bias)
        with torch.no_grad():
            self.proj.bias[field.width :] = math.log(math.e - 1)  # softplus of it is 1

    def distribution(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale, (..., W) float32 each."""
        mean, scale = _wide_linear(hidden, self.proj).chunk(2, -1)
        return mean, F.softplus(scale) + self.FLOOR

    def mean(self, hidden: Tensor) -> Tensor:
        return self.distribution(hidden)[0]

    def nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        mean, scale = self.distribution(hidden)
        z = (_wide(target) - mean) / scale
        return (0.5 * z.square() + scale.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def sample(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, scale = self.distribution(hidden)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + scale * noise


SYMBOL_READOUTS: Registry[type[Readout]] = Registry("readout of a symbol field", {"categorical": Categorical})
REAL_READOUTS: Registry[type[Readout]] = Registry(
    "readout of a real field", {"mse": PointEstimate, "gaussian": Gaussian}
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


def make_readout(kind: str, width: int, field: Field) -> Readout:
    """Raises ConfigError where no such kind exists for the field."""
    registry = SYMBOL_READOUTS if field.is_symbol else REAL_READOUTS
    make = registry.get(kind)
    return make(width, field)


def _wide(x: Tensor) -> Tensor:
    """In float32, or float64 where it is that already."""
    return x.to(wide_dtype(x.dtype))


def _wide_linear(hidden: Tensor, layer: nn.Linear) -> Tensor:
    """The layer at full precision, also under autocast."""
    weight = _wide(layer.weight)
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(hidden.to(weight.dtype), weight, None if layer.bias is None else _wide(layer.bias))
