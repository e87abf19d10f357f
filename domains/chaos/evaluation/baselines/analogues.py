"""Baselines that copy: the last value, the context's own past, the nearest state of the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.chaos.evaluation.baselines.material import Material, Values, best
from domains.chaos.source.lyapunov import delay_vectors

MOTIFS = (10, 1, 2, 5, 20)
"""Steps of the stretch that is looked for again; 10, of arXiv 2505.11349, where there is nothing to choose by."""
DELAYS = (1, 2, 4, 8)
"""Steps that make a state, where a single one does not tell where it goes."""


@dataclass(frozen=True)
class Persistence:
    """Everything stays as it is."""

    name: str = "persistence"

    def roll_out(self, contexts: Values, steps: int) -> Values:
        return np.repeat(contexts[:, -1:], steps, axis=1)


@dataclass(frozen=True)
class Parroting:
    """The continuation of the stretch of the context that is most like its end (Zhang and Gilpin, arXiv 2505.11349).

    Where the copy reaches the context's end it goes on from its own beginning, as a period.
    """

    motif: int
    """Steps of that stretch; it must not overlap the end."""
    name: str = "context_parroting"

    def roll_out(self, contexts: Values, steps: int) -> Values:
        length = contexts.shape[1]
        motif = min(self.motif, max(1, length // 3))
        windows = np.lib.stride_tricks.sliding_window_view(contexts, motif, axis=1)  # (S, length - motif + 1, C, motif)
        distance = ((windows - windows[:, -1:]) ** 2).sum(axis=(2, 3))
        # neighbours in time are alike for a smooth flow whatever it does next
        apart = max(motif, min(length // 3, _turn(contexts)))
        last = np.argmin(distance[:, : max(1, distance.shape[1] - apart)], axis=1) + motif - 1
        period = length - 1 - last
        place = last[:, None] + 1 + np.arange(steps)[None] % period[:, None]
        copied: Values = np.take_along_axis(contexts, place[:, :, None], axis=1)
        return copied


class NearestNeighbour:
    """The training series from where it was nearest to the present state on (Lorenz 1969's analogues).

    Where that series ends, the analogue of its last state takes over.
    """

    name = "nearest_neighbour"

    def __init__(self, train: list[Values], delays: int) -> None:
        from scipy.spatial import cKDTree

        self.delays, self.train = delays, train
        vectors, places = [], []
        for number, series in enumerate(train):
            states = delay_vectors(series, delays, 1)[:-1]
            vectors.append(states)
            places.append(np.stack([np.full(len(states), number), np.arange(len(states)) + delays], axis=1))
        self._tree: Any = cKDTree(np.concatenate(vectors))
        self._next: NDArray[np.int64] = np.concatenate(places)
        """(N, 2) series and step that follows each state."""

    def roll_out(self, contexts: Values, steps: int) -> Values:
        found = np.empty((len(contexts), steps, contexts.shape[2]))
        for row, context in enumerate(contexts):
            history, filled = context[-self.delays :], 0
            while filled < steps:
                state = delay_vectors(history[-self.delays :], self.delays, 1)
                number, start = self._next[int(self._tree.query(state[0])[1])].tolist()
                copied = self.train[number][start : start + steps - filled]
                found[row, filled : filled + len(copied)] = copied
                filled += len(copied)
                history = np.concatenate([history, copied])
        return found


def fit_persistence(material: Material) -> Persistence:
    return Persistence()


def fit_parroting(material: Material) -> Parroting:
    """The motif's length is what does best on the validation starts."""
    return best(material, [Parroting(motif) for motif in MOTIFS])


def fit_nearest_neighbour(material: Material) -> NearestNeighbour:
    """The number of delays is what does best on the validation starts."""
    longest = max(map(len, material.train))
    return best(material, [NearestNeighbour(material.train, d) for d in DELAYS if d + 2 <= longest])


def _turn(contexts: Values) -> int:
    """A quarter of the mean period of the contexts, in steps."""
    power = (np.abs(np.fft.rfft(contexts - contexts.mean(axis=1, keepdims=True), axis=1)) ** 2).sum(axis=(0, 2))
    frequencies = np.fft.rfftfreq(contexts.shape[1])
    mean = float((power * frequencies).sum() / power.sum()) if power.sum() else 0.0
    return int(np.ceil(0.25 / mean)) if mean > 0 else 1
