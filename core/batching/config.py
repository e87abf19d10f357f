"""How sequences are cut into rows and rows put into batches, as a config. Apart from the batches: it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from core.errors import ConfigError, nearest

KINDS = ("windows", "buckets", "packed")
LONG = ("window", "refuse")

VAL_TOKENS = 2**15
"""A validation in about a second with a model of size s on 2 cores; bits per token to about 0.005 for DNA."""


_ONLY = {"stride": "windows", "look_back": "windows", "batch_tokens": "buckets"}
"""Keys of one kind alone."""


@dataclass(frozen=True)
class BatchingConfig:
    """How rows are cut out of sequences and put into batches. Lengths and sizes are in tokens."""

    kind: str = "windows"
    """`windows` of equal length over long sequences; `buckets`: whole records in batches of similar length, padded at
    the right; `packed`: whole records one after the other in rows of `length`, kept apart by segments (for patterns of
    M and S)."""
    batch_size: int = 16
    """Rows of a global batch. [dna_smoke: batches of 16 x 256 learn faster on 2 cores than 32 x 512.]"""
    batch_tokens: int | None = None
    """Buckets only: positions of a global batch, padding included; replaces batch_size."""
    length: int = 256
    """Tokens of a window or a packed row; in buckets, of the longest record that is not treated as long."""
    stride: int | None = None
    """Windows only: tokens from one window's start to the next one's; `length` where None."""
    jitter: bool = True
    """Whether the windows of every training epoch start at another phase."""
    look_back: int = 0
    """Windows only: tokens of context before the window, from its own span, that are read but not predicted."""
    long: str = "window"
    """Buckets and packed: a record that does not fit is cut into windows (`window`) or left out (`refuse`), counted."""
    buffer_shards: int = 16
    """Shuffling happens within at least this many shards, and within fewer than twice as many."""

    def __post_init__(self) -> None:
        for key, allowed in (("kind", KINDS), ("long", LONG)):
            value = getattr(self, key)
            if value not in allowed:
                raise ConfigError(
                    f"batching.{key} is '{value}'{nearest(value, allowed)}", hint=f"Allowed: {', '.join(allowed)}."
                )
        for key, least in (("batch_size", 1), ("length", 2), ("look_back", 0), ("buffer_shards", 1)):
            if getattr(self, key) < least:
                raise ConfigError(f"batching.{key} is {getattr(self, key)}; it must be at least {least}")
        if self.stride is not None and self.stride < 1:
            raise ConfigError(f"batching.stride is {self.stride}; it must be at least 1")
        if self.batch_tokens is not None and self.batch_tokens <= self.length:
            raise ConfigError(
                f"batching.batch_tokens is {self.batch_tokens}; the longest row has {self.length + 1} positions",
                hint="Raise batching.batch_tokens or lower batching.length.",
            )
        for key, kind in _ONLY.items():
            if getattr(self, key) and self.kind != kind:
                raise ConfigError(f"batching.{key} is for kind '{kind}', and the kind is '{self.kind}'")

    def of_kind(self, kind: str) -> BatchingConfig:
        """The same of another kind, without what that does not know."""
        usual: dict[str, Any] = {f.name: f.default for f in fields(self) if _ONLY.get(f.name, kind) != kind}
        return replace(self, kind=kind, **usual)
