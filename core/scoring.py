"""Forward passes over many records: cut into windows, gathered into batches of like length, put together again.

Records stream through in their order with bounded memory. What comes out for a position does not depend on what else is
in its batch, up to rounding; with one row a batch it does not depend on it at all. Knows tokens only. With patches,
records and windows count steps here, and so do the numbers that come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.batching.assembly import Pieces, assemble
from core.batching.batch import Batch, Inputs
from core.nn.model import SequenceModel
from core.nn.readout import Reading
from core.nn.state import ModelState
from core.sequence import Field, TokenSpec
from core.window_policy import Stretch, Window, WindowPolicy, windows

Array = NDArray[Any]
LOGITS = 2**23
"""Logits that are held at once: positions are read out in parts of at most this many (32 MB)."""
CARRIED_CHUNK = 2048
"""Positions of a forward pass with carried state; any number gives the same result up to rounding."""
BATCHES_AHEAD = 32
"""Batches' worth of windows that are gathered before they are sorted by length."""


@dataclass(frozen=True)
class Runner:
    """A model and how its batches are run.

    Args:
        model: in eval mode, on `device`.
        batch_tokens: positions of a batch, padding included.
        alone: one row a batch, unpadded: a row's numbers are then a function of the row only, to the last bit.
        autocast: makes the context in which the model runs.
        between: called before every batch; may raise to stop.
    """

    model: SequenceModel
    device: torch.device
    batch_tokens: int
    alone: bool
    autocast: Callable[[], AbstractContextManager[object]]
    between: Callable[[], None]

    @property
    def spec(self) -> TokenSpec:
        return self.model.spec

    def nats(self, records: Iterable[Stretch], policy: WindowPolicy, *, eos: bool) -> Iterator[dict[str, Array]]:
        """Per record and target field, (positions,) float32 nats; NaN where the field is not predicted."""
        names = [f.name for f in self.spec.targets]

        def blank(positions: int) -> dict[str, Array]:
            return {name: np.full(positions, np.nan, np.float32) for name in names}

        def write(out: dict[str, Array], window: Window, row: int, found: dict[str, Array]) -> None:
            counted = slice(window.begin + window.context, window.stop)
            for name in names:
                out[name][counted] = found[name][row, window.context : window.stop - window.begin]

        if policy.carry:
            return self._carried(records, policy, eos, blank, write, self._nats_of)
        return self._windowed(records, policy, eos, blank, write, self._nats_of)

    def hidden(
        self,
        records: Iterable[Stretch],
        policy: WindowPolicy,
        blank: Callable[[int], Any],
        add: Callable[[Any, int, Array], None],
        layer: int = -1,
    ) -> Iterator[Any]:
        """Per record, what `blank(positions)` made, after `add(it, first position, hidden (n, D))` of all its parts.

        Hidden states are those after the final norm, or what block `layer`, counted from 0, hands on. Records have one
        position more than tokens; position i has read tokens 0..i-1. With patches, a step's hidden state is that of its
        patch, and records have a patch more.
        """

        def write(out: Any, window: Window, row: int, found: dict[str, Array]) -> None:
            add(out, window.begin + window.context, found["hidden"][row, window.context : window.stop - window.begin])

        handed_on: list[Tensor] = []

        def keep(block: Any, inputs: Any, outputs: tuple[Tensor, Any]) -> None:
            handed_on[:] = [outputs[0].flatten(-2) if self.spec.variables else outputs[0]]

        def found(hidden: Tensor, batch: Batch, before: ModelState | None) -> dict[str, Array]:
            hidden = hidden if layer == -1 else handed_on[0]
            by_step = hidden.float() if self.spec.patch == 1 else hidden.float().repeat_interleave(self.spec.patch, 1)
            return {"hidden": by_step.cpu().numpy()}

        hook = None if layer == -1 else self.model.backbone.blocks[layer].register_forward_hook(keep)
        try:
            run = self._carried if policy.carry else self._windowed
            yield from run(records, policy, True, blank, write, found)
        finally:
            if hook is not None:
                hook.remove()

    def _windowed(
        self,
        records: Iterable[Stretch],
        policy: WindowPolicy,
        eos: bool,
        blank: Callable[[int], Any],
        write: Callable[[Any, Window, int, dict[str, Array]], None],
        read_out: Callable[[Tensor, Batch, ModelState | None], dict[str, Array]],
    ) -> Iterator[Any]:
        """Overlapped windows. A record is handed out once all records before it and all its windows are done."""
        waiting: list[tuple[Stretch, Any, Window]] = []
        opened: list[Any] = []
        gathered = 0
        for record in records:
            positions = self._positions(record, eos)
            opened.append(blank(positions))
            for window in windows(positions, policy, eos=eos):
                waiting.append((record, opened[-1], window))
                gathered += window.stop - window.begin
                if gathered >= BATCHES_AHEAD * self.batch_tokens:
                    self._run(waiting, eos, write, read_out)
                    yield from opened[:-1]
                    waiting, opened, gathered = [], opened[-1:], 0
        self._run(waiting, eos, write, read_out)
        yield from opened

    def _run(
        self,
        waiting: list[tuple[Stretch, Any, Window]],
        eos: bool,
        write: Callable[[Any, Window, int, dict[str, Array]], None],
        read_out: Callable[[Tensor, Batch, ModelState | None], dict[str, Array]],
    ) -> None:
        for chosen in self._batches([self.spec.positions(window.stop - window.begin) for _, _, window in waiting]):
            members = [waiting[i] for i in chosen]
            self.between()
            with torch.inference_mode(), self.autocast():
                batch = self._batch([(record, window) for record, _, window in members], eos)
                found = read_out(self.model(batch.inputs)[0], batch, None)
            for row, (_, out, window) in enumerate(members):
                write(out, window, row, found)

    def _batches(self, sizes: list[int]) -> Iterator[list[int]]:
        """Numbers of rows that go together: longest first, up to `batch_tokens` positions with padding, or one row."""
        batch: list[int] = []
        for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
            if batch and (self.alone or (len(batch) + 1) * sizes[batch[0]] > self.batch_tokens):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _carried(
        self,
        records: Iterable[Stretch],
        policy: WindowPolicy,
        eos: bool,
        blank: Callable[[int], Any],
        write: Callable[[Any, Window, int, dict[str, Array]], None],
        read_out: Callable[[Tensor, Batch, ModelState | None], dict[str, Array]],
    ) -> Iterator[Any]:
        """Every record chunk by chunk with its own state; memory does not grow with its length."""
        for record in records:
            positions = self._positions(record, eos)
            if positions <= policy.length + eos:
                yield from self._windowed([record], policy, eos, blank, write, read_out)
                continue
            out = blank(positions)
            chunk = CARRIED_CHUNK * self.spec.patch
            state = self.model.init_state(1, CARRIED_CHUNK, self.device)
            for begin in range(0, positions, chunk):
                window = Window(begin, min(begin + chunk, positions), 0)
                self.between()
                with torch.inference_mode(), self.autocast():
                    batch = self._continued(record, window, eos)
                    hidden, after = self.model(batch.inputs, state)
                    assert after is not None
                    write(out, window, 0, read_out(hidden, batch, state))
                    state = after
            yield out

    def _continued(self, record: Stretch, window: Window, eos: bool) -> Batch:
        """One row whose first position reads the token before the window: a position more in front, cut off again."""
        patch = self.spec.patch
        if window.begin == 0:
            return self._batch([(record, window)], eos)
        batch = self._batch([(record, window._replace(begin=window.begin - patch))], eos)
        fields, observed, start = batch.inputs.fields, batch.inputs.observed, batch.inputs.start
        batch.inputs = Inputs(
            {name: t[:, 1:] for name, t in fields.items()},
            {name: t[:, 1:] for name, t in observed.items()},
            None if start is None else start[:, 1:],
        )
        batch.targets = {name: t[:, 1:] for name, t in batch.targets.items()}
        batch.loss_mask = {name: t[:, 1:] for name, t in batch.loss_mask.items()}
        return batch

    def _batch(self, rows: list[tuple[Stretch, Window]], eos: bool) -> Batch:
        """Windows as the rows of a batch; a row's last position is EOS where it reaches beyond the record's tokens."""
        begin = np.array([record.start + window.begin for record, window in rows], dtype=np.int64)
        stop = np.array([record.start + min(window.stop, record.tokens) for record, window in rows], dtype=np.int64)
        count = np.arange(len(rows), dtype=np.int64)
        pieces = Pieces(
            sources=[record.source for record, _ in rows],
            begin=begin,
            tokens=stop - begin,
            context=np.array([window.context for _, window in rows], dtype=np.int64),
            eos=np.array([eos and window.stop > record.tokens for record, window in rows], dtype=bool),
            row=count,
            offset=np.zeros_like(count),
            places=np.stack([np.zeros_like(count), count, begin], 1),
        )
        return assemble(pieces, self.spec).to(self.device)

    def _positions(self, record: Stretch, eos: bool) -> int:
        return record.tokens + (eos and any(f.is_symbol for f in self.spec.targets))

    def _nats_of(self, hidden: Tensor, batch: Batch, before: ModelState | None) -> dict[str, Array]:
        """(B, T P) float32 nats by step and target field, NaN where nothing of it counts."""
        readings = self.model.readings(batch.inputs, before)
        found = {}
        for f in self.spec.targets:
            nats = self._symbol_nats if f.is_symbol else self._real_nats
            found[f.name] = nats(readings[f.name], hidden, batch, f).cpu().numpy()
        return found

    def _symbol_nats(self, reading: Reading, hidden: Tensor, batch: Batch, f: Field) -> Tensor:
        assert f.vocabulary is not None
        mask = batch.loss_mask[f.name]
        flat = mask.flatten().nonzero()[:, 0]
        whole = len(flat) == mask.numel()
        states, targets = hidden.flatten(0, 1), batch.targets[f.name].flatten(0, 1)
        out = torch.full((mask.numel(),), torch.nan, device=hidden.device)
        step = max(1, LOGITS // len(f.vocabulary))
        for begin in range(0, len(flat), step):
            part = slice(begin, begin + step) if whole else flat[begin : begin + step]
            out[part] = reading.nll(states[part], targets[part]).float()
        return out.view(mask.shape)

    def _real_nats(self, reading: Reading, hidden: Tensor, batch: Batch, f: Field) -> Tensor:
        mask = reading.counted(batch.loss_mask[f.name])
        nats = reading.component_nll(hidden, batch.targets[f.name]).masked_fill(~mask, 0.0)
        by_step = nats.unflatten(-1, (batch.patch, -1)).sum(-1)
        counted = mask.unflatten(-1, (batch.patch, -1)).any(-1)
        return by_step.masked_fill(~counted, torch.nan).flatten(1)
