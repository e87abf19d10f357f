"""A model of vectors as a model of the world: it goes on by itself from a recorded beginning, actions and all.

After `CONTEXT` recorded steps it reads its own observations and the actions that it would take. How far it strays
from what was recorded, h steps later, stands beside an observation that stays as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from core.engine import Engine
from core.evaluation import MODEL, Totals
from domains.robots.evaluation.model_policy import ModelPolicy
from domains.robots.source.environments import Where
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Values
from domains.robots.tokenizer.continuous import OBSERVATION

CONTEXT = 16
"""Recorded steps that are read before."""
AHEAD = (5, 20)
"""Steps after which the error is told; that after one step stands in the open loop."""
EPISODES = 64
"""At most."""


def imagine(engine: Engine, tokenizer: Any, episodes: list[Episode]) -> dict[int, dict[str, Totals]]:
    """Per number of steps ahead root mean square errors by model, one an episode, in units of each column's deviation.

    Episodes that are too short, or of which something in the beginning is missing, are left out; none for a tokenizer
    that predicts no observations.
    """
    needed = CONTEXT + max(AHEAD) + 1
    config = tokenizer.config
    if tokenizer.kind != "robots_continuous" or not config.predict_observations:
        return {}
    moving = ~np.asarray(config.constant, bool)
    chosen = [
        one
        for one in episodes
        if len(one.observations) >= needed
        and np.isfinite(one.observations[:needed]).all()
        and np.isfinite(one.actions[:CONTEXT]).all()
    ][:EPISODES]
    if not chosen:
        return {}
    seen = np.stack([one.observations[:needed] for one in chosen])
    done = np.stack([one.actions[:CONTEXT] for one in chosen])
    made = _continued(engine, tokenizer, chosen, seen, done)
    scale = np.asarray(config.scale)[moving]
    last = seen[:, CONTEXT]
    found: dict[int, dict[str, Totals]] = {}
    for ahead in AHEAD:
        truth = seen[:, CONTEXT + ahead]
        errors = {
            model: np.sqrt((((guess - truth)[:, moving] / scale) ** 2).mean(axis=1))
            for model, guess in ((MODEL, made[:, ahead - 1]), ("no_change", last))
        }
        found[ahead] = {model: Totals(error, np.ones(len(error))) for model, error in errors.items()}
    return found


def _continued(engine: Engine, tokenizer: Any, episodes: list[Episode], seen: Values, done: Values) -> Values:
    """(R, max(AHEAD), O) observations that the model makes after the recorded ones [0, CONTEXT]."""
    policy = ModelPolicy(engine.model, tokenizer)
    policy.begin([Where(one.env_id, one.task) for one in episodes], [0] * len(episodes))
    still = np.zeros(len(episodes))
    made: list[Values] = []
    constant = np.asarray(tokenizer.config.constant, bool)
    observation = seen[:, 0]
    for step in range(CONTEXT + max(AHEAD)):
        hidden = policy.read(observation, still)
        with torch.inference_mode():
            mean = policy.reader.carried.readings()[OBSERVATION].mean(hidden.unsqueeze(1))[:, 0]
        foreseen = mean.double().cpu().numpy()
        actions = policy.choose(hidden)
        policy.advance(done[:, step] if step < CONTEXT else actions)
        if step < CONTEXT:
            observation = seen[:, step + 1]
        else:
            observation = np.where(constant, observation, foreseen)
            made.append(observation)
    return np.stack(made, axis=1)
