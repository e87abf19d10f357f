"""The draws that are being worked on, a fixed number of them at once: what each has so far and where it stands.

A slot whose draw has ended takes the next one, so that memory does not grow with the number of draws. Knows neither the
model nor how a symbol is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ConfigError
from core.order import rng, torch_generator
from core.sequence import Array, Field, Sequence, TokenSpec
from core.vocabulary import BOS, EOS, MASK, PAD, UNK

LIVE, FINISHED, FULL, NOTHING_ALLOWED = range(4)
"""How a slot's draw stands: goes on, ended with EOS, reached the length limit, had no symbol that it may take."""


@dataclass(frozen=True)
class Draw:
    """One sequence to be drawn."""

    prefix: Sequence
    """What it starts with; may be empty."""
    counters: tuple[int | str, ...]
    """What its randomness is a function of: seed, row, content hash, number of the draw."""
    ahead: Sequence | None = None
    """Values of given and known-ahead fields for all `max_length` positions, prefix included."""


@dataclass
class Sample:
    """One drawn sequence."""

    sequence: Sequence
    """Prefix and drawn tokens, without EOS; all fields."""
    nll: float
    """Nats of what was drawn (EOS counted) under the model itself: temperature 1, nothing filtered or masked."""
    n_tokens: int
    """How many positions were drawn, EOS counted."""
    finished: bool
    """Whether it ended with EOS; False where it stopped at the length limit."""
    masked_mass: float
    """Mean over the drawn positions of the probability that the grammar and the ban on specials took away."""
    field_nll: dict[str, float] = field(default_factory=dict)
    """Nats by target field; their sum is `nll`."""


class Slots:
    """`size` draws of at most `length` tokens.

    Args:
        device: where the values lie; the numbers of what stands where are always numpy's.

    Attributes:
        values: per field (size, length) int64 or (size, length, W) float32; beyond `position` only what is known ahead.
        nats: per target field (size, length) float32; `masked` likewise.
        uniforms: (size, length, symbol targets) float64.
        position: (size,) int64, tokens a draw has; `prefix` those it started with; `origin` the first one that the
            model has read.
        ended: (size,) uint8, LIVE or how it ended.
    """

    def __init__(self, spec: TokenSpec, size: int, length: int, device: torch.device) -> None:
        self.spec, self.size, self.length, self.device = spec, size, length, device
        self.symbols = [f for f in spec.targets if f.is_symbol]
        self.reals = [f for f in spec.targets if not f.is_symbol]
        shape = (size, length)
        self.values = {
            f.name: torch.zeros(*shape, f.width, device=device)
            if f.width
            else torch.zeros(shape, dtype=torch.int64, device=device)
            for f in spec.fields
        }
        self.nats = {f.name: torch.zeros(shape, device=device) for f in spec.targets}
        self.masked = torch.zeros(shape, device=device)
        self.uniforms = torch.zeros(*shape, len(self.symbols), dtype=torch.float64, device=device)
        self.position, self.prefix, self.origin = (np.zeros(size, np.int64) for _ in range(3))
        self.ended = np.full(size, FULL, np.uint8)
        self.draws: list[Draw | None] = [None] * size
        self.generators: list[torch.Generator | None] = [None] * size

    @property
    def live(self) -> NDArray[np.int64]:
        """The slots whose draws go on, ascending."""
        return np.flatnonzero(self.ended == LIVE)

    def take(self, slot: int, draw: Draw) -> None:
        """Put a draw into a slot. Raises ConfigError where a field is neither predicted nor given ahead."""
        n = len(draw.prefix)
        for f in self.spec.fields:
            values = self.values[f.name]
            if not f.is_target and draw.ahead is not None:
                values[slot] = _tensor(_first(draw.ahead.arrays[f.name], self.length, f.name), values)
            elif not f.is_target and n < self.length:
                raise ConfigError(
                    f"field '{f.name}' is {f.role.value}: the model does not predict it",
                    hint=f"Give its values for all {self.length} positions as `ahead`.",
                )
            if n:
                values[slot, :n] = _tensor(draw.prefix.arrays[f.name], values)
        if self.symbols:
            numbers = uniforms(self.length * len(self.symbols), *draw.counters)
            self.uniforms[slot] = torch.from_numpy(numbers).view(self.length, -1).to(self.device)
        if self.reals:
            self.generators[slot] = torch_generator("real", *draw.counters)
        self.draws[slot], self.prefix[slot] = draw, n
        self.position[slot] = self.origin[slot] = 0
        self.ended[slot] = LIVE if n < self.length else FULL
        if n == self.length:
            self.position[slot] = n

    def sample(self, slot: int) -> Sample:
        """What became of the slot's draw, which has ended."""
        draw = self.draws[slot]
        assert draw is not None
        prefix, stop = int(self.prefix[slot]), int(self.position[slot])
        finished = bool(self.ended[slot] == FINISHED)
        length = stop - finished
        nats = {name: float(values[slot, prefix:stop].double().sum()) for name, values in self.nats.items()}
        arrays = {f.name: _array(self.values[f.name][slot, :length], f) for f in self.spec.fields}
        mass = self.masked[slot, prefix:stop]
        return Sample(
            Sequence(arrays, id=draw.prefix.id),
            nll=sum(nats.values()),
            n_tokens=stop - prefix,
            finished=finished,
            masked_mass=float(mass.double().mean()) if len(mass) else 0.0,
            field_nll=nats,
        )


def uniforms(n: int, *counters: int | str) -> NDArray[np.float64]:
    """(n,) numbers k / 2**32, k from the first n 32-bit draws of the counters' generator."""
    return rng("uniforms", *counters).integers(0, 2**32, n, dtype=np.uint32).astype(np.float64) / 2.0**32


def banned(f: Field, device: torch.device, *, eos: bool) -> Tensor:
    """(V,) True for PAD, BOS, MASK and UNK, which nothing decodes, and for EOS where `eos`."""
    assert f.vocabulary is not None
    ids = torch.arange(len(f.vocabulary), device=device)
    return (ids == PAD) | (ids == BOS) | (ids == MASK) | (ids == UNK) | ((ids == EOS) & eos)


def _first(values: Array, n: int, name: str) -> Array:
    if len(values) < n:
        raise ConfigError(f"field '{name}': `ahead` has {len(values)} positions, max_length is {n}")
    return values[:n]


def _tensor(array: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32 if like.is_floating_point() else np.int64))


def _array(values: Tensor, f: Field) -> Array:
    array = values.cpu().numpy()
    return array.astype(f.vocabulary.dtype) if f.vocabulary is not None else array.copy()
