"""A cache of its own for every test session: nothing is read from, or left in, the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domains.chaos.source.integrate import fresh_start, sample
from domains.chaos.source.sampling import sampling_step
from domains.chaos.source.systems import BUILT_IN


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORETELL_CACHE", str(place))
        yield place


@pytest.fixture(scope="session")
def orbit():
    """`orbit(name, points, number)`: (points, C) of a built-in system at its usual step, made once."""
    made: dict[tuple[str, int, int], np.ndarray] = {}

    def get(name: str, points: int, number: int = 0) -> np.ndarray:
        key = (name, points, number)
        if key not in made:
            system = BUILT_IN[name]
            transient = 20 / (system.lyapunov or 1)
            start = fresh_start(system, "test", number)
            made[key] = sample(system, start, points, sampling_step(system), transient=transient, seconds=60)
        return made[key]

    return get
