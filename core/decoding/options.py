"""How symbols are drawn, as values that a command line can check before it pays for torch."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ConfigError


@dataclass(frozen=True)
class SamplingConfig:
    """How symbols are drawn. Filters apply in the order of the fields; the likeliest symbol always stays."""

    temperature: float = 1.0
    """Logits are divided by it; 0 takes the likeliest symbol (the lowest id among equals)."""
    top_k: int = 0
    """Keep the k likeliest symbols (Fan et al. 2018); 0 keeps all."""
    top_p: float = 1.0
    """Keep the likeliest symbols up to this much probability (Holtzman et al. 2020); 1 keeps all."""
    min_p: float = 0.0
    """Keep symbols with at least this share of the likeliest one's probability (arXiv 2407.01082); 0 keeps all."""

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("temperature", 0 <= self.temperature < float("inf"), "0 or a positive number"),
            ("top_k", self.top_k >= 0, "0 (all) or a positive whole number"),
            ("top_p", 0 < self.top_p <= 1, "a share in (0, 1]"),
            ("min_p", 0 <= self.min_p <= 1, "a share in [0, 1]"),
        ):
            if not good:
                raise ConfigError(f"sampling.{name}: got {getattr(self, name)!r}, allowed: {allowed}")
