"""Which policy a model is, by its tokenizer, and what it says of recorded episodes."""

from __future__ import annotations

from typing import Any

from core.engine import Engine
from domains.robots.evaluation.closed_loop import Policy


def model_policy(engine: Engine, tokenizer: Any, config: Any, targets: dict[str, float]) -> Policy:
    """A policy of the engine's model; `targets` are returns to ask for, by environment or task."""
    from domains.robots.evaluation.chunks_policy import ChunksPolicy
    from domains.robots.evaluation.components_policy import ComponentsPolicy
    from domains.robots.evaluation.model_policy import ModelPolicy

    kinds: dict[str, Any] = {
        "robots_continuous": ModelPolicy,
        "robots_components": ComponentsPolicy,
        "robots_chunks": ChunksPolicy,
    }
    made: Policy = kinds[tokenizer.kind](
        engine.model,
        tokenizer,
        target_return=targets,
        temperature=config.temperature,
        context=config.context,
        seed=config.seed,
    )
    return made
