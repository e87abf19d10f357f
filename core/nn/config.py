"""What a model is made of: one frozen dataclass for every pattern of mixers, and the four named sizes.

Imports no torch, so that a command line can check a configuration before it pays for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.config_keys import from_keys
from core.errors import ConfigError

PATTERNS = {"transformer": "A", "mamba": "M", "mamba2": "S", "hybrid": "SSSA"}
"""Names of patterns. A letter is a mixer (A attention, M Mamba-1, S Mamba-2); the pattern repeats over the layers."""

NORMS = ("rms", "none")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a SequenceModel. A 0 means "derive it", as each field says; `resolved` properties give the numbers.

    Raises ConfigError naming the key, the value got and the values allowed.
    """

    pattern: str = "A"
    """Mixers by layer, repeated: letters of A, M, S, or a name of PATTERNS, which is replaced by its letters."""
    layers: int = 4
    """Number of blocks."""
    width: int = 192
    """D, the width of the residual stream."""
    heads: int = 0
    """A: query heads. 0: heads of 64 channels where the width is at least 128 and divides so, else of 32."""
    kv_heads: int = 0
    """A: heads of keys and values (grouped-query attention, arXiv 2305.13245). 0: as many as `heads`."""
    mlp_hidden: int = 0
    """A: hidden width of the SwiGLU MLP. 0: 8/3 of the width, rounded up to a multiple of 64 (arXiv 2302.13971)."""
    qk_norm: bool = True
    """A: RMSNorm of queries and keys per head, before the rotation (arXiv 2302.05442)."""
    rope_base: float = 10_000.0
    """A: base of the rotary wavelengths (arXiv 2104.09864)."""
    window: int = 0
    """A: each position sees itself and the window - 1 before it. 0: everything before it."""
    d_state: int = 0
    """M, S: N, state size per channel. 0: 16 for M (arXiv 2312.00752), 64 for S (arXiv 2405.21060)."""
    d_conv: int = 4
    """M, S: taps of the depthwise causal convolution."""
    expand: int = 2
    """M, S: inner width over width."""
    headdim: int = 0
    """S: channels a head. 0: 64 where that divides the inner width, else 32."""
    ngroups: int = 1
    """S: groups of heads that share B and C."""
    chunk: int = 0
    """S: chunk length of the matrix form; any length gives the same result. 0: the kernel chooses by shape."""
    ngrams: tuple[int, ...] = ()
    """Orders n whose n-grams of the last n input symbols get embeddings of their own; () for none."""
    ngram_rows: int = 65_536
    """Rows of an n-gram table at most; longer ones are hashed into this many."""
    products: int = 1
    """Real targets: products of up to so many of a token's values are read beside them; 1: the values alone."""
    dropout: float = 0.0
    """Share of the residual branches' outputs that is dropped in training."""
    norm: str = "rms"
    """`rms` before every mixer and MLP and at the end (pre-norm), or `none`. [Scaled real values have about unit size
    as they are, and the division costs digits: without, one-step errors of Lorenz-63 are a quarter in a minute.]"""
    norm_eps: float = 1e-5
    """Added to the mean square in RMSNorm."""
    context: int = 256
    """Training length in tokens. It limits nothing; it is what FLOPs are counted at and a policy may look up."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", PATTERNS.get(self.pattern, self.pattern))
        object.__setattr__(self, "ngrams", tuple(self.ngrams))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
                _refuse(field.name, value, "a whole number")
        if not self.pattern or set(self.pattern) - set("AMS"):
            _refuse("pattern", self.pattern, f"letters of A, M, S, or one of {', '.join(PATTERNS)}")
        for name in ("layers", "width", "d_conv", "expand", "ngroups", "ngram_rows", "products", "context"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "a whole number of at least 1")
        for name in ("heads", "kv_heads", "mlp_hidden", "window", "d_state", "headdim", "chunk"):
            if getattr(self, name) < 0:
                _refuse(name, getattr(self, name), "0 or a positive whole number")
        if not 0 <= self.dropout < 1:
            _refuse("dropout", self.dropout, "a share in [0, 1)")
        if self.norm not in NORMS:
            _refuse("norm", self.norm, ", ".join(NORMS))
        if self.norm_eps <= 0:
            _refuse("norm_eps", self.norm_eps, "a positive number")
        if self.rope_base <= 1:
            _refuse("rope_base", self.rope_base, "a number above 1")
        if any(n < 1 for n in self.ngrams) or len(set(self.ngrams)) < len(self.ngrams):
            _refuse("ngrams", self.ngrams, "different orders of at least 1")
        if "A" in self.pattern:
            self._check_attention()
        if "S" in self.pattern:
            self._check_mamba2()

    def _check_attention(self) -> None:
        if self.width % self.query_heads or (self.width // self.query_heads) % 2:
            _refuse(
                "heads", self.query_heads, f"a divisor of width {self.width} that leaves an even number of channels"
            )
        if self.query_heads % self.key_heads:
            _refuse("kv_heads", self.key_heads, f"a divisor of heads {self.query_heads}")

    def _check_mamba2(self) -> None:
        if self.inner % self.ssd_headdim:
            _refuse("headdim", self.ssd_headdim, f"a divisor of expand * width = {self.inner}")
        if (self.inner // self.ssd_headdim) % self.ngroups:
            _refuse("ngroups", self.ngroups, f"a divisor of the number of heads {self.inner // self.ssd_headdim}")

    @property
    def mixers(self) -> str:
        """One letter for each layer."""
        return (self.pattern * self.layers)[: self.layers]

    @property
    def query_heads(self) -> int:
        return self.heads or max(1, self.width // (64 if self.width >= 128 and self.width % 64 == 0 else 32))

    @property
    def key_heads(self) -> int:
        return self.kv_heads or self.query_heads

    @property
    def hidden(self) -> int:
        """Hidden width of the MLP of attention blocks."""
        return self.mlp_hidden or 64 * math.ceil(self.width * 8 / 3 / 64)

    @property
    def inner(self) -> int:
        """Inner width of Mamba mixers (`d_inner`)."""
        return self.expand * self.width

    @property
    def dt_rank(self) -> int:
        """M: rank of the projection that makes the step sizes."""
        return math.ceil(self.width / 16)

    @property
    def ssd_headdim(self) -> int:
        return self.headdim or (64 if self.inner % 64 == 0 else 32)

    def state_size(self, mixer: str) -> int:
        """N of mixer M or S."""
        return self.d_state or {"M": 16, "S": 64}[mixer]

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values, all of them: a bundle does not depend on this version's defaults."""
        return {**asdict(self), "ngrams": list(self.ngrams)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ModelConfig:
        """Raises ConfigError for a key that is not one of the fields."""
        return from_keys(cls, config, "model")


SIZES = {"xs": (96, 3, 5, 4), "s": (192, 4, 8, 8), "m": (320, 8, 16, 12), "l": (768, 14, 28, 24)}
"""Width, then layers of patterns of A only, of M and S only, and mixed: about 0.3, 2, 10 and 100 million parameters.

A block of attention has an MLP and so about twice the parameters of a Mamba block."""


def size_config(size: str, pattern: str = "A", **changes: Any) -> ModelConfig:
    """The config of a named size, for every pattern about the same number of parameters.

    Args:
        size: xs, s, m or l.
        pattern: letters or a name of PATTERNS.
        changes: fields of ModelConfig to set otherwise.

    Raises ConfigError for an unknown size.
    """
    if size not in SIZES:
        raise ConfigError(f"model size: got '{size}', allowed: {', '.join(SIZES)}")
    width, attention, mamba, mixed = SIZES[size]
    letters = set(PATTERNS.get(pattern, pattern))
    layers = attention if letters == {"A"} else mixed if "A" in letters else mamba
    return ModelConfig(**{"pattern": pattern, "width": width, "layers": layers, **changes})


def _refuse(key: str, got: object, allowed: str) -> None:
    raise ConfigError(f"model.{key}: got {got!r}, allowed: {allowed}")
