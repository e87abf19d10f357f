"""The decoding loop: draws take turns in a fixed number of slots, which stay full as long as any draw waits.

Each row knows its own position, so prefixes and draws may be of any length. How a row gets its next token is a
`Stepper`'s work: the C++ one where it can, else torch. Where a model attends to its training length only, a row starts
anew on the last half of that, as overlapped scoring does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from core.decoding.backbone import can_advance, good_slots
from core.decoding.native import NativeLayersStepper, NativeStepper, can_draw
from core.decoding.sampling import SamplingConfig
from core.decoding.slots import LIVE, NOTHING_ALLOWED, Draw, Sample, Slots, uniforms
from core.decoding.stepper import Rows, Stepper, TorchStepper
from core.errors import ConfigError
from core.grammar import Grammar, GrammarState
from core.nn.model import SequenceModel

__all__ = ["Draw", "Sample", "generate", "uniforms"]

STEPS = 256
"""Tokens that a stepper makes at most before the loop looks around, so that a signal is heard."""
SHORT = 8
"""Prefixes up to here are forced token by token beside rows that are drawn: cheaper than to read them apart."""


def generate(
    model: SequenceModel,
    draws: list[Draw],
    config: SamplingConfig,
    *,
    max_length: int,
    min_length: int = 0,
    context: int = 0,
    grammar: Grammar | None = None,
    slots: int = 0,
    parallel_prefix: bool = True,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    between: Callable[[], None] = lambda: None,
) -> list[Sample]:
    """Draws all of `draws`; the samples are in their order.

    Args:
        model: in eval mode; runs where its parameters are.
        max_length: tokens of a sequence at most, prefix included.
        min_length: EOS is not drawn before a sequence has this many tokens.
        context: positions that the model reads at most before it starts anew on the last half of them; 0: no limit.
        grammar: an automaton over the symbols of the spec's only target.
        slots: how many are worked on at once, at most; 0: all.
        parallel_prefix: read long prefixes in one forward pass; False reads them step by step.
        autocast: makes the context in which the model runs.
        between: called at least every `STEPS` steps; may raise to stop the work.

    Raises ConfigError where a prefix is longer than `max_length`, the spec has fields that neither the model nor
    `Draw.ahead` fills, or a grammar is given for a spec without a single symbol target or allows nothing.
    """
    if grammar is not None:
        _ = model.spec.symbol_target
    longest = max((len(d.prefix) for d in draws), default=0)
    if longest > max_length:
        raise ConfigError(f"a prefix has {longest} tokens, max_length is {max_length}")
    if not draws:
        return []
    with torch.inference_mode(), autocast():
        context = context if 0 < context < max_length else max_length
        size = min(slots or len(draws), len(draws))
        make: type[TorchStepper | NativeStepper] = TorchStepper
        if can_advance(model):
            size = min(size, good_slots(model, context))
            make = NativeStepper if can_draw(model) else NativeLayersStepper
        size = -(-len(draws) // -(-len(draws) // size))  # of draws of one length, the last round is as full as others
        held = Slots(model.spec, size, max_length, next(model.parameters()).device)
        stepper = make(model, held, config, context=context, min_length=min_length)
        loop = _Loop(held, stepper, context, grammar, parallel_prefix)
        return loop.run(draws, between)


class _Loop:
    """The automaton of the grammar, where there is one, has a row for every live slot, in their order."""

    def __init__(
        self, slots: Slots, stepper: Stepper, context: int, grammar: Grammar | None, parallel_prefix: bool
    ) -> None:
        self.slots, self.stepper, self.context = slots, stepper, context
        self.grammar, self.parallel_prefix = grammar, parallel_prefix
        self.automaton: GrammarState | None = None

    def run(self, draws: list[Draw], between: Callable[[], None]) -> list[Sample]:
        slots = self.slots
        samples: dict[int, Sample] = {}
        waiting = deque(enumerate(draws))
        number = np.full(slots.size, -1)  # which draw a slot works on
        while True:
            between()
            live, free = slots.live, np.flatnonzero(slots.ended != LIVE)
            if waiting and (len(live) == 0 or len(free) >= self._enough(waiting[0][1])):
                chosen = free[: len(waiting)]
                for slot in chosen:
                    number[slot], draw = waiting.popleft()
                    slots.take(int(slot), draw)
                self._begin(chosen, live)
            elif len(live) == 0:
                return [samples[i] for i in range(len(draws))]
            else:
                if not waiting:
                    self.stepper.drop_all_but(live)
                self._step(live)
            for slot in np.flatnonzero((slots.ended != LIVE) & (number >= 0)):
                samples[int(number[slot])], number[slot] = slots.sample(int(slot)), -1

    def _enough(self, draw: Draw) -> int:
        """Free slots that are worth an interruption: prefixes that are read in a pass of their own wait for others."""
        return 1 if self._forced(len(draw.prefix)) else max(1, self.slots.size // 8)

    def _forced(self, prefix: int) -> bool:
        """Whether a prefix that begins while other rows are drawn goes token by token with them."""
        return prefix <= SHORT or self.grammar is not None or not self.parallel_prefix

    def _begin(self, chosen: Rows, others: Rows) -> None:
        """Lets the slots `chosen` start beside the live ones `others`."""
        slots = self.slots
        chosen = chosen[slots.ended[chosen] == LIVE]
        if not len(chosen):
            return
        prefixes = slots.prefix[chosen]
        if self.parallel_prefix and (not len(others) or not self._forced(int(prefixes.max()))):
            slots.position[chosen] = prefixes if self.grammar is None else prefixes.min()
        if self.grammar is not None:
            self._follow(self.grammar, chosen, others)
        slots.origin[chosen] = self._origin(slots.position[chosen])
        self.stepper.read(chosen)

    def _follow(self, grammar: Grammar, chosen: Rows, others: Rows) -> None:
        """Rows of the automaton for `chosen`, which it has read up to where they stand."""
        if not len(others):
            self.automaton = grammar.start(len(chosen))
            for i in range(int(self.slots.position[chosen[0]])):
                self.automaton = grammar.advance(self.automaton, self._tokens(chosen, np.full(len(chosen), i)))
            return
        assert self.automaton is not None
        live = self.slots.live
        new = np.isin(live, chosen)
        rows = np.where(new, 0, np.cumsum(~new) - 1)
        self.automaton = self.automaton.select(torch.from_numpy(rows)).reset(torch.from_numpy(np.flatnonzero(new)))

    def _step(self, live: Rows) -> None:
        """Up to `STEPS` tokens for every live slot, until one has ended or must be read anew."""
        slots = self.slots
        seen = slots.position[live] - slots.origin[live]
        full = live[seen == self.context]
        if len(full):
            slots.origin[full] = self._origin(slots.position[full])
            self.stepper.read(full)
            seen = slots.position[live] - slots.origin[live]
        steps, allowed = min(STEPS, slots.length - slots.position[live].max(), self.context - seen.max()), None
        if self.grammar is not None:
            assert self.automaton is not None
            steps, allowed = 1, self.grammar.allowed(self.automaton)
        self.stepper.run(live, int(steps), allowed)
        if (slots.ended[live] == NOTHING_ALLOWED).any():
            at = int(slots.position[live[slots.ended[live] == NOTHING_ALLOWED]][0]) - 1
            raise ConfigError(
                f"no symbol of '{slots.symbols[0].name}' is allowed at position {at}",
                hint="The grammar and min_length contradict each other.",
            )
        if self.grammar is not None:
            assert self.automaton is not None
            automaton = self.grammar.advance(self.automaton, self._tokens(live, slots.position[live] - 1))
            stay = slots.ended[live] == LIVE
            self.automaton = automaton if stay.all() else automaton.select(torch.from_numpy(np.flatnonzero(stay)))

    def _tokens(self, rows: Rows, at: Rows) -> Tensor:
        """(rows,) int64 on the CPU: the symbols at the positions `at`."""
        values = self.slots.values[self.slots.symbols[0].name]
        return values[torch.from_numpy(rows), torch.from_numpy(at)].cpu()

    def _origin(self, position: Rows) -> Rows:
        """The first token that the model has read before `position`: the same whatever the batch."""
        half = self.context // 2
        full = (position - self.context) // (self.context - half)  # how often a context was full, less one
        return np.where(position < self.context, 0, (full + 1) * (self.context - half))
