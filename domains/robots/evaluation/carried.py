"""What a model carries in each of several rows, one token at a time: in C++ where the layers allow it, else in torch.

Rows start from the state of having read the position before the first token. The torch way is the definition; a test
holds them equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.decoding.backbone import NativeBackbone, can_advance
from core.decoding.slots import Slots
from core.errors import ConfigError
from core.nn.model import SequenceModel
from core.nn.readout import Reading
from core.nn.state import ModelState
from core.sequence import Role
from core.vocabulary import BOS
from domains.robots.evaluation.closed_loop import Rows

LONGEST = 1 << 14
"""Tokens of an episode for which rotations are tabulated, where attention has a window."""


class Carried(Protocol):
    """The states of R rows."""

    def restart(self, rows: Rows) -> None:
        """These rows begin once more."""
        ...

    def keep(self, rows: Rows) -> None:
        """Only these rows go on, in this order."""
        ...

    def put(self, rows: Rows, state: ModelState, read: int) -> None:
        """These rows have what `state` has, which has read so many positions."""
        ...

    def read(self, fields: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        """One token further in every row -> hidden (R, D)."""
        ...

    def readings(self) -> dict[str, Reading]:
        """The readouts for what `read` gave last."""
        ...


class TorchCarried:
    """With `SequenceModel.step`.

    Args:
        blank: the state in which every row begins, of one row.
    """

    def __init__(self, model: SequenceModel, blank: ModelState, rows: int) -> None:
        self.model, self.blank = model, blank
        self.state = blank.select(torch.zeros(rows, dtype=torch.int64, device=blank.position.device))

    def restart(self, rows: Rows) -> None:
        chosen = torch.from_numpy(rows).to(self.blank.position.device)
        self.state.put(chosen, self.blank.select(torch.zeros_like(chosen)))

    def keep(self, rows: Rows) -> None:
        self.state = self.state.select(torch.from_numpy(rows).to(self.blank.position.device))

    def put(self, rows: Rows, state: ModelState, read: int) -> None:
        self.state.put(torch.from_numpy(rows).to(self.blank.position.device), state)

    def read(self, fields: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        hidden, self.state = self.model.step(fields, self.state, observed=observed)
        return hidden

    def readings(self) -> dict[str, Reading]:
        return self.model.readings_now(self.state)


class NativeCarried:
    """The layers in C++, embedding and readouts in torch; arguments as of `TorchCarried`.

    Args:
        room: positions that attention keeps.
    """

    def __init__(self, model: SequenceModel, blank: ModelState, rows: int, room: int) -> None:
        self.model, self.blank = model, blank
        self.slots = Slots(model.spec, rows, 1, torch.device("cpu"))
        self.backbone = NativeBackbone(model, self.slots, room)
        self.slot: Rows = np.arange(rows)
        ends = ModelState([], blank.position, blank.recent, blank.reals)
        self.ends = TorchCarried(model, ends, rows)
        self.restart(self.slot)

    def restart(self, rows: Rows) -> None:
        chosen = self.slot[rows]
        self.backbone.put(chosen, self.blank.select(torch.zeros(len(rows), dtype=torch.int64)))
        self.slots.position[chosen] = int(self.blank.position[0])
        self.ends.restart(rows)

    def keep(self, rows: Rows) -> None:
        self.slot = np.ascontiguousarray(self.slot[rows])
        self.ends.keep(rows)

    def put(self, rows: Rows, state: ModelState, read: int) -> None:
        self.backbone.put(self.slot[rows], state)
        self.slots.position[self.slot[rows]] = read
        self.ends.put(rows, ModelState([], state.position, state.recent, state.reals), read)

    def read(self, fields: Mapping[str, Tensor], observed: Mapping[str, Tensor]) -> Tensor:
        hidden = self.backbone.advance(self.slot, self.model.embed_next(fields, self.ends.state, observed=observed))
        self.slots.position[self.slot] += 1
        return hidden

    def readings(self) -> dict[str, Reading]:
        return self.ends.readings()


def carry(model: SequenceModel, blank: ModelState, rows: int, limit: int) -> Carried:
    """The states of `rows` rows, all as `blank`; `limit` positions are read at most, 0: without a limit."""
    if can_advance(model):
        return NativeCarried(model, blank, rows, limit + 2 if limit else LONGEST)
    return TorchCarried(model, blank, rows)


class Reader:
    """Reads positions in R rows and forgets as the model must.

    Attention without a window reads `limit` positions; then a row starts anew on the last half of them, as everywhere
    else in inference.

    Args:
        limit: 0 asks for what the model needs: its context where attention has no window, else no limit.
        first: the inputs (1, ...) of a position that every row has read before anything else; None for none.

    Raises ConfigError for a limit to attention that has a window.
    """

    def __init__(self, model: SequenceModel, limit: int = 0, first: dict[str, Tensor] | None = None) -> None:
        config = model.config
        self.model, self.first = model, first
        self.limit = limit or (config.context if "A" in config.mixers and not config.window else 0)
        if config.window and limit:
            raise ConfigError("evaluation.context: the model's attention has a window, which forgets by itself")
        self.device = next(model.parameters()).device

    def begin(self, rows: int) -> None:
        self.history: dict[str, Tensor] = {}
        room = self.limit + 2 if self.limit else LONGEST if self.model.config.window else 1
        with torch.inference_mode():
            blank = self.model.init_state(1, room, self.device)
            if self.first is not None:
                start = torch.ones(1, dtype=torch.bool, device=self.device)
                blank = self.model.step(self.first, blank, start=start)[1]
            self.carried = carry(self.model, blank, rows, self.limit)
        self.count = np.full(rows, int(self.first is not None))

    def restart(self, row: int) -> None:
        with torch.inference_mode():
            self.carried.restart(np.array([row]))
        self.count[row] = int(self.first is not None)

    def keep(self, rows: Rows) -> None:
        with torch.inference_mode():
            self.carried.keep(rows)
            chosen = torch.from_numpy(rows).to(self.device)
            self.history = {name: values[chosen] for name, values in self.history.items()}
        self.count = self.count[rows]

    def read(self, fields: dict[str, Tensor], observed: dict[str, Tensor] | None = None) -> Tensor:
        """One position in every row, aligned as in a batch -> hidden (R, D)."""
        observed = observed or {}
        if self.limit:
            self._remember(fields, observed)
        hidden = self.carried.read(fields, observed)
        self.count += 1
        return hidden

    def _remember(self, fields: dict[str, Tensor], observed: dict[str, Tensor]) -> None:
        full = np.flatnonzero(self.count >= self.limit)
        if len(full):
            self._read_again(full)
        at = torch.from_numpy(self.count).to(self.device)
        rows = torch.arange(len(at), device=self.device)
        columns = dict(fields)
        for name, values in fields.items():
            if values.is_floating_point():
                mask = observed.get(name)
                columns[f"observed/{name}"] = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        for name, values in columns.items():
            if name not in self.history:
                self.history[name] = values.new_zeros(len(values), self.limit, *values.shape[1:])
            self.history[name][rows, at] = values

    def _read_again(self, rows: Rows) -> None:
        """The last half of what these rows have read, the first position of it with nothing before."""
        half = max(1, self.limit // 2)
        chosen = torch.from_numpy(rows).to(self.device)
        kept = {name: values[chosen, self.limit - half :].clone() for name, values in self.history.items()}
        start = torch.zeros(len(rows), half, dtype=torch.bool, device=self.device)
        start[:, 0] = True
        inputs = Inputs({}, {}, start if any(f.width for f in self.model.spec.read_fields) else None)
        for f in self.model.spec.read_fields:
            values = kept[f.name].clone()
            if f.role is not Role.KNOWN_AHEAD:
                values[:, 0] = BOS if f.is_symbol else 0
            inputs.fields[f.name] = values
            if not f.is_symbol:
                inputs.observed[f.name] = kept[f"observed/{f.name}"]
        _, state = self.model(inputs, self.model.init_state(len(rows), self.limit + 2, self.device))
        assert state is not None
        self.carried.put(rows, state, half)
        for name, values in self.history.items():
            values[chosen, :half] = kept[name]
        self.count[rows] = half
