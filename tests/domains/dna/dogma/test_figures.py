"""Points of the figure of translation stand for enough genes, whatever their lengths."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation import MODEL
from domains.dna.dogma.figures import by_length, exact_by_length

CODONS = {
    "most of one length": np.concatenate([np.arange(1, 10).repeat(3), np.full(270, 10)]),
    "all alike": np.random.default_rng(0).integers(1, 33, 1000),
    "few": np.array([1, 2, 3]),
    "a lone long one": np.array([*[4] * 40, 9]),
}


@pytest.mark.parametrize("what", CODONS)
def test_a_point_has_twenty_genes_or_all(what: str) -> None:
    codons = CODONS[what]
    bins = by_length(codons)
    sizes = np.bincount(bins)
    assert sizes.min() >= min(20, len(codons))
    assert (np.diff(bins[np.argsort(codons, kind="stable")]) >= 0).all()
    assert len(sizes) == {"most of one length": 2, "all alike": 7}.get(what, 1)


def test_shares_are_those_of_the_genes() -> None:
    codons = CODONS["most of one length"]
    axes = exact_by_length({MODEL: (codons == 10).astype(float)}, codons)
    (container,) = axes.containers
    assert container[0].get_ydata().tolist() == [0, 1]
