"""Which policy a model is, by its tokenizer, and what it says of recorded episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.engine import Engine
from domains.robots.evaluation.closed_loop import Policy
from domains.robots.source.episode import Episode


def model_policy(
    engine: Engine,
    tokenizer: Any,
    config: Any,
    targets: dict[str, float],
    prompts: Mapping[str, Episode] | None = None,
) -> Policy:
    """A policy of the engine's model; `targets` are returns to ask for and `prompts` demonstrations to read first, by
    environment."""
    from domains.robots.evaluation.chunks_policy import ChunksPolicy
    from domains.robots.evaluation.components_policy import ComponentsPolicy
    from domains.robots.evaluation.model_policy import ModelPolicy

    kinds: dict[str, Any] = {
        "robots_continuous": ModelPolicy,
        "robots_components": ComponentsPolicy,
        "robots_chunks": ChunksPolicy,
    }
    more = {"prompts": prompts} if prompts else {}
    made: Policy = kinds[tokenizer.kind](
        engine.model,
        tokenizer,
        target_return=targets,
        temperature=config.temperature,
        context=config.context,
        seed=config.seed,
        **more,
    )
    return made
