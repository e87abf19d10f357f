"""Roll-outs: several environments side by side, a policy that acts in all of them at once, episodes one after another.

A row is one environment with a list of starts; when its episode ends, the next one begins in its place, and when its
list is done the row leaves. Policies see observations only as an agent would. What each episode came to is an
Outcome.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from domains.robots.source.environments import Room, Where
from domains.robots.source.spaces import Values

Rows = NDArray[np.int64]


class Policy(Protocol):
    """Acts in R rows at once."""

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        """Rows start anew, one an environment, each at the first observation of an episode."""
        ...

    def restart(self, row: int, seed: int) -> None:
        """Another episode begins in a row."""
        ...

    def keep(self, rows: Rows) -> None:
        """Only these rows go on, in this order."""
        ...

    def act(self, observations: Values, rewards: Values) -> Values:
        """(R, O) observations and (R,) rewards that came with them -> (R, A) actions inside the space."""
        ...


@dataclass
class Outcome:
    """One episode."""

    where: Where
    seed: int
    total: float = 0.0
    """The return, undiscounted."""
    steps: int = 0
    terminated: bool = False
    success_any: float = float("nan")
    """1 where the task was solved at some step; NaN where the environment does not say."""
    success_last: float = float("nan")
    """1 where it was solved at the last step."""


@dataclass
class Trace:
    """What one episode looked like, for figures."""

    observations: list[Values] = field(default_factory=list)
    actions: list[Values] = field(default_factory=list)


@dataclass
class Runs:
    """Episodes of one policy, and what they cost."""

    outcomes: list[Outcome]
    """In the order of environments and their starts."""
    act_seconds: float
    """Spent in the policy."""
    step_seconds: float
    """Spent in the environments."""
    actions: int
    """How many actions were taken."""
    calls: int
    """How often the policy was asked, for all rows at once."""
    trace: Trace
    """Of the first row's first episode."""

    def __add__(self, other: Runs) -> Runs:
        """Both, one after the other."""
        return Runs(
            self.outcomes + other.outcomes,
            self.act_seconds + other.act_seconds,
            self.step_seconds + other.step_seconds,
            self.actions + other.actions,
            self.calls + other.calls,
            self.trace,
        )

    @property
    def latency(self) -> float:
        """Milliseconds from an observation to an action, for all rows together."""
        return 1e3 * self.act_seconds / max(1, self.calls)


def run(
    policy: Policy,
    starts: Many[tuple[Where, Many[int]]],
    *,
    max_steps: int = 0,
    drop: Many[int] = (),
    changes: dict[str, float] | None = None,
    rooms: Many[Room] | None = None,
) -> Runs:
    """Runs every start of every row.

    Args:
        starts: per row an environment and its seeds, at least one.
        max_steps: steps of an episode at most; 0: the environment's own limit.
        drop: columns of the observation that the policy does not see (NaN).
        changes: physical constants that are multiplied, by name.
        rooms: environments to use; None makes them.

    Raises ConfigError as `Room`.
    """
    made = list(rooms) if rooms is not None else [Room(where, changes=changes) for where, _ in starts]
    outcomes = [[Outcome(where, int(seed)) for seed in seeds] for where, seeds in starts]
    number = [0] * len(starts)
    live = np.arange(len(starts))
    seen = np.stack([room.reset(one[0].seed) for room, one in zip(made, outcomes, strict=True)])
    got = np.zeros(len(starts))
    policy.begin([where for where, _ in starts], [one[0].seed for one in outcomes])
    trace = Trace()
    acting = stepping = 0.0
    actions_taken = calls = 0
    while len(live):
        shown = seen.copy()
        shown[:, list(drop)] = np.nan
        began = time.perf_counter()
        actions = policy.act(shown, got)
        middle = time.perf_counter()
        acting += middle - began
        calls += 1
        actions_taken += len(live)
        if live[0] == 0 and number[0] == 0:
            trace.observations.append(seen[0].copy())
            trace.actions.append(np.array(actions[0]))
        stay = np.ones(len(live), bool)
        restarted: list[tuple[int, int]] = []
        for place, row in enumerate(live.tolist()):
            one = outcomes[row][number[row]]
            observation, reward, terminated, truncated, success = made[row].step(actions[place])
            seen[place], got[place] = observation, reward
            one.total += reward
            one.steps += 1
            if not np.isnan(success):
                one.success_last = success
                one.success_any = max(success, 0.0 if np.isnan(one.success_any) else one.success_any)
            if not (terminated or truncated or (max_steps and one.steps >= max_steps)):
                continue
            one.terminated = terminated
            number[row] += 1
            if number[row] < len(outcomes[row]):
                following = outcomes[row][number[row]].seed
                seen[place], got[place] = made[row].reset(following), 0.0
                restarted.append((place, following))
            else:
                stay[place] = False
        stepping += time.perf_counter() - middle
        for place, seed in restarted:
            policy.restart(place, seed)
        if not stay.all():
            kept = np.flatnonzero(stay)
            live, seen, got = live[kept], seen[kept], got[kept]
            policy.keep(kept)
    if rooms is None:
        for room in made:
            room.close()
    return Runs([one for row in outcomes for one in row], acting, stepping, actions_taken, calls, trace)
