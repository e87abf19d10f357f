"""From a row's tokens to its next one: what every way of decoding can do, and the torch way, which is the definition.

The torch way serves every spec and device. Its state has a row for each slot that it still holds; rows that have ended
are computed along until a quarter of them is idle and nothing waits for their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.batching.batch import Inputs
from core.decoding.options import SamplingConfig
from core.decoding.sampling import draw, filtered
from core.decoding.slots import FINISHED, FULL, LIVE, NOTHING_ALLOWED, Slots, banned
from core.nn.model import SequenceModel
from core.nn.readout import Reading, SymbolReadout
from core.nn.state import ModelState
from core.sequence import Field, Role
from core.vocabulary import BOS, EOS

READ_TOKENS = 2**14
"""Positions of prefixes that are read in one forward pass at most, padding included."""
Rows = NDArray[np.int64]
Cells = tuple[slice | Tensor, int | Tensor]
"""What indexes one position of each row in an array (slots, length, ...)."""


class Stepper(Protocol):
    """A model that holds a state for each slot."""

    def read(self, slots: Rows) -> None:
        """Makes the state of `slots` that of having read their tokens from `origin` to `position`."""
        ...

    def run(self, live: Rows, steps: int, allowed: Tensor | None) -> int:
        """Moves the slots `live`, ascending, at most `steps` tokens on, until one has ended.

        allowed: (live, V) bool, symbols that the grammar lets the next token be; then `steps` is 1.
        Writes values, nats, masked, position and ended of the slots. Returns how many steps.
        """
        ...

    def drop_all_but(self, live: Rows) -> None:
        """May forget the other slots for good."""
        ...


class TorchStepper:
    """Decodes the draws of `slots` with `SequenceModel.step`.

    Args:
        context: positions that the model reads at most before a row is read anew.
        min_length: EOS is not drawn before a sequence has this many tokens.
    """

    def __init__(
        self, model: SequenceModel, slots: Slots, config: SamplingConfig, *, context: int, min_length: int
    ) -> None:
        self.model, self.slots, self.config = model, slots, config
        self.context, self.min_length = context, min_length
        # of several symbol fields the first one says where the end is
        self.banned = {f.name: banned(f, slots.device, eos=f is not slots.symbols[0]) for f in slots.symbols}
        self.banned_early = {f.name: banned(f, slots.device, eos=True) for f in slots.symbols}
        self.has_reals = any(f.width for f in slots.spec.fields)
        self.held: Rows = np.arange(slots.size)
        self.state = self._new_state()

    def read(self, slots: Rows) -> None:
        begun = self.slots.position[slots] > self.slots.origin[slots]
        self._clear(slots[~begun])
        if begun.any():
            for part, state in read_states(self.model, self.slots, slots[begun], self.context):
                self._put(part, state)

    def _new_state(self) -> ModelState:
        return self.model.init_state(self.slots.size, self.context, self.slots.device)

    def _clear(self, slots: Rows) -> None:
        """The rows of `slots` in the state have read nothing."""
        self.state.reset(self._rows(slots))

    def _put(self, slots: Rows, read: ModelState) -> None:
        """The rows of `slots` in the state are those of `read`."""
        if len(slots) == len(self.held):
            self.state = read
        else:
            self.state.put(self._rows(slots), read)

    def _hidden(self, live: Rows, rows: Tensor, fields: dict[str, Tensor], start: Tensor | None) -> Tensor:
        """Reads one position of all rows held -> hidden (live, D) of the `rows` that live."""
        hidden, self.state = self.model.step(fields, self.state, start=start)
        return hidden if len(rows) == len(hidden) else hidden[rows]

    def drop_all_but(self, live: Rows) -> None:
        if len(live) <= 0.75 * len(self.held):  # copying the state costs about as much as a step
            self.state, self.held = self.state.select(self._rows(live)), live

    def run(self, live: Rows, steps: int, allowed: Tensor | None) -> int:
        slots, rows = self.slots, self._rows(live)
        if len(live) < len(self.held):  # rows without a draw start anew, lest they outgrow the state
            self.state.reset(self._rows(np.setdiff1d(self.held, live)))
        done = 0
        while done < steps:
            at, origin = slots.position[self.held], slots.origin[self.held]
            at = np.minimum(at, slots.length - 1)  # of rows that have ended
            start = self._flags(at == origin) if self.has_reals else None
            self._take(live, self._hidden(live, rows, self._inputs(at, origin), start), allowed)
            slots.position[live] += 1
            done += 1
            if (slots.ended[live] != LIVE).any():
                break
        return done

    def _rows(self, slots: Rows) -> Tensor:
        """Where the state has `slots`."""
        return torch.from_numpy(np.searchsorted(self.held, slots)).to(self.slots.device)

    def _cells(self, slots: Rows, at: Rows) -> Cells:
        """Of `slots` the positions `at`: views where slots and positions allow it."""
        first = int(at[0])
        column = first if (at == first).all() else torch.from_numpy(at).to(self.slots.device)
        if len(slots) == self.slots.size and isinstance(column, int):
            return slice(None), column
        return torch.from_numpy(slots).to(self.slots.device), column

    def _flags(self, flags: NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(flags).to(self.slots.device)

    def _inputs(self, at: Rows, origin: Rows) -> dict[str, Tensor]:
        """What is read at the positions `at`: their own values of known-ahead fields, those before them of others."""
        fields = {}
        first = at == origin
        here = self._cells(self.held, at)
        before = self._cells(self.held, np.maximum(at - 1, 0))
        for f in self.slots.spec.fields:
            values = self.slots.values[f.name]
            if f.role is Role.KNOWN_AHEAD:
                fields[f.name] = values[here]
                continue
            fields[f.name] = values[before]
            if first.any():
                nothing = self._flags(first).view(-1, *(1,) * (values.dim() - 2))
                fields[f.name] = fields[f.name].masked_fill(nothing, 0 if f.width else BOS)
        return fields

    def _take(self, live: Rows, hidden: Tensor, allowed: Tensor | None) -> None:
        """Writes the next token of every live slot that is beyond its prefix, with its nats, and who has ended."""
        slots = self.slots
        at = slots.position[live]
        slots.ended[live[at + 1 == slots.length]] = FULL
        drawing = at >= slots.prefix[live]
        if not drawing.any():
            return
        if not drawing.all():
            live, at, hidden = live[drawing], at[drawing], hidden[self._flags(drawing)]
            allowed = None if allowed is None else allowed[torch.from_numpy(drawing).to(allowed.device)]
        cells = self._cells(live, at)
        for index, f in enumerate(slots.symbols):
            self._take_symbol(index, f, live, at, cells, hidden, allowed if index == 0 else None)
        if slots.reals:
            readings = self.model.readings_now(self.state)
            for f in slots.reals:
                self._take_real(f, readings[f.name].rows(self._rows(live)), live, cells, hidden)

    def _take_symbol(
        self, index: int, f: Field, live: Rows, at: Rows, cells: Cells, hidden: Tensor, allowed: Tensor | None
    ) -> None:
        readout = self.model.readouts[f.name]
        assert isinstance(readout, SymbolReadout)
        logits = readout.logits(hidden)
        own = torch.log_softmax(logits, -1)
        refused = self.banned[f.name]
        if at.min() < self.min_length:
            early = self._flags(at < self.min_length)[:, None]
            refused = torch.where(early, self.banned_early[f.name], refused)
        if allowed is not None:
            refused = refused | ~allowed.to(refused.device)
            nothing = refused.all(-1).cpu().numpy()
            if nothing.any():
                self.slots.ended[live[nothing]] = NOTHING_ALLOWED
                refused = refused & ~self._flags(nothing)[:, None]
        weights = filtered(logits.masked_fill(refused, -torch.inf), self.config)
        tokens = draw(weights, self.slots.uniforms[cells][:, index])
        self.slots.values[f.name][cells] = tokens
        self.slots.nats[f.name][cells] = -own.gather(-1, tokens[:, None])[:, 0]
        if index == 0:
            self.slots.masked[cells] = (own.exp() * refused).sum(-1)
            ended = (tokens == EOS).cpu().numpy()
            if ended.any():
                self.slots.ended[live[ended]] = FINISHED

    def _take_real(self, f: Field, reading: Reading, live: Rows, cells: Cells, hidden: Tensor) -> None:
        draws = [torch.rand(f.width, dtype=torch.float64, generator=self.slots.generators[s]) for s in live.tolist()]
        levels = torch.stack(draws).clamp(1e-12, 1 - 1e-12).to(hidden.device)  # of each row's own, whatever the batch
        hidden = hidden.unsqueeze(1)
        values = reading.icdf(hidden, levels.unsqueeze(1))
        self.slots.values[f.name][cells] = values[:, 0]
        self.slots.nats[f.name][cells] = reading.nll(hidden, values)[:, 0]


def read_states(model: SequenceModel, slots: Slots, chosen: Rows, context: int) -> Iterator[tuple[Rows, ModelState]]:
    """The states of having read the tokens of `chosen` from their origin to their position, at least one each."""
    lengths = slots.position[chosen] - slots.origin[chosen]
    several = max(1, READ_TOKENS // int(lengths.max()))
    for first in range(0, len(chosen), several):
        part = chosen[first : first + several]
        yield part, _read(model, slots, part, lengths[first : first + several], context)


def _read(model: SequenceModel, slots: Slots, chosen: Rows, lengths: Rows, context: int) -> ModelState:
    """In one forward pass, shorter rows padded on the right."""
    state = model.init_state(len(chosen), context, slots.device)
    longest = int(lengths.max())
    at = np.minimum(slots.origin[chosen][:, None] + np.arange(longest), slots.length - 1)
    cells = torch.from_numpy(chosen)[:, None].to(slots.device), torch.from_numpy(at).to(slots.device)
    inputs = Inputs({})
    for f in slots.spec.fields:
        values = slots.values[f.name][cells]
        inputs.fields[f.name] = values if f.role is Role.KNOWN_AHEAD else _shifted(values, f)
    if any(f.width for f in slots.spec.fields):
        inputs.start = torch.zeros(len(chosen), longest, dtype=torch.bool, device=slots.device)
        inputs.start[:, 0] = True
    if (lengths < longest).any():
        inputs.lengths = torch.from_numpy(lengths).to(slots.device)
    _, read = model(inputs, state)
    assert read is not None
    return read


def _shifted(values: Tensor, f: Field) -> Tensor:
    """(B, T, ...) one position to the right, BOS or zeros in front."""
    return torch.cat([torch.full_like(values[:, :1], 0 if f.width else BOS), values[:, :-1]], 1)
