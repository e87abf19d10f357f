"""The list that both sides judge; the package itself is fetched by hand, see the script."""

from __future__ import annotations

import pytest

from benchmarks import moses_package


@pytest.mark.network
@pytest.mark.slow
def test_the_list_has_something_for_every_metric() -> None:
    pytest.importorskip("fcd_torch", reason="ChemNet's distance is one of the metrics")
    listed, reference, train = moses_package.lists(100)
    assert len(listed) == len(reference) == 100
    found = moses_package.ours(listed, reference, train)
    assert 0.8 < found["valid"] < 1
    assert 0.8 < found["unique"] < 1
    assert 0.5 < found["novelty"] < 1
    assert 0.8 < found["filters"] < 1
    assert found["fcd_test"] > 0
