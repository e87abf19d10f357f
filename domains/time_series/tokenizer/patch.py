"""Values as they are, in patches: Timer's single-series form (arXiv 2402.02368), the default.

A store holds a step a token; the batch folds `patch` steps into one token of the model, which scales them by what came
before. Nothing is lost but digits beyond single precision (a relative 6e-8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.scaling import Scaling
from core.sequence import Field, Sequence, real
from domains.formats.series import Series
from domains.time_series.tokenizer.shared import SeriesConfig, SeriesTokenizer, filled, missing_as_nan


@dataclass(frozen=True)
class PatchConfig(SeriesConfig):
    """How values are cut and scaled."""

    patch: int = 24
    """Steps of a token [a day of hours; Timer has 96]."""
    method: str = "standard"
    """How values are brought to unit size: standard, mean_abs or robust; see `core.scaling.Scaling`."""
    freeze: int = 168
    """Observed steps after which location and scale stay as they are [the first week of the context; without it a
    level that drifts moves the scale of what was read before]; 0: never."""
    least: int = 24
    """Observed steps that must come before a prediction that counts."""
    arcsinh: bool = False
    """Whether asinh is taken of scaled values: for heavy tails."""
    residual: bool = False
    """Whether predictions are of a change, not of the value itself."""
    residual_of: str = "patch"
    """From what: the `last` observed value, or the value at the same place in the `patch` before (a day earlier)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.patch, int) or self.patch < 1:
            raise ConfigError(f"tokenizer.patch: got {self.patch!r}, allowed: a positive whole number")
        self.scaling()

    def scaling(self) -> Scaling:
        """Raises ConfigError for values that do not go together."""
        return Scaling(
            kind="running",
            method=self.method,
            freeze=self.freeze,
            least=self.least,
            arcsinh=self.arcsinh,
            residual=self.residual,
            residual_of=self.residual_of,
        )


class PatchTokenizer(SeriesTokenizer[PatchConfig]):
    """One real target field `values`, `patch` steps a token."""

    kind: ClassVar[str] = "ts_patch"
    config_class = PatchConfig

    def __init__(self, config: PatchConfig | None = None) -> None:
        super().__init__(config or PatchConfig())
        self.patch = self.config.patch

    def target_field(self) -> Field:
        return real("values", self.width, scaling=self.config.scaling())

    def scaling(self) -> Scaling:
        return Scaling(kind="running", method=self.config.method, freeze=self.config.freeze, least=self.config.least)

    def write(self, record: Series) -> Sequence:
        values, there = filled(record.values)
        return Sequence({"values": values}, observed={} if there.all() else {"values": there})

    def read(self, sequence: Sequence) -> tuple[NDArray[np.float64], float | None]:
        return missing_as_nan(sequence, "values"), None
