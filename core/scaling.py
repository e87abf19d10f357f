"""How real values are brought to unit size before a model reads them, and what its predictions are relative to.

Stores keep raw values. The model reads z = (x - location) / scale, or asinh of that, and its readouts predict the same
of the next token; likelihoods get the log-Jacobian back, so that they are those of raw values. Location and scale are
constants of the training split, or run along the sequence and know only what precedes the predicted token. With
`residual`, predictions are of the change from an earlier value. Imports no torch; core/nn/framing.py computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.config_keys import from_keys
from core.errors import ConfigError, nearest

KINDS = ("constant", "running")
METHODS = ("standard", "mean_abs", "robust")
RESIDUALS = ("last", "patch")


@dataclass(frozen=True)
class Scaling:
    """The scaling of one real field.

    Raises ConfigError naming the key, the value got and the values allowed.
    """

    kind: str = "running"
    """`constant`: `location` and `scale`, fitted on the training split; `running`: of what came before."""
    location: tuple[float, ...] = ()
    """constant: per channel."""
    scale: tuple[float, ...] = ()
    """constant: per channel, positive."""
    method: str = "standard"
    """running: mean and standard deviation (`standard`), 0 and mean absolute value (`mean_abs`, as Chronos, arXiv
    2403.07815), or median and 1.349th of the interquartile range (`robust`, of the first `freeze` steps)."""
    freeze: int = 0
    """running: location and scale stay as they are after so many observed steps; 0: never."""
    least: int = 16
    """running: observed steps that must precede a token before its prediction counts."""
    arcsinh: bool = False
    """Whether asinh is taken of the scaled values: heavy tails become short ones."""
    residual: bool = False
    """Whether predictions are of a change, not of the value itself."""
    residual_of: str = "last"
    """From what: the `last` observed value of the channel, or the value at the same place in the `patch` before (with
    patches of a season, the seasonal naive forecast)."""
    residual_scale: tuple[float, ...] = ()
    """constant: the typical change, per channel, or per step of a patch and channel; `scale` where not given."""

    def __post_init__(self) -> None:
        for name in ("location", "scale", "residual_scale"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        for name, allowed in (("kind", KINDS), ("method", METHODS), ("residual_of", RESIDUALS)):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(
                    f"scaling.{name}: got {value!r}{nearest(str(value), allowed)}",
                    hint=f"Allowed: {', '.join(allowed)}.",
                )
        for name, good, wanted in (
            ("scale", all(v > 0 for v in self.scale), "positive numbers"),
            ("residual_scale", all(v > 0 for v in self.residual_scale), "positive numbers"),
            ("location", len(self.location) == len(self.scale), "one for each scale"),
            ("scale", self.kind == "running" or len(self.scale) > 0, "one for each channel"),
            ("freeze", self.freeze >= 0, "0 or a positive whole number"),
            ("freeze", self.method != "robust" or self.freeze > 0, "a positive whole number, with robust"),
            ("least", self.least >= 1, "a positive whole number"),
            ("arcsinh", not (self.arcsinh and self.residual), "false, with residual"),
        ):
            if not good:
                raise ConfigError(f"scaling.{name}: got {getattr(self, name)!r}, allowed: {wanted}")

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Scaling:
        """Raises ConfigError for a key that is not one of the fields."""
        return from_keys(cls, config, "scaling")
