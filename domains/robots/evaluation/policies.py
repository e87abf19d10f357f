"""What a sceptic would let act in the model's place: chance, the expert, the last action, a neighbour, a small
network."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.order import rng, seed_of
from domains.robots.evaluation.closed_loop import Rows
from domains.robots.source.environments import Where
from domains.robots.source.experts import CLASSIC, Act
from domains.robots.source.made import RANDOM, actor
from domains.robots.source.spaces import BOX, Space, Values
from domains.robots.tokenizer.shared import statistics

NEIGHBOURS = 50_000
"""Training steps that a neighbour is looked for among, at most; thinned evenly beyond."""
HIDDEN, STEPS, BATCH = 64, 3000, 256
"""Of the behaviour-cloning network: two hidden layers, Adam at 1e-3. [CartPole, 24,000 steps: loss flat after
2,000.]"""


@dataclass(frozen=True)
class Material:
    """What baselines learn from: N steps of the training episodes."""

    observations: Values
    """(N, O)"""
    actions: Values
    """(N, A)"""
    tasks: NDArray[np.str_]
    """(N,)"""
    space: Space


class RowPolicy:
    """Each row has a function of its own, from an observation to an action."""

    def __init__(self, expert: str) -> None:
        self.expert = expert
        self.rows: list[tuple[Where, Act]] = []

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        from domains.robots.source.environments import Room

        known: dict[str, Space] = {}
        for where in wheres:
            if str(where) not in known:
                room = Room(where)
                known[str(where)] = room.spaces[1]
                room.close()
        self.spaces = [known[str(where)] for where in wheres]
        self.rows = [(w, actor(w, self.expert, s, seed)) for w, s, seed in zip(wheres, self.spaces, seeds, strict=True)]

    def restart(self, row: int, seed: int) -> None:
        where, _ = self.rows[row]
        self.rows[row] = where, actor(where, self.expert, self.spaces[row], seed)

    def keep(self, rows: Rows) -> None:
        self.rows = [self.rows[row] for row in rows.tolist()]
        self.spaces = [self.spaces[row] for row in rows.tolist()]

    def act(self, observations: Values, rewards: Values) -> Values:
        acts = zip(self.rows, self.spaces, observations, strict=True)
        return np.stack([space.clipped(act(seen)) for (_, act), space, seen in acts])


class Random(RowPolicy):
    """Uniform actions."""

    def __init__(self) -> None:
        super().__init__(RANDOM)


class Expert(RowPolicy):
    """Who made the data, without noise."""

    def __init__(self) -> None:
        super().__init__("expert")


class Learned:
    """A function of observation and task, without memory."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.center, self.spread = statistics(material.observations)
        self.wheres: list[Where] = []

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        self.wheres = list(wheres)

    def restart(self, row: int, seed: int) -> None:
        """Nothing is carried."""

    def keep(self, rows: Rows) -> None:
        self.wheres = [self.wheres[row] for row in rows.tolist()]

    def act(self, observations: Values, rewards: Values) -> Values:
        raise NotImplementedError

    def standardised(self, observations: Values) -> Values:
        """(N, O), 0 where a sensor gave nothing."""
        return np.nan_to_num((observations - self.center) / self.spread)


class LastAction(Learned):
    """The action before once more; the first is the most usual one (choices) or the mean (numbers)."""

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self.first = np.empty(material.space.width)
        for part, where in material.space.columns():
            column = material.actions[:, where]
            if part.kind == BOX:
                self.first[where] = column.mean(0)
            else:
                numbers, counts = np.unique(column[:, 0], return_counts=True)
                self.first[where] = numbers[counts.argmax()]

    def act(self, observations: Values, rewards: Values) -> Values:
        return np.tile(self.first, (len(observations), 1))


