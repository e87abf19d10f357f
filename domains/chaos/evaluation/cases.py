"""What a store holds of each system, as arrays: training and validation series, starts to forecast from, long truths.

A *start* is a context and the truth that follows it. Test trajectories that were made for it are starts as they are;
other series are cut: origins at least one time unit apart, context and truth inside the split. The unit of time is the
Lyapunov time where it is known, else the mean period of the series, and names say which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from core.errors import InputError
from core.store import TokenStore
from core.tokenizer import Tokenizer
from domains.chaos.evaluation.baselines.material import Material, Values
from domains.chaos.source.lyapunov import theiler_window
from domains.chaos.source.trajectory import Trajectory
from domains.chaos.tokenizer.bins import RAW

VALIDATION_STARTS = 40
"""Of the validation series; neighbours overlap where it is short."""


@dataclass(frozen=True)
class Start:
    """One forecast to be made."""

    id: str
    context: Trajectory
    truth: Values
    """(H, C), NaN where missing."""


@dataclass
class Case:
    """One system, or one kind of series. Complete before its statistics are asked for: they are computed once."""

    system: str
    channels: tuple[str, ...]
    dt: float
    steps: float
    """Steps of one unit of time."""
    lyapunov: float | None
    """Exponent per unit of the data's own time; None where the unit is the mean period."""
    noise: float
    train: list[Values] = field(default_factory=list)
    validation: list[Values] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    long: list[Start] = field(default_factory=list)
    context: int = 0
    """Steps of a context."""
    horizon: int = 0
    """Steps of a forecast."""

    @property
    def zero_shot(self) -> bool:
        """Whether no training series of the system is in the store."""
        return not self.train

    def reference(self) -> Values:
        """(T, C) what the attractor's mean, deviation and range are taken from: training, else the long truths, else
        what was given and met in the starts."""
        series = self.train or [s.truth for s in self.long] or [s.truth for s in self.starts]
        return np.concatenate(series)

    @cached_property
    def centre(self) -> Values:
        mean: Values = np.nanmean(self.reference(), axis=0)
        return mean

    @cached_property
    def sigma(self) -> Values:
        """(C,) standard deviation; 1 for a constant channel."""
        deviation = np.nanstd(self.reference(), axis=0)
        return np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def extent(self) -> tuple[Values, Values]:
        """(C,) middle and (C,) width of the attractor's range."""
        reference = self.reference()
        low, high = np.nanmin(reference, axis=0), np.nanmax(reference, axis=0)
        return (low + high) / 2, np.where(high > low, high - low, 1.0)

    def material(self) -> Material:
        """What baselines learn from, standardised. Without a validation series the last fifth of training is one."""
        train, validation = self.train, self.validation
        if not any(len(v) > self.context + self.horizon for v in validation):
            keep = [max(2, len(v) * 4 // 5) for v in train]
            validation = [v[k:] for v, k in zip(train, keep, strict=True)]
            train = [v[:k] for v, k in zip(train, keep, strict=True)]
        total = sum(max(0, len(v) - self.context - self.horizon) for v in validation)
        every = max(1, total // VALIDATION_STARTS)
        cut = [
            (v[i - self.context : i], v[i : i + self.horizon])
            for v in map(self.standardised, validation)
            for i in range(self.context, len(v) - self.horizon + 1, every)
        ]
        shape = (0, 1, len(self.channels))
        contexts = np.stack([c for c, _ in cut]) if cut else np.zeros(shape)
        truths = np.stack([t for _, t in cut]) if cut else np.zeros(shape)
        series = [s for s in map(self.standardised, train) if len(s) > 1]
        return Material(series, contexts, truths, self.steps)

    def standardised(self, values: Values) -> Values:
        """Without missing values, for methods that cannot do with them: interpolated along time."""
        return (interpolated(values) - self.centre) / self.sigma


@dataclass(frozen=True)
class Cutting:
    """How starts are cut out of series that were not made for it."""

    context: float = 5.0
    """Units of time."""
    horizon: float = 10.0
    """Units of time."""
    starts: int = 20
    """At most so many a system; all of those that were made for it if there are fewer."""


def read_cases(
    store: TokenStore,
    tokenizer: Tokenizer[Any],
    split: str,
    cutting: Cutting,
    say: Callable[[str], None] = lambda text: None,
) -> list[Case]:
    """The cases of a store, in the order of their first rows.

    Raises InputError where the split has no start: none of its series is as long as a context and a step.
    """
    cases: dict[str, Case] = {}
    short: list[str] = []
    for part in ("train", "validation", split):
        for one in _spans(store, tokenizer, part):
            case = cases.get(one.system) or cases.setdefault(one.system, _case(one, cutting))
            if part == "train" and split != "train":
                case.train.append(one.values)
            elif part == "validation" and split != "validation":
                case.validation.append(one.values)
            if part == split:
                _add_test(case, one, cutting, short)
                if part in ("train", "validation"):
                    getattr(case, part).append(one.values)
    found = [case for case in cases.values() if case.starts]
    if short:
        say(f"{len(short)} series are shorter than a context and a step, and are left out: {', '.join(short[:5])}")
    if not found:
        names = f"; too short: {', '.join(short[:5])}" if short else ""
        raise InputError(
            f"{store.path} has no series in its {split} part to forecast{names}",
            hint="A context of evaluation.context units of time and at least one step more are needed.",
        )
    for case in found:
        case.starts = case.starts[: cutting.starts]
        case.horizon = max(len(start.truth) for start in case.starts)
        case.starts = [start for start in case.starts if len(start.truth) == case.horizon]
    return found


def interpolated(values: Values) -> Values:
    """(T, C) with missing values on straight lines between their neighbours, the nearest one at the ends."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    filled, at = values.copy(), np.arange(len(values))
    for channel in range(values.shape[1]):
        gone = missing[:, channel]
        if not gone.all():
            filled[gone, channel] = np.interp(at[gone], at[~gone], values[~gone, channel])
        else:
            filled[:, channel] = 0.0
    return filled


def _case(one: Trajectory, cutting: Cutting) -> Case:
    if one.lyapunov_time:
        steps, lyapunov = one.lyapunov_time / one.dt, 1 / one.lyapunov_time
    else:
        steps, lyapunov = float(theiler_window(interpolated(one.values))), None
    context, horizon = max(1, ceil(cutting.context * steps)), max(1, ceil(cutting.horizon * steps))
    return Case(one.system, one.channels, one.dt, steps, lyapunov, one.noise, context=context, horizon=horizon)


def _add_test(case: Case, one: Trajectory, cutting: Cutting, short: list[str]) -> None:
    if one.purpose in ("forecast", "geometry") and one.context:
        made = Start(one.id, one.part(0, one.context), one.values[one.context :])
        if not len(made.truth):
            short.append(one.id)
            return
        case.context = one.context
        (case.starts if one.purpose == "forecast" else case.long).append(made)
        return
    room = len(one) - case.context
    if room < 1:
        short.append(f"{one.id} ({len(one)} steps, a context has {case.context})")
        return
    horizon = min(case.horizon, room)
    last = len(one) - horizon
    count = max(1, min(cutting.starts, int((last - case.context) / max(1.0, case.steps)) + 1))
    for origin in np.linspace(case.context, last, count).astype(int).tolist():
        given = one.part(origin - case.context, origin)
        case.starts.append(Start(f"{one.id}@{origin}", given, one.values[origin : origin + horizon]))
    if room >= 2 * horizon:
        case.long.append(Start(f"{one.id}@long", one.part(0, case.context), one.values[case.context :]))


def _spans(store: TokenStore, tokenizer: Tokenizer[Any], split: str) -> Iterator[Trajectory]:
    """The series of a split, decoded; with the values themselves where the tokenizer keeps them beside its bins."""
    for row, start, stop in store.spans(split).tolist():
        if start < stop:
            sequence = store[row].slice(start, stop)
            record: Trajectory = tokenizer.decode(sequence)
            raw = [sequence.token_labels.get(f"{RAW}{i + 1}") for i in range(len(record.channels))]
            whole = [np.asarray(column, np.float64) for column in raw if column is not None]
            yield replace(record, values=np.stack(whole, axis=1)) if len(whole) == len(raw) else record
