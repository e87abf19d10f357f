"""Several models of real values that are rolled out as one: what is fed back is the mean of what they predict.

To a roll-out they look like a model: hidden states side by side, readings and states in a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.nn.model import SequenceModel
from core.nn.readout import Reading
from core.nn.state import ModelState


@dataclass(frozen=True)
class StateOfEach:
    """A state for each model."""

    states: tuple[ModelState, ...]

    def select(self, rows: Tensor) -> StateOfEach:
        return StateOfEach(tuple(state.select(rows) for state in self.states))


@dataclass(frozen=True)
class ReadingOfAll:
    """The models' readings of one field, for hidden states that stand side by side in the last dimension."""

    readings: tuple[Reading, ...]
    widths: tuple[int, ...]

    def _each(self, hidden: Tensor) -> Iterator[tuple[Reading, Tensor]]:
        return zip(self.readings, hidden.split(self.widths, -1), strict=True)

    def mean(self, hidden: Tensor) -> Tensor:
        """(B, T, W): the mean of their means."""
        return torch.stack([reading.mean(own) for reading, own in self._each(hidden)]).mean(0)

    def icdf(self, hidden: Tensor, level: Tensor) -> Tensor:
        """(B, T, W): the mean of their values at a level, which is the value at that level of one distribution."""
        return torch.stack([reading.icdf(own, level) for reading, own in self._each(hidden)]).mean(0)

    def component_nll(self, hidden: Tensor, target: Tensor) -> Tensor:
        """(B, T, W) nats of the mean of their densities, component by component."""
        nats = torch.stack([reading.component_nll(own, target) for reading, own in self._each(hidden)])
        return math.log(len(nats)) - torch.logsumexp(-nats, 0)

    def rows(self, rows: Tensor) -> ReadingOfAll:
        return ReadingOfAll(tuple(reading.rows(rows) for reading in self.readings), self.widths)

    def cut(self, start: int, stop: int) -> ReadingOfAll:
        return ReadingOfAll(tuple(reading.cut(start, stop) for reading in self.readings), self.widths)


class Together:
    """models: of one token, in eval mode, on one device; `config` is the first one's."""

    def __init__(self, models: Many[SequenceModel]) -> None:
        self.models = tuple(models)
        self.spec, self.config = models[0].spec, models[0].config

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self.models[0].parameters()

    def init_state(self, batch: int, max_length: int, device: torch.device | str | None = None) -> StateOfEach:
        return StateOfEach(tuple(model.init_state(batch, max_length, device) for model in self.models))

    def __call__(self, inputs: Inputs, state: StateOfEach) -> tuple[Tensor, StateOfEach]:
        found = [model(inputs, own) for model, own in zip(self.models, state.states, strict=True)]
        return torch.cat([hidden for hidden, _ in found], -1), StateOfEach(tuple(after for _, after in found))

    def step(self, fields: Mapping[str, Tensor], state: StateOfEach, **masks: Any) -> tuple[Tensor, StateOfEach]:
        found = [model.step(fields, own, **masks) for model, own in zip(self.models, state.states, strict=True)]
        return torch.cat([hidden for hidden, _ in found], -1), StateOfEach(tuple(after for _, after in found))

    def readings(self, inputs: Inputs, state: StateOfEach) -> dict[str, ReadingOfAll]:
        return self._joined([m.readings(inputs, own) for m, own in zip(self.models, state.states, strict=True)])

    def readings_now(self, state: StateOfEach) -> dict[str, ReadingOfAll]:
        return self._joined([m.readings_now(own) for m, own in zip(self.models, state.states, strict=True)])

    def _joined(self, readings: list[dict[str, Reading]]) -> dict[str, ReadingOfAll]:
        widths = tuple(model.hidden_width for model in self.models)
        return {name: ReadingOfAll(tuple(one[name] for one in readings), widths) for name in readings[0]}
