"""An echo state network of 500 nodes (Jaeger 2001; closed-loop forecasts as Pathak et al. 2018), in numpy.

    r(t+1) = (1 - leak) r(t) + leak tanh(A r(t) + W u(t) + b),   u(t+1) - u(t) = V [1, u(t), r(t+1)]

A is sparse, W and b are random, V is found by ridge regression. Spectral radius, input scale, leak and ridge are what
does best on validation roll-outs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from core.order import rng
from domains.chaos.evaluation.baselines.material import LOST, Material, Values, best, ridge_solutions

NODES = 500
DEGREE = 6
"""Connections that lead into a node, as in Pathak et al. 2018's sparse reservoirs."""
BIAS = 0.5
"""Spread of the nodes' biases: without any, a reservoir has Lorenz-63's symmetry twice over (Lu et al. 2017)."""
RADII = (0.4, 0.8)
SCALES = (0.2, 0.6)
LEAKS = (1.0, 0.3)
"""[Lorenz-63: the best 4 of 36 reservoirs (radius .1-.8, scale .05-1, leak .3-1) lie within these, 9.2 to 9.9 Lyapunov
times; with 1 % noise the smaller leaks, 4.1 to 4.5.]"""
RIDGES = (1e-12, 1e-9, 1e-6)
WASHOUT = 100
"""Steps that a reservoir runs from rest before its states count."""
SEGMENT = 1000
"""Training series are cut into stretches of so many steps that run side by side, each with a washout of its own."""
SEARCH_POINTS = 5000
SEARCH_STARTS = 16
"""Training points and validation starts that hyper-parameters are chosen on; the chosen ones are fitted on all."""


@dataclass(frozen=True)
class Reservoir:
    """One reservoir and its readout."""

    radius: float
    scale: float
    leak: float
    ridge: float
    nodes: int
    seed: int
    connections: Any
    """(nodes, nodes) sparse."""
    inputs: Values
    """(nodes, C)"""
    biases: Values
    """(nodes, 1)"""
    readout: Values
    """(1 + C + nodes, C)"""
    name: str = "esn_500"

    def roll_out(self, contexts: Values, steps: int) -> Values:
        out = np.empty((len(contexts), steps, contexts.shape[2]))
        states = np.zeros((self.nodes, len(contexts)))
        for t in range(contexts.shape[1] - 1):
            states = self.advance(states, contexts[:, t].T)
        values = contexts[:, -1].copy()
        with np.errstate(all="ignore"):
            for k in range(steps):
                states = self.advance(states, values.T)
                values = values + self.features(states, values) @ self.readout
                values[~(np.abs(values) <= LOST).all(axis=1)] = np.inf
                out[:, k] = values
        return out

    def advance(self, states: Values, values: Values) -> Values:
        """(nodes, S), (C, S) to (nodes, S)."""
        driven = np.tanh(self.connections @ states + self.inputs @ np.clip(values, -LOST, LOST) + self.biases)
        moved: Values = (1 - self.leak) * states + self.leak * driven
        return moved

    def features(self, states: Values, values: Values) -> Values:
        """(S, 1 + C + nodes)"""
        return np.concatenate([np.ones((len(values), 1)), values, states.T], axis=1)


def fit_esn(material: Material, *, nodes: int = NODES, seed: int = 0) -> Reservoir:
    """The best of 8 reservoirs and 3 ridges on the validation starts."""
    few = material.part(SEARCH_POINTS, SEARCH_STARTS)
    tried = []
    for radius, scale, leak in product(RADII, SCALES, LEAKS):
        blank = _blank(material.channels, radius, scale, leak, nodes, seed)
        tried.append(best(few, _trained(blank, few, RIDGES)))
    chosen = best(few, tried)
    return _trained(chosen, material, (chosen.ridge,))[0]


def _blank(channels: int, radius: float, scale: float, leak: float, nodes: int, seed: int) -> Reservoir:
    """A reservoir that has not learned yet; the same random numbers at every radius and scale."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import eigs

    drawn = rng("esn", seed, nodes, channels)
    columns = drawn.integers(0, nodes, (nodes, DEGREE))
    weights = drawn.uniform(-1, 1, (nodes, DEGREE))
    rows = np.repeat(np.arange(nodes), DEGREE)
    connections = csr_array((weights.ravel(), (rows, columns.ravel())), shape=(nodes, nodes))
    start = np.ones(nodes)  # ARPACK's own start is random
    largest = float(np.abs(eigs(connections, k=1, v0=start, return_eigenvectors=False, tol=1e-4)).max())
    inputs = drawn.uniform(-1, 1, (nodes, channels)) * scale
    biases = drawn.uniform(-1, 1, (nodes, 1)) * BIAS
    blank = np.zeros((1 + channels + nodes, channels))
    return Reservoir(radius, scale, leak, 0.0, nodes, seed, connections * (radius / largest), inputs, biases, blank)


def _trained(reservoir: Reservoir, material: Material, ridges: tuple[float, ...]) -> list[Reservoir]:
    """The reservoir with the readout of each ridge."""
    gathered, targets = [], []
    for values, counted in _segments(material.train):
        states = np.zeros((reservoir.nodes, len(values)))
        for t in range(values.shape[1] - 1):
            states = reservoir.advance(states, values[:, t].T)
            keep = counted[:, t]
            if keep.any():
                gathered.append(reservoir.features(states[:, keep], values[keep, t]))
                targets.append(values[keep, t + 1] - values[keep, t])
    solved = ridge_solutions(np.concatenate(gathered), np.concatenate(targets), ridges)
    return [replace(reservoir, ridge=ridge, readout=weights) for ridge, weights in zip(ridges, solved, strict=True)]


def _segments(train: list[Values]) -> list[tuple[Values, Any]]:
    """Training stretches of one length side by side: (S, t, C), and (S, t) which of their steps are learned from.

    A stretch starts WASHOUT steps before what it is for, so that every step but the first ones of a series counts once.
    """
    by_length: dict[int, list[tuple[Values, int]]] = {}
    for series in train:
        for start in range(0, len(series) - 1, SEGMENT):
            begin = max(0, start - WASHOUT)
            stretch = series[begin : start + SEGMENT + 1]
            learned = start - begin if begin else min(WASHOUT, len(stretch) // 2)
            by_length.setdefault(len(stretch), []).append((stretch, learned))
    found = []
    for length, members in by_length.items():
        counted = np.arange(length)[None] >= np.array([learned for _, learned in members])[:, None]
        found.append((np.stack([stretch for stretch, _ in members]), counted))
    return found
