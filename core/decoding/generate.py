"""The decoding loop: rows of one batch advance together, one position at a time, with preallocated state.

Every row stands at the same position, so attention needs no mask; prefixes of different lengths are forced token by
token beyond the part that all share. Rows that end are dropped from the state once a quarter of it is idle. Where a
model attends to its training length only, it starts anew on the last half of that, as overlapped scoring does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.batching.batch import Inputs
from core.decoding.sampling import SamplingConfig, draw, filtered
from core.errors import ConfigError
from core.grammar import Grammar
from core.nn.model import SequenceModel
from core.nn.readout import RealReadout, SymbolReadout
from core.nn.state import ModelState
from core.order import rng, torch_generator
from core.sequence import Array, Field, Role, Sequence
from core.vocabulary import BOS, EOS, MASK, PAD, UNK


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


def generate(
    model: SequenceModel,
    draws: list[Draw],
    config: SamplingConfig,
    *,
    max_length: int,
    min_length: int = 0,
    context: int = 0,
    grammar: Grammar | None = None,
    parallel_prefix: bool = True,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[Sample]:
    """Draws all of `draws` as one batch, in their order.

    Args:
        model: in eval mode; runs where its parameters are.
        max_length: tokens of a sequence at most, prefix included.
        min_length: EOS is not drawn before a sequence has this many tokens.
        context: positions that the model reads at most before it starts anew on the last half of them; 0: no limit.
        grammar: an automaton over the symbols of the spec's only target.
        parallel_prefix: read the prefix in one forward pass; False reads it step by step (the same for any batch).
        autocast: makes the context in which the model runs.

    Raises ConfigError where a prefix is longer than `max_length`, the spec has fields that neither the model nor
    `Draw.ahead` fills, or a grammar is given for a spec without a single symbol target.
    """
    with torch.inference_mode(), autocast():
        return _Decoding(model, draws, config, max_length, min_length, context, grammar).run(parallel_prefix)


class _Decoding:
    """The buffers of one batch.

    `rows` (R,) are the draws that the model state holds at present, `live` (R,) bool those of them that have not ended;
    `whole` says that these are all draws, so that slices do in place of look-ups.
    """

    def __init__(
        self,
        model: SequenceModel,
        draws: list[Draw],
        config: SamplingConfig,
        max_length: int,
        min_length: int,
        context: int,
        grammar: Grammar | None,
    ) -> None:
        self.model, self.draws, self.config, self.spec = model, draws, config, model.spec
        self.max_length, self.min_length = max_length, min_length
        self.context = context if 0 < context < max_length else max_length
        self.device = next(model.parameters()).device
        self.symbols = [f for f in self.spec.targets if f.is_symbol]
        self.reals = [f for f in self.spec.targets if not f.is_symbol]
        self.has_reals = any(f.width for f in self.spec.fields)
        if grammar is not None:
            _ = self.spec.symbol_target
        self.prefixes = np.array([len(d.prefix) for d in draws], dtype=np.int64)
        if self.prefixes.max() > max_length:
            raise ConfigError(f"a prefix has {self.prefixes.max()} tokens, max_length is {max_length}")
        self.buffers = {f.name: self._buffer(f) for f in self.spec.fields}
        shape = (len(draws), max_length)
        self.nll = {f.name: torch.zeros(shape, device=self.device) for f in self.spec.targets}
        self.masked = torch.zeros(shape, device=self.device)
        self.lengths = np.full(len(draws), max_length, dtype=np.int64)
        self.finished = np.zeros(len(draws), dtype=bool)
        numbers = [uniforms(max_length * len(self.symbols), *d.counters) for d in draws]
        self.uniforms = torch.from_numpy(np.stack(numbers)).view(*shape, len(self.symbols)).to(self.device)
        self.generators = [torch_generator("real", *d.counters) for d in draws] if self.reals else []
        self.banned = {f.name: _banned(f, self.device, eos=f is not self.symbols[0]) for f in self.symbols}
        self.banned_early = {f.name: _banned(f, self.device, eos=True) for f in self.symbols}
        self.grammar = grammar
        self.automaton = None if grammar is None else grammar.start(len(draws))
        self.rows = torch.arange(len(draws), device=self.device)
        self.live = torch.ones(len(draws), dtype=torch.bool, device=self.device)
        self.whole = True
        self.origin = 0
        self.state: ModelState

    def _buffer(self, f: Field) -> Tensor:
        shape = (len(self.draws), self.max_length, *((f.width,) if f.width else ()))
        out = np.zeros(shape, np.float32 if f.width else np.int64)
        for slot, d in zip(out, self.draws, strict=True):
            if not f.is_target and d.ahead is not None:
                slot[:] = _first(d.ahead.arrays[f.name], self.max_length, f.name)
            elif not f.is_target and len(d.prefix) < self.max_length:
                raise ConfigError(
                    f"field '{f.name}' is {f.role.value}: the model does not predict it",
                    hint=f"Give its values for all {self.max_length} positions as `ahead`.",
                )
            slot[: len(d.prefix)] = d.prefix.arrays[f.name]
        return torch.from_numpy(out).to(self.device)

    def run(self, parallel_prefix: bool) -> list[Sample]:
        start = int(self.prefixes.min()) if parallel_prefix else 0
        for i in range(start):
            self._advance(i)
        self._read(start)
        for i in range(start, self.max_length):
            if self._origin(i) != self.origin:
                self._read(i)
            start_mask = self._start((len(self.rows),), i == self.origin) if self.has_reals else None
            hidden, self.state = self.model.step(self._inputs(i), self.state, start=start_mask)
            self._take(i, hidden)
            self._advance(i)
            if not self._keep(i):
                break
        return [self._sample(b) for b in range(len(self.draws))]

    def _origin(self, position: int) -> int:
        """The first token that the model has read before `position`: the same whatever the batch."""
        half = self.context // 2
        full = (position - self.context) // (self.context - half)  # how often a context was full, less one
        return 0 if position < self.context else self.context - half + full * (self.context - half)

    def _read(self, position: int) -> None:
        """A new state that has read tokens [origin, position)."""
        self.origin = self._origin(position)
        self.state = self.model.init_state(len(self.rows), self.context, self.device)
        if position == self.origin:
            return
        inputs = Inputs({})
        for f in self.spec.fields:
            values = self.buffers[f.name][self.rows, self.origin : position]
            inputs.fields[f.name] = values if f.role is Role.KNOWN_AHEAD else _shifted(values, f)
        if self.has_reals:
            inputs.start = self._start((len(self.rows), position - self.origin), False)
            inputs.start[:, 0] = True
        _, state = self.model(inputs, self.state)
        assert state is not None
        self.state = state

    def _inputs(self, i: int) -> dict[str, Tensor]:
        """What is read at position `i`: its own values of known-ahead fields, those of token i - 1 of the others."""
        fields = {}
        rows = slice(None) if self.whole else self.rows
        for f in self.spec.fields:
            if f.role is Role.KNOWN_AHEAD:
                fields[f.name] = self.buffers[f.name][rows, i]
            elif i > self.origin:
                fields[f.name] = self.buffers[f.name][rows, i - 1]
            else:
                fields[f.name] = torch.full_like(self.buffers[f.name][rows, i], 0 if f.width else BOS)
        return fields

    def _start(self, shape: tuple[int, ...], value: bool) -> Tensor:
        return torch.full(shape, value, device=self.device)

    def _take(self, i: int, hidden: Tensor) -> None:
        """Writes token `i` of every live row that is beyond its prefix, with its nats."""
        rows: Tensor | slice = slice(None)
        drawing = self.live
        if not self.whole or i < self.prefixes.max():
            drawing = self.live & torch.from_numpy(self.prefixes <= i).to(self.device)[self.rows]
            if not bool(drawing.any()):
                return
            rows, hidden = self.rows[drawing], hidden[drawing]
        for index, f in enumerate(self.symbols):
            allowed = None
            if self.grammar is not None:
                assert self.automaton is not None
                allowed = self.grammar.allowed(self.automaton).to(self.device)[drawing[self.live]]
            self._take_symbol(i, index, f, rows, hidden, allowed)
        for f in self.reals:
            readout = self.model.readouts[f.name]
            assert isinstance(readout, RealReadout)
            one_by_one = [
                readout.sample(h[None], self.generators[int(b)])
                for b, h in zip(torch.arange(len(self.draws))[rows], hidden, strict=True)
            ]
            values = torch.cat(one_by_one)  # a generator of its own for every row, whatever the batch
            self.buffers[f.name][rows, i] = values
            self.nll[f.name][rows, i] = readout.nll(hidden, values)

    def _take_symbol(
        self, i: int, index: int, f: Field, rows: Tensor | slice, hidden: Tensor, allowed: Tensor | None
    ) -> None:
        readout = self.model.readouts[f.name]
        assert isinstance(readout, SymbolReadout)
        logits = readout.logits(hidden)
        own = torch.log_softmax(logits, -1)
        refused = (self.banned_early if i < self.min_length else self.banned)[f.name]
        if allowed is not None:
            refused = refused | ~allowed
            if bool(refused.all(-1).any()):
                raise ConfigError(
                    f"no symbol of '{f.name}' is allowed at position {i}",
                    hint="The grammar and min_length contradict each other.",
                )
        tokens = draw(filtered(logits.masked_fill(refused, -torch.inf), self.config), self.uniforms[rows, i, index])
        self.buffers[f.name][rows, i] = tokens
        self.nll[f.name][rows, i] = -own.gather(-1, tokens[:, None])[:, 0]
        if index == 0:
            self.masked[rows, i] = (own.exp() * refused).sum(-1)

    def _advance(self, i: int) -> None:
        """Lets the grammar see token `i` of every live row."""
        if self.grammar is not None:
            assert self.automaton is not None
            tokens = self.buffers[self.symbols[0].name][self.rows[self.live], i]
            self.automaton = self.grammar.advance(self.automaton, tokens)

    def _keep(self, i: int) -> bool:
        """Drops rows whose token `i` is EOS; whether any row is left."""
        if not self.symbols:
            return True
        tokens = self.buffers[self.symbols[0].name]
        ended = (tokens[:, i] if self.whole else tokens[self.rows, i]) == EOS
        ended &= self.live
        if not bool(ended.any()):
            return True
        self.whole = False
        which = self.rows[ended].cpu().numpy()
        self.lengths[which], self.finished[which] = i, True
        if self.automaton is not None:
            self.automaton = self.automaton.select((~ended[self.live]).nonzero()[:, 0])
        self.live = self.live & ~ended
        left = int(self.live.sum())
        if 0 < left <= 0.75 * len(self.live):  # copying the state costs about as much as a step
            kept = self.live.nonzero()[:, 0]
            self.state, self.rows, self.live = self.state.select(kept), self.rows[kept], self.live[kept]
        return left > 0

    def _sample(self, b: int) -> Sample:
        prefix, length = int(self.prefixes[b]), int(self.lengths[b])
        stop = length + int(self.finished[b])
        nats = {name: float(values[b, prefix:stop].double().sum()) for name, values in self.nll.items()}
        arrays = {f.name: _array(self.buffers[f.name][b, :length], f) for f in self.spec.fields}
        mass = self.masked[b, prefix:stop]
        return Sample(
            Sequence(arrays, id=self.draws[b].prefix.id),
            nll=sum(nats.values()),
            n_tokens=stop - prefix,
            finished=bool(self.finished[b]),
            masked_mass=float(mass.double().mean()) if len(mass) else 0.0,
            field_nll=nats,
        )


def uniforms(n: int, *counters: int | str) -> NDArray[np.float64]:
    """(n,) numbers k / 2**32, k from the first n 32-bit draws of the counters' generator."""
    return rng("uniforms", *counters).integers(0, 2**32, n, dtype=np.uint32).astype(np.float64) / 2.0**32


def _first(values: Array, n: int, name: str) -> Array:
    if len(values) < n:
        raise ConfigError(f"field '{name}': `ahead` has {len(values)} positions, max_length is {n}")
    return values[:n]


def _shifted(values: Tensor, f: Field) -> Tensor:
    """(B, T, ...) one position to the right, BOS or zeros in front."""
    return torch.cat([torch.full_like(values[:, :1], 0 if f.width else BOS), values[:, :-1]], 1)


def _banned(f: Field, device: torch.device, *, eos: bool) -> Tensor:
    """(V,) True for PAD, BOS, MASK and UNK, which nothing decodes, and for EOS where `eos`.

    Of several symbol fields the first one says where the end is.
    """
    assert f.vocabulary is not None
    ids = torch.arange(len(f.vocabulary), device=device)
    return (ids == PAD) | (ids == BOS) | (ids == MASK) | (ids == UNK) | ((ids == EOS) & eos)


def _array(values: Tensor, f: Field) -> Array:
    array = values.cpu().numpy()
    return array.astype(f.vocabulary.dtype) if f.vocabulary is not None else array
