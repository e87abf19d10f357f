"""What a baseline learns from and is chosen on: one system's training series and starts of its validation series.

Everything is standardised by the training series, channel by channel. Hyper-parameters are chosen by what counts in the
end: roll-outs of the validation starts, never of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from domains.chaos.evaluation.horizon import NRMSE_LIMIT, nrmse, valid_steps

Values = NDArray[np.float64]
LOST = 1e3
"""Standard deviations beyond which a roll-out is given up: its state is inf from then on."""


class Forecaster(Protocol):
    """A fitted baseline."""

    @property
    def name(self) -> str: ...

    def roll_out(self, contexts: Values, steps: int) -> Values:
        """(S, t, C) what came before to (S, steps, C) what comes."""
        ...


Candidate = TypeVar("Candidate", bound=Forecaster)


@dataclass(frozen=True)
class Material:
    """One system's series in units of their standard deviation, without missing values."""

    train: list[Values]
    """(T, C) each."""
    contexts: Values
    """(S, t, C) of validation starts."""
    truths: Values
    """(S, H, C) what follows them."""
    steps: float
    """Steps of one Lyapunov time."""

    @property
    def channels(self) -> int:
        return int(self.contexts.shape[2])

    def quality(self, forecaster: Forecaster) -> float:
        """Mean valid prediction time on the validation starts, in Lyapunov times; ties are broken by the error there.

        The mean error of the first Lyapunov time is taken off with a weight of a hundredth: below what the time of a
        single start weighs.
        """
        if not len(self.contexts):
            return 0.0
        errors = nrmse(forecaster.roll_out(self.contexts, self.truths.shape[1]), self.truths, np.ones(self.channels))
        early = np.minimum(errors[:, : max(1, int(self.steps))], 10.0)
        return float(valid_steps(errors, NRMSE_LIMIT).mean() / self.steps - 0.01 * np.nanmean(early))

    def part(self, points: int, starts: int) -> Material:
        """The first `points` of training and about `starts` validation starts: enough to choose by, and faster."""
        kept: list[Values] = []
        left = points
        for series in self.train:
            if left > 1:
                kept.append(series[:left])
                left -= len(series)
        every = max(1, len(self.contexts) // starts)
        return Material(kept, self.contexts[::every], self.truths[::every], self.steps)


def best(material: Material, candidates: Iterable[Candidate]) -> Candidate:
    """The candidate with the best validation roll-outs; the first among equals."""
    scored = [(material.quality(one), -i, one) for i, one in enumerate(candidates)]
    return max(scored, key=lambda entry: entry[:2])[2]


def rolled(step: Callable[[Values], Values], states: Values, steps: int) -> Values:
    """(S, steps, C) of `step` applied to its own outputs: (S, ...) history to (S, C) next values.

    Args:
        states: (S, t, C) the last values, as many as `step` looks at; each new one pushes the oldest out.
    """
    history = states.copy()
    out = np.empty((len(states), steps, states.shape[2]))
    with np.errstate(all="ignore"):
        for k in range(steps):
            following = step(history)
            following[~(np.abs(following) <= LOST).all(axis=1)] = np.inf
            out[:, k] = following
            history = np.concatenate([history[:, 1:], np.clip(following, -LOST, LOST)[:, None]], axis=1)
    return out


def ridge_solutions(features: Values, targets: Values, ridges: Iterable[float]) -> list[Values]:
    """(F, C) weights for each ridge, relative to the mean square of the features: one eigen-decomposition for all.

    Args:
        features: (N, F). targets: (N, C).
    """
    gram, moment = features.T @ features, features.T @ targets
    values, vectors = np.linalg.eigh(gram)
    rotated = vectors.T @ moment
    scale = max(float(np.trace(gram)) / len(gram), np.finfo(np.float64).tiny)
    floor = np.finfo(np.float64).eps * max(float(values[-1]), 0.0) * len(values)
    return [
        vectors @ (rotated / np.maximum(np.maximum(values, 0.0) + ridge * scale, floor)[:, None]) for ridge in ridges
    ]
