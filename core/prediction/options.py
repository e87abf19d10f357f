"""What `predict` makes of a store's rows and how, as values that a command line can check before it pays for torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.decoding.options import SamplingConfig
from core.errors import ConfigError, nearest
from core.window_policy import WindowPolicy

WHAT = ("score", "token_scores", "embedding", "sample", "forecast", "compare", "predict")
ORIGINS = ("end", "held_out")
MODES = ("records", "windows")
STRANDS = ("forward", "both")
POOLINGS = ("mean", "last", "token")


@dataclass(frozen=True)
class PredictOptions:
    """How the rows of a store are predicted."""

    mode: str = "records"
    """records: EOS is counted; windows: rows are parts of something longer."""
    window: WindowPolicy = field(default_factory=WindowPolicy)
    """What is done with rows longer than the context."""
    strands: str = "forward"
    """Of scores: rows as they are, or of both strands, each row's mean with its other strand (of DNA), or read from the
    other end (of proteins, tokenizer.directions=both)."""
    pooling: str = "mean"
    """Of embeddings: mean, last, or token (one for each token)."""
    layer: int = -1
    """Of embeddings: the block, counted from 0, whose output is pooled; -1: the last one's, after the final norm."""
    draws: int = 1
    """Samples for each row, which is their prefix."""
    max_length: int = 256
    """Tokens of a sample at most, prefix included; longer rows are refused."""
    min_length: int = 0
    """No sample ends before so many tokens."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Temperature and filters."""
    grammar: bool = False
    """Whether samples follow the grammar of the bundle's tokenizer."""
    horizon: int = 24
    """Steps of a forecast."""
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Of a forecast's quantiles."""
    paths: int = 100
    """Drawn paths that quantiles beyond the first patch come from."""
    origin: str = "end"
    """Where forecasts begin: `end`: behind each row; `held_out`: `horizon` steps before its end, whose targets are not
    read, while what is known ahead of them is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(sorted(float(q) for q in self.levels)))
        for name, good, allowed in (
            ("mode", self.mode in MODES, ", ".join(MODES)),
            ("strands", self.strands in STRANDS, ", ".join(STRANDS)),
            ("pooling", self.pooling in POOLINGS, ", ".join(POOLINGS)),
            ("draws", self.draws >= 1, "a positive whole number"),
            ("max_length", self.max_length >= 1, "a positive whole number"),
            ("horizon", self.horizon >= 1, "a positive whole number"),
            ("levels", all(0 < q < 1 for q in self.levels), "numbers between 0 and 1"),
            ("paths", self.paths >= 1, "a positive whole number"),
            ("origin", self.origin in ORIGINS, ", ".join(ORIGINS)),
            ("min_length", 0 <= self.min_length <= self.max_length, f"0 to max_length ({self.max_length})"),
        ):
            if not good:
                got = getattr(self, name)
                guess = nearest(got, allowed.split(", ")) if isinstance(got, str) else ""
                raise ConfigError(f"predict.{name}: got {got!r}, allowed: {allowed}{guess}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PredictOptions:
        values = dict(config)
        return cls(
            **{**values, "window": WindowPolicy(**values["window"]), "sampling": SamplingConfig(**values["sampling"])}
        )
