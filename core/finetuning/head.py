"""The head: from a record's pooled hidden states to classes or to numbers with their uncertainty, and its files.

    y = W (pooled - shift) / scale + b

`shift` and `scale` are those of the training part's embeddings, so that the head starts from a regression on them
(linear probing first, arXiv 2202.10054). Numbers are gaussian: a second map gives the log of their variance. One
number, found on the validation part, stretches all deviations, because fitted variances of small data are too small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.special import expit, softmax
from scipy.stats import norm
from torch import Tensor, nn

from core.config_keys import from_keys
from core.durable import json_bytes, read_json
from core.errors import ConfigError, IntegrityError
from core.finetuning.pairs import combined_width

HEAD, HEAD_WEIGHTS = "head.json", "head.safetensors"
FORMAT, FORMAT_VERSION = "foretell/head", 1
Values = NDArray[np.float64]
_LEAST_LOG_VARIANCE, _MOST_LOG_VARIANCE = -8.0, 8.0
"""Of standardised targets: beyond it one record's likelihood outweighs all others."""


@dataclass(frozen=True)
class HeadConfig:
    """What a head says, and of what."""

    task: str
    """classify or regress."""
    columns: tuple[str, ...]
    names: tuple[str, ...]
    """Classes, or columns of numbers."""
    exclusive: bool
    """Of classes: whether exactly one holds."""
    width: int
    """What it reads: D of the hidden states."""
    pooling: str
    """mean, last or token."""
    level: float = 0.9
    """Of intervals."""
    pairs: str = ""
    """ordered or symmetric, of a head that reads pairs of records; `width` is that of both then."""

    def __post_init__(self) -> None:
        for name in ("columns", "names"):
            object.__setattr__(self, name, tuple(str(v) for v in getattr(self, name)))

    @property
    def by_token(self) -> bool:
        return self.pooling == "token"


class Head(nn.Module):
    """Linear, on standardised embeddings (N, D)."""

    shift: Tensor
    scale: Tensor
    centre: Tensor
    unit: Tensor
    stretch: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        k = len(config.names)
        for name, values in (
            ("shift", torch.zeros(config.width)),
            ("scale", torch.ones(config.width)),
            ("centre", torch.zeros(k)),
            ("unit", torch.ones(k)),
            ("stretch", torch.ones(k)),
        ):
            self.register_buffer(name, values)
        self.linear = nn.Linear(config.width, k)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.log_variance = nn.Linear(config.width, k) if config.task == "regress" else None
        if self.log_variance is not None:
            nn.init.zeros_(self.log_variance.weight)
            nn.init.zeros_(self.log_variance.bias)

    def standardise(self, features: Values) -> None:
        """Sets shift and scale by embeddings (N, D)."""
        self.shift.copy_(torch.as_tensor(features.mean(0)))
        self.scale.copy_(torch.as_tensor(np.maximum(features.std(0), 1e-6)))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor | None]:
        """pooled (N, D) -> logits or standardised means (N, K), and log variances of numbers."""
        x = (pooled.float() - self.shift) / self.scale
        if self.log_variance is None:
            return self.linear(x), None
        return self.linear(x), self.log_variance(x).clamp(_LEAST_LOG_VARIANCE, _MOST_LOG_VARIANCE)

    def loss(self, pooled: Tensor, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean negative log-likelihood of values (N, K), NaN where one is not known.

        Args:
            weights: (K,) of the classes.
        """
        found, log_variance = self(pooled)
        known = torch.isfinite(values)
        if self.config.task == "regress":
            assert log_variance is not None
            aim = (torch.nan_to_num(values) - self.centre) / self.unit
            nats = 0.5 * (log_variance + (aim - found).square() * (-log_variance).exp())
            return (nats * known).sum() / known.sum().clamp(min=1)
        if self.config.exclusive:
            rows = known.all(1)
            return F.cross_entropy(found[rows], values[rows].argmax(1), weight=weights)
        nats = F.binary_cross_entropy_with_logits(found, torch.nan_to_num(values), reduction="none")
        if weights is not None:
            nats = nats * torch.where(torch.nan_to_num(values) > 0.5, weights, torch.ones_like(weights))
        return (nats * known).sum() / known.sum().clamp(min=1)

    def fit_stretch(self, pooled: Values, values: Values) -> None:
        """Scales the deviations so that standardised residuals of validation have a mean square of 1."""
        if self.config.task != "regress":
            return
        self.stretch.fill_(1.0)
        said = self.predict(pooled)
        with np.errstate(invalid="ignore"):
            square = np.nanmean(((values - said["mean"]) / said["deviation"]) ** 2, axis=0)
        self.stretch.copy_(torch.as_tensor(np.sqrt(np.nan_to_num(square, nan=1.0)).clip(0.05, 20)))

    def predict(self, pooled: NDArray[Any]) -> dict[str, Values]:
        """Of embeddings (N, D): `probability` (N, K), or `mean`, `deviation`, `low` and `high` (N, K)."""
        x = (np.asarray(pooled, np.float64) - _array(self.shift)) / _array(self.scale)
        found = x @ _array(self.linear.weight).T + _array(self.linear.bias)
        if self.log_variance is None:
            return {"probability": softmax(found, axis=1) if self.config.exclusive else expit(found)}
        logs = x @ _array(self.log_variance.weight).T + _array(self.log_variance.bias)
        unit = _array(self.unit)
        mean = found * unit + _array(self.centre)
        deviation = np.exp(0.5 * logs.clip(_LEAST_LOG_VARIANCE, _MOST_LOG_VARIANCE)) * unit * _array(self.stretch)
        reach = float(norm.ppf(0.5 + self.config.level / 2)) * deviation
        return {"mean": mean, "deviation": deviation, "low": mean - reach, "high": mean + reach}


def _array(tensor: Tensor) -> Values:
    return tensor.detach().cpu().double().numpy()


def save_head(folder: Path, head: Head) -> None:
    """`head.json` and `head.safetensors` in a folder."""
    said = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(head.config)}
    (folder / HEAD).write_bytes(json_bytes(json.loads(json.dumps(said))))
    save_file({name: t.detach().cpu().contiguous() for name, t in head.state_dict().items()}, folder / HEAD_WEIGHTS)
    (folder / HEAD_WEIGHTS).chmod((folder / HEAD).stat().st_mode)


def has_head(folder: Path) -> bool:
    return (folder / HEAD).is_file()


def load_head(folder: Path, width: int) -> Head:
    """The head in a folder, for hidden states of `width`.

    Raises ConfigError where there is none, IntegrityError where it is damaged or of another width.
    """
    if not has_head(folder):
        raise ConfigError(
            f"{folder} has no head: it was not fine-tuned on labels",
            hint="Make one with foretell finetune task=classify or task=regress.",
        )
    said = read_json(folder / HEAD)
    if not isinstance(said, Mapping) or said.get("format") != FORMAT or said.get("format_version") != FORMAT_VERSION:
        raise IntegrityError(f"{folder / HEAD} is not a head of this version of foretell")
    try:
        config = from_keys(HeadConfig, {k: v for k, v in said.items() if not k.startswith("format")}, "head")
        given = combined_width(width, config.pairs)
        if config.width != given:
            raise IntegrityError(f"{folder / HEAD}: the head reads {config.width} numbers, the model gives {given}")
        head = Head(config)
        head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
    except (RuntimeError, SafetensorError, OSError, TypeError, KeyError, ConfigError) as error:
        raise IntegrityError(f"{folder / HEAD_WEIGHTS} is damaged: {str(error).splitlines()[0]}") from error
    return head.eval()
