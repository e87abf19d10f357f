"""The record of the domain: one episode, from a reset to its end.

Observations are one more than actions where the last one was kept (T + 1), or as many (T). What an evaluation must know
of it (environment, task, seed, expert) travels with it as labels of the store's row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.errors import InputError, RecordError
from domains.robots.source.spaces import Space, Values


@dataclass(frozen=True)
class Episode:
    """T steps. Raises InputError where the arrays' shapes contradict each other."""

    id: str
    observations: Values
    """(T + 1, O), or (T, O) where the one after the last action is not known; NaN where a sensor gave nothing."""
    actions: Values
    """(T, A); a choice is its number."""
    rewards: Values
    """(T,), NaN where not known."""
    terminated: bool = False
    """Whether the task ended it (fallen, landed), rather than a limit of time."""
    truncated: bool = False
    env_id: str = ""
    """As gymnasium calls it; empty where no environment is known, so that nothing can be rolled out."""
    task: str = ""
    """One of several tasks of an environment."""
    seed: int = -1
    """Of the reset; -1 where not known."""
    expert: str = ""
    """Who acted."""
    noise: float = 0.0
    """Share of random actions, or deviation of the noise on them, as the expert's noise level says."""
    success: float = float("nan")
    """1 where the task was solved at some step, 0 where not, NaN where the environment does not say."""
    observation_space: Space | None = None
    action_space: Space | None = None
    split: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the environment is made with beside its id."""
    place: tuple[str, int | None, int | None] = ("", None, None)
    """File, line and byte offset."""
    prompt: int = 0
    """Steps at its beginning that are demonstrations by others (`prompted`)."""
    intended: Values | None = None
    """(T, A) what the expert wanted at each step, where noise was put on what was done (DART: Laskey et al. 2017, arXiv
    1703.09327); NaN between demonstrations; None where it is not known."""

    def __post_init__(self) -> None:
        for name in ("observations", "actions", "rewards"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        if self.intended is not None:
            object.__setattr__(self, "intended", np.asarray(self.intended, np.float64))
            if self.intended.shape != self.actions.shape:
                shapes = f"{self.intended.shape} intended, {self.actions.shape} actions"
                raise InputError(f"episode '{self.id}' has shapes {shapes}, expected the same")
        observations, actions, rewards = self.observations, self.actions, self.rewards
        if observations.ndim != 2 or actions.ndim != 2 or rewards.ndim != 1:
            shapes = f"{observations.shape}, {actions.shape}, {rewards.shape}"
            raise InputError(f"episode '{self.id}' has shapes {shapes}, expected (T or T + 1, O), (T, A), (T,)")
        steps = len(actions)
        if len(rewards) != steps or len(observations) not in (steps, steps + 1):
            raise InputError(
                f"episode '{self.id}' has {len(observations)} observations, {steps} actions and {len(rewards)} rewards",
                hint="T actions have T rewards and T or T + 1 observations; are the ends of episodes right?",
            )

    def __len__(self) -> int:
        """T, steps."""
        return len(self.actions)

    @property
    def has_final(self) -> bool:
        """Whether the observation after the last action is there."""
        return len(self.observations) == len(self.actions) + 1

    @property
    def total(self) -> float:
        """The return, undiscounted, without the prompt's; NaN where a reward is not known."""
        return float(self.rewards[self.prompt :].sum())

    @property
    def wanted(self) -> Values:
        """(T, A) what the expert intended, or what was done where nothing else is known."""
        return self.actions if self.intended is None else self.intended

    @property
    def query(self) -> Episode:
        """The episode without the demonstrations before it."""
        return self.part(self.prompt, len(self)) if self.prompt else self

    def labels(self) -> dict[str, Any]:
        """What a store keeps of it beside its arrays: plain numbers and texts, the same keys for every episode."""
        return {
            "env_id": self.env_id,
            "task": self.task,
            "seed": int(self.seed),
            "expert": self.expert,
            "noise": float(self.noise),
            "success": float(self.success),
            "terminated": bool(self.terminated),
            "truncated": bool(self.truncated),
            "options": json.dumps(dict(self.options), sort_keys=True),
            "return": self.total,
            "prompt": int(self.prompt),
        }

    @classmethod
    def from_labels(
        cls, name: str, observations: Values, actions: Values, rewards: Values, labels: Mapping[str, Any]
    ) -> Episode:
        """The episode that has these arrays and `labels()`; what the labels lack has its default."""
        return cls(
            name,
            observations,
            actions,
            rewards,
            bool(labels.get("terminated", False)),
            bool(labels.get("truncated", False)),
            str(labels.get("env_id", "")),
            str(labels.get("task", "")),
            int(labels.get("seed", -1)),
            str(labels.get("expert", "")),
            float(labels.get("noise", 0.0)),
            float(labels.get("success", np.nan)),
            options=json.loads(str(labels.get("options") or "{}")),
            prompt=int(labels.get("prompt", 0)),
        )

    def part(self, start: int, stop: int) -> Episode:
        """Steps [start, stop), with the observation that follows them where it is there."""
        last = stop == len(self)
        intended = self.intended
        return replace(
            self,
            observations=self.observations[start : stop + 1],
            actions=self.actions[start:stop],
            rewards=self.rewards[start:stop],
            terminated=self.terminated and last,
            truncated=self.truncated and last,
            prompt=min(max(self.prompt - start, 0), stop - start),
            intended=None if intended is None else intended[start:stop],
        )


def prompted(query: Episode, demonstrations: Sequence[Episode]) -> Episode:
    """`query` behind demonstrations of the same task, in one record (ICRT: Fu et al. 2024, arXiv 2408.15980).

    From the last observation of one to the first of the next leads a step without an action and with no reward.
    """
    gap = np.full((1, query.actions.shape[1]), np.nan)

    def joined(arrays: Sequence[Values]) -> Values:
        """Of each demonstration and of the query."""
        gaps = [gap if d.has_final else gap[:0] for d in demonstrations]
        return np.concatenate([*(a for pair in zip(arrays, gaps, strict=False) for a in pair), arrays[-1]])

    wanted = [one.intended for one in (*demonstrations, query)]
    known = [one for one in wanted if one is not None]
    rewards = [one for d in demonstrations for one in (d.rewards, np.zeros(int(d.has_final)))]
    return replace(
        query,
        observations=np.concatenate([*(d.observations for d in demonstrations), query.observations]),
        actions=joined([one.actions for one in (*demonstrations, query)]),
        rewards=np.concatenate([*rewards, query.rewards]),
        prompt=sum(len(d.observations) for d in demonstrations),
        intended=joined(known) if len(known) == len(wanted) else None,
    )


def as_episode(record: Any) -> Episode:
    """An Episode as it is. Raises RecordError for anything else."""
    if isinstance(record, Episode):
        return record
    raise RecordError("no_episode", f"expected an Episode, got {type(record).__name__}")