class NearestNeighbour(Learned):
    """What was done in the most similar observation of the training data of the same task."""

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        from scipy.spatial import cKDTree

        self.trees: dict[str, tuple[Any, Values]] = {}
        for task in np.unique(material.tasks).tolist():
            rows = np.flatnonzero(material.tasks == task)
            rows = rows[:: -(-len(rows) // NEIGHBOURS)]
            known = self.standardised(material.observations[rows])
            self.trees[task] = cKDTree(known), material.actions[rows]

    def act(self, observations: Values, rewards: Values) -> Values:
        found = np.empty((len(observations), self.material.space.width))
        scaled = self.standardised(observations)
        tasks = np.array([where.task if where.task in self.trees else next(iter(self.trees)) for where in self.wheres])
        for task in np.unique(tasks).tolist():
            rows = np.flatnonzero(tasks == task)
            tree, actions = self.trees[task]
            found[rows] = actions[tree.query(scaled[rows])[1]]
        return found


class CloningNetwork(Learned):
    """Behaviour cloning with a plain network of one observation: what a sequence model must beat to be worth it."""

    def __init__(self, material: Material, seed: int = 0) -> None:
        super().__init__(material)
        import torch
        from torch import nn

        self.tasks = {task: i for i, task in enumerate(np.unique(material.tasks).tolist())}
        space = material.space
        self.widths = [part.size for part in space.parts]
        boxes = [where for part, where in space.columns() if part.kind == BOX]
        self.boxes = np.array([column for where in boxes for column in range(where.start, where.stop)], int)
        self.action_center, self.action_spread = statistics(material.actions[:, self.boxes])
        given = material.observations.shape[1] + len(self.tasks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("robots-cloning", seed) % 2**31)
            self.net = nn.Sequential(
                nn.Linear(given, HIDDEN),
                nn.Tanh(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.Tanh(),
                nn.Linear(HIDDEN, sum(self.widths)),
            )
        self._train(seed)

    def _inputs(self, observations: Values, tasks: Many[str]) -> Any:
        import torch

        known = np.zeros((len(observations), len(self.tasks)))
        for row, task in enumerate(tasks):
            if task in self.tasks:
                known[row, self.tasks[task]] = 1
        whole = np.concatenate([self.standardised(observations), known], axis=1)
        return torch.from_numpy(whole.astype(np.float32))

    def _train(self, seed: int) -> None:
        import torch
        import torch.nn.functional as F

        material = self.material
        inputs = self._inputs(material.observations, material.tasks.tolist())
        optimizer = torch.optim.Adam(self.net.parameters(), 1e-3)
        actions = torch.from_numpy(material.actions)
        scaled = torch.from_numpy(
            ((material.actions[:, self.boxes] - self.action_center) / self.action_spread).astype(np.float32)
        )
        drawn = rng("robots-cloning-batches", seed)
        for _ in range(STEPS):
            rows = torch.from_numpy(drawn.integers(len(inputs), size=min(BATCH, len(inputs))))
            outputs = self.net(inputs[rows]).split(self.widths, -1)
            losses, at = [], 0
            for part, where, said in zip(material.space.parts, self._columns(), outputs, strict=True):
                if part.kind == BOX:
                    losses.append(F.mse_loss(said, scaled[rows, at : at + part.size]))
                    at += part.size
                else:
                    losses.append(F.cross_entropy(said, actions[rows, where.start].long() - part.first))
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def _columns(self) -> list[slice]:
        return [where for _, where in self.material.space.columns()]

    def act(self, observations: Values, rewards: Values) -> Values:
        import torch

        with torch.inference_mode():
            said = self.net(self._inputs(observations, [where.task for where in self.wheres]))
        outputs = [o.double().numpy() for o in said.split(self.widths, -1)]
        actions, at = np.empty((len(observations), self.material.space.width)), 0
        for (part, where), output in zip(self.material.space.columns(), outputs, strict=True):
            if part.kind == BOX:
                ends = slice(at, at + part.size)
                actions[:, where] = output * self.action_spread[ends] + self.action_center[ends]
                at += part.size
            else:
                actions[:, where.start] = output.argmax(-1) + part.first
        clipped: Values = self.material.space.clipped(actions)
        return clipped


def has_expert(where: Where) -> bool:
    """Whether somebody here can do the task."""
    return where.is_metaworld or where.env_id in CLASSIC


BASELINES = ("random", "expert", "last_action", "nearest_neighbour", "behaviour_cloning")


def make_policy(name: str, material: Material, seed: int) -> Any:
    """One of BASELINES, trained where it learns."""
    if name == "random":
        return Random()
    if name == "expert":
        return Expert()
    if name == "last_action":
        return LastAction(material)
    if name == "nearest_neighbour":
        return NearestNeighbour(material)
    return CloningNetwork(material, seed)
