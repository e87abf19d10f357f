"""Real-valued sequences continued: a model reads contexts, then its own predictions, patch by patch.

What is fed back is the mean, a draw, or the quantile of one level (a path that stays at its level). Contexts of equally
many patches go through the model together, and each is read once, however many paths go on from it. Attention without a
window reads at most the positions that it was trained on; then it starts anew on the last half. Knows no records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.batching.batch import Inputs
from core.errors import ConfigError, InputError
from core.order import rng
from core.sequence import Array, Field, Role, Sequence, TokenSpec
from core.vocabulary import UNK

if TYPE_CHECKING:
    from core.nn.config import ModelConfig

MODES = ("mean", "sample", "quantile")
POSITIONS = 2**15
"""Positions of contexts, times the paths that go on from each, that are worked on at once."""


@dataclass(frozen=True)
class Paths:
    """How a context goes on: K paths for each."""

    mode: str = "mean"
    """`mean`: one path of means; `sample`: `draws` drawn paths; `quantile`: a path for each level."""
    draws: int = 1
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("mode", self.mode in MODES, ", ".join(MODES)),
            ("draws", self.draws >= 1, "a positive whole number"),
            ("levels", all(0 < q < 1 for q in self.levels), "numbers between 0 and 1"),
            ("levels", self.mode != "quantile" or len(self.levels) > 0, "at least one, for quantile paths"),
        ):
            if not good:
                raise ConfigError(f"roll_out.{name}: got {getattr(self, name)!r}, allowed: {allowed}")

    @property
    def number(self) -> int:
        return {"mean": 1, "sample": self.draws, "quantile": len(self.levels)}[self.mode]


@dataclass(frozen=True)
class Forecast:
    """What a model expects of the H steps after a context; C channels."""

    mean: NDArray[np.float64]
    """(H, C); of a quantile readout, the median."""
    levels: tuple[float, ...]
    quantiles: NDArray[np.float64]
    """(Q, H, C), ascending along Q."""


@dataclass
class Continuation:
    """The paths of one context."""

    values: NDArray[np.float64]
    """(K, S, C) raw."""
    nats: NDArray[np.float64]
    """(K, S) of what was fed back, under the model."""
    quantiles: NDArray[np.float64] | None = None
    """(Q, min(S, patch), C): of the first patch, exact; where levels were asked for."""


class Rolled(Protocol):
    """What a roll-out asks of a `SequenceModel`, or of several as one; states and readings are its own affair."""

    spec: TokenSpec
    config: ModelConfig

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def init_state(self, batch: int, max_length: int, device: torch.device) -> Any: ...

    def __call__(self, inputs: Inputs, state: Any) -> tuple[Tensor, Any]: ...

    def step(
        self, fields: Mapping[str, Tensor], state: Any, *, start: Tensor | None, observed: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Any]: ...

    def readings(self, inputs: Inputs, state: Any) -> Mapping[str, Any]: ...

    def readings_now(self, state: Any) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class RollOut:
    """A model and how it runs.

    Args:
        model: in eval mode, or several by `core.decoding.together`; its spec has one real target field and no other.
        context: steps that it reads before what it predicts, at most; a multiple of the patch.
        autocast: makes the context in which the model runs.
        between: called before every forward pass and now and then later; may raise to stop.
        alone: one context at a time.

    Raises ConfigError for a spec with symbol targets, or with several real ones.
    """

    model: Rolled
    context: int
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    between: Callable[[], None] = field(default=lambda: None)
    alone: bool = False

    def __post_init__(self) -> None:
        targets = self.spec.targets
        if len(targets) != 1 or targets[0].is_symbol:
            raise ConfigError(
                f"a roll-out needs one real target field, the token has {[f.name for f in targets]}",
                hint="Models of symbols draw with `sample`.",
            )

    @property
    def spec(self) -> TokenSpec:
        return self.model.spec

    @property
    def target(self) -> Field:
        return self.spec.targets[0]

    @property
    def limit(self) -> int:
        """Positions that are read at once; 0 where the state has a constant size."""
        config = self.model.config
        return 0 if "A" not in config.mixers or config.window else self.context // self.spec.patch + 1

    def __call__(
        self,
        contexts: Many[Sequence],
        steps: int,
        paths: Paths,
        counters: Many[tuple[int | str, ...]],
        ahead: Many[Sequence] | None = None,
        levels: tuple[float, ...] = (),
    ) -> list[Continuation]:
        """Continues each context by `steps` steps.

        Args:
            counters: per context what its draws are a function of.
            ahead: per context the known-ahead fields of the steps to come.
            levels: of which the first patch's exact quantiles are wanted.

        Raises ConfigError where known-ahead fields are missing, InputError for a context without an observed value.
        """
        known = [f.name for f in self.spec.fields if f.role is Role.KNOWN_AHEAD]
        if known and ahead is None:
            raise ConfigError(f"the model reads {', '.join(known)} of the steps to come: give them as `ahead`")
        groups: dict[int, list[int]] = {}
        for i, context in enumerate(contexts):
            self._check(context, i)
            groups.setdefault(min(self.spec.positions(len(context)), self.context // self.spec.patch), []).append(i)
        found: list[Continuation | None] = [None] * len(contexts)
        for patches, members in groups.items():
            several = 1 if self.alone else max(1, POSITIONS // ((patches + 1) * paths.number))
            for first in range(0, len(members), several):
                chosen = members[first : first + several]
                batch = _Batch(self, [contexts[i] for i in chosen], patches, steps, paths)
                if ahead is not None:
                    batch.look_ahead([ahead[i] for i in chosen])
                with torch.inference_mode(), self.autocast():
                    results = batch.run([counters[i] for i in chosen], levels)
                for i, result in zip(chosen, results, strict=True):
                    found[i] = result
        return [f for f in found if f is not None]

    def _check(self, context: Sequence, number: int) -> None:
        there = context.observed.get(self.target.name)
        if len(context) and there is not None and not there[-self.context :].any():
            name = context.id or f"number {number}"
            raise InputError(
                f"series '{name}': none of the last {min(len(context), self.context)} values before the forecast "
                "is observed",
                hint="Give a context with at least one value, or leave the series out.",
            )


class _Batch:
    """Contexts of equally many patches, and what follows them; R rows = contexts times paths, once they are read."""

    def __init__(self, roll: RollOut, contexts: list[Sequence], patches: int, steps: int, paths: Paths) -> None:
        self.roll, self.steps, self.paths, self.patches = roll, steps, paths, patches
        spec, model = roll.spec, roll.model
        self.patch, self.rows = spec.patch, len(contexts)
        self.device = next(model.parameters()).device
        self.coming = spec.positions(steps)
        total = (patches + self.coming) * self.patch
        self.values: dict[str, Tensor] = {}
        self.there: dict[str, Tensor] = {}
        for f in spec.fields:
            shape = (self.rows, total, f.width) if f.width else (self.rows, total)
            values = np.full(shape, 0 if f.width else UNK, np.float32 if f.width else np.int64)
            there = np.zeros(shape, bool)
            for row, context in enumerate(contexts):
                end = patches * self.patch
                n = min(len(context), end)
                self._put(values[row], there[row], context, f, end - n, len(context) - n, n)
            self.values[f.name], self.there[f.name] = (torch.from_numpy(a).to(self.device) for a in (values, there))

    def look_ahead(self, ahead: list[Sequence]) -> None:
        """Known-ahead fields of the steps to come."""
        for f in self.roll.spec.fields:
            if f.role is not Role.KNOWN_AHEAD:
                continue
            start = self.patches * self.patch
            values, there = self.values[f.name].cpu().numpy(), self.there[f.name].cpu().numpy()
            for row, coming in enumerate(ahead):
                if len(coming) < self.steps:
                    raise ConfigError(f"field '{f.name}': `ahead` has {len(coming)} steps, the forecast {self.steps}")
                n = min(len(coming), values.shape[1] - start)
                self._put(values[row], there[row], coming, f, start, 0, n)
            self.values[f.name], self.there[f.name] = (torch.from_numpy(a).to(self.device) for a in (values, there))

    @staticmethod
    def _put(values: Array, there: Array, source: Sequence, f: Field, at: int, start: int, n: int) -> None:
        observed = source.observed.get(f.name)
        seen = np.ones((n, *values.shape[1:]), bool) if observed is None else observed[start : start + n]
        values[at : at + n] = np.where(seen, source.arrays[f.name][start : start + n], 0 if f.width else UNK)
        there[at : at + n] = seen

    def run(self, counters: list[tuple[int | str, ...]], levels: tuple[float, ...]) -> list[Continuation]:
        roll, model, name = self.roll, self.roll.model, self.roll.target.name
        paths, width = self.paths, self.patch * self.roll.target.width
        uniforms = self._uniforms(counters, width)
        position = self.patches
        hidden, reading, state = self._read(0, position, self.coming + 1)
        exact = self._quantiles(reading, hidden, levels)
        if paths.number > 1:
            each = torch.arange(self.rows, device=self.device).repeat_interleave(paths.number)
            state = state.select(each)
            hidden, reading = hidden[each], reading.rows(each)
            self.values = {n: v[each] for n, v in self.values.items()}
            self.there = {n: t[each] for n, t in self.there.items()}
        chosen: list[Tensor] = []
        nats: list[Tensor] = []
        seen = position + 1
        for number in range(self.coming):
            values = self._choose(reading, hidden, uniforms, number)
            chosen.append(values)
            steps = reading.component_nll(hidden, values).unflatten(-1, (self.patch, -1)).sum(-1)
            nats.append(steps[:, 0])
            at = slice(position * self.patch, (position + 1) * self.patch)
            self.values[name][:, at] = values.view(len(values), self.patch, -1)
            self.there[name][:, at] = True
            position += 1
            if number + 1 == self.coming:
                break
            if roll.limit and seen == roll.limit:
                start = position - max(1, roll.limit // 2)
                hidden, reading, state = self._read(start, position, roll.limit)
                seen = position - start + 1
                continue
            if number % 64 == 0:
                roll.between()
            inputs = self._inputs(position, position + 1, nothing=False).map(lambda t: t[:, 0])
            step, state = model.step(inputs.fields, state, start=inputs.start, observed=inputs.observed)
            hidden, reading = step.unsqueeze(1), model.readings_now(state)[name]
            seen += 1
        return self._results(chosen, nats, exact)

    def _read(self, start: int, stop: int, room: int) -> tuple[Tensor, Any, Any]:
        """Reads patches [start, stop) from nothing: hidden (rows, 1, D) that predicts patch `stop`, its reading, the
        state. With nothing to read, the position that knows nothing.
        """
        self.roll.between()
        model, name = self.roll.model, self.roll.target.name
        inputs = self._inputs(start, stop + 1, nothing=True)
        slots = max(room, stop + 1 - start)
        state = model.init_state(len(self.values[name]), slots + self.coming, self.device)
        hidden, after = model(inputs, state)
        assert after is not None
        readings = model.readings(inputs, state)
        last = hidden.shape[1]
        return hidden[:, -1:], readings[name].cut(last - 1, last), after

    def _inputs(self, first: int, stop: int, *, nothing: bool) -> Inputs:
        """Positions that predict patches [first, stop); with `nothing`, the first of them has nothing before it."""
        inputs = Inputs({})
        for f in self.roll.spec.fields:
            ahead = f.role is Role.KNOWN_AHEAD
            low, high = (first, stop) if ahead else (first if nothing else first - 1, stop - 1)
            part, seen = self._patches(f, low, high)
            if nothing and not ahead:
                part = torch.cat((part.new_zeros(len(part), 1, *part.shape[2:]), part), 1)
                seen = torch.cat((seen.new_ones(len(seen), 1, *seen.shape[2:]), seen), 1)
            inputs.fields[f.name] = part
            if not bool(seen.all()):
                inputs.observed[f.name] = seen
        inputs.start = torch.zeros(part.shape[:2], dtype=torch.bool, device=self.device)
        inputs.start[:, 0] = nothing
        return inputs

    def _patches(self, f: Field, low: int, high: int) -> tuple[Tensor, Tensor]:
        """Patches [low, high) of a field as positions, and what of them is there."""
        steps = slice(low * self.patch, high * self.patch)
        parts = self.values[f.name][:, steps], self.there[f.name][:, steps]
        if f.is_symbol:
            return parts[0][:, :: self.patch], parts[1][:, :: self.patch]
        return tuple(x.reshape(len(x), high - low, self.patch * f.width) for x in parts)  # type: ignore[return-value]

    def _uniforms(self, counters: list[tuple[int | str, ...]], width: int) -> Tensor | None:
        """(rows K, patches to come, W) numbers in (0, 1): of each path a function of its counters only."""
        if self.paths.mode != "sample":
            return None
        shape = (self.coming, width)
        drawn = [rng("roll_out", *counter, k).random(shape) for counter in counters for k in range(self.paths.number)]
        return torch.from_numpy(np.clip(np.stack(drawn), 1e-12, 1 - 1e-12)).to(self.device)

    def _choose(self, reading: Any, hidden: Tensor, uniforms: Tensor | None, number: int) -> Tensor:
        """(R, 1, W) what the paths go on with."""
        if self.paths.mode == "mean":
            return reading.mean(hidden)
        width = self.patch * self.roll.target.width
        if uniforms is not None:
            return reading.icdf(hidden, uniforms[:, number : number + 1])
        levels = torch.tensor(self.paths.levels, dtype=torch.float64, device=self.device)
        return reading.icdf(hidden, levels.repeat(self.rows)[:, None, None].expand(-1, 1, width))

    def _quantiles(self, reading: Any, hidden: Tensor, levels: tuple[float, ...]) -> Tensor | None:
        """(rows, Q, patch, C) of the first patch."""
        if not levels:
            return None
        width = self.patch * self.roll.target.width
        found = [
            reading.icdf(hidden, torch.full((1, 1, width), q, dtype=torch.float64, device=self.device)) for q in levels
        ]
        return torch.cat(found, 1).unflatten(-1, (self.patch, -1))

    def _results(self, chosen: list[Tensor], nats: list[Tensor], exact: Tensor | None) -> list[Continuation]:
        k, channels = self.paths.number, self.roll.target.width
        values = torch.cat(chosen, 1).double().cpu().numpy().reshape(self.rows, k, -1, channels)[:, :, : self.steps]
        cost = torch.cat(nats, 1).double().cpu().numpy().reshape(self.rows, k, -1)[:, :, : self.steps]
        quantiles = None if exact is None else exact.double().cpu().numpy()[:, :, : self.steps]
        return [Continuation(values[i], cost[i], None if quantiles is None else quantiles[i]) for i in range(self.rows)]
