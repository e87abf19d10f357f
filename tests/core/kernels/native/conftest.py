"""What the tests of the C++ kernels share: they need a compiler, and say so where there is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.kernels import native


@pytest.fixture
def needs() -> Callable[[str], None]:
    """`needs("conv")` skips the test where the library cannot be had."""

    def check(name: str) -> None:
        if native.obstacle(name):
            pytest.skip(native.obstacle(name))

    return check
