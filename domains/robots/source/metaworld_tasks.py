"""Meta-World (McLean et al. 2025, arXiv 2505.11289): its tasks, and the scripted policies that come with it.

Two traps of version 3.1: `reset(seed=)` is ignored, only `make(seed=)` changes the goals; and success does not end an
episode. environments.py deals with the first, the episode's length and two names of success with the second.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from domains.robots.source.environments import imported
from domains.robots.source.experts import Act
from domains.robots.source.spaces import Values

MT10 = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "peg-insert-side-v3",
    "window-open-v3",
    "window-close-v3",
)
"""The ten tasks of MT10 (Yu et al. 2019, arXiv 1910.10897)."""


def all_tasks() -> list[str]:
    """Every task that has a scripted policy. Raises ConfigError where Meta-World is not installed."""
    return sorted(_policies())


def policy(task: str) -> Act:
    """The scripted policy of a task: (39,) -> (4,), clipped to what the environment takes."""
    scripted = _policies()[task]()

    def act(observation: Values) -> Values:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it asks for more than 1, which is clipped here
            wanted = scripted.get_action(observation)
        return np.clip(np.asarray(wanted, np.float64), -1.0, 1.0)

    return act


def _policies() -> Any:
    imported("metaworld")
    return imported("metaworld.policies").ENV_POLICY_MAP
