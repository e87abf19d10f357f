"""A cache of its own for every test session, and a few tiny demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Space, box


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORETELL_CACHE", str(place))
        yield place


def episode(
    name: str = "a", steps: int = 12, *, seed: int = 0, space: Space | None = None, final: bool = True, **more
) -> Episode:
    """Three moving sensors and one that stands still; two numbers, or as the space says, as an action."""
    rng = np.random.default_rng(seed)
    space = space or box(2, low=-1, high=1)
    observations = np.cumsum(rng.standard_normal((steps + 1, 4)), axis=0)
    observations[:, 3] = 2.5
    low, high = space.bounds
    actions = rng.uniform(-1, 1, (steps, space.width))
    if space.discrete:
        actions = rng.integers(low.astype(int), high.astype(int) + 1, (steps, space.width)).astype(float)
    return Episode(
        name,
        observations if final else observations[:-1],
        actions,
        rng.standard_normal(steps),
        truncated=True,
        env_id="Nowhere-v0",
        seed=seed,
        action_space=space,
        **more,
    )


@pytest.fixture
def episodes() -> list[Episode]:
    return [episode(f"e{i}", 8 + i, seed=i) for i in range(6)]
