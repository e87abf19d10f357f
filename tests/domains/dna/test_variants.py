"""Scores of variants against a scorer whose likelihoods are known by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from core.errors import ConfigError
from domains.dna.variants import compare
from domains.formats.seq_record import letters_of, make_record
from domains.formats.vcf import Variant, VariantPair

COSTS = {"A": 1.0, "C": 2.0, "G": 4.0, "T": 8.0}


class Costs:
    """Each base costs a fixed number of nats; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, records: Iterable) -> list:
        texts = [letters_of(record).decode() for record in records]
        self.asked += len(texts)
        return [SimpleNamespace(nats=sum(COSTS[letter] for letter in text)) for text in texts]


def pair(index: int, ref: str, alt: str) -> VariantPair:
    variant = Variant(index, 3 + index, "chr1", 9, f"v{index}", ref, alt)
    readings = [make_record(f"AC{middle}GT".encode(), "window") for middle in (ref, alt)]
    return VariantPair(variant, *readings)


def test_the_ratio_is_the_difference_of_the_windows() -> None:
    found = list(compare(Costs(), [pair(0, "C", "T"), pair(1, "T", "TA"), pair(2, "GG", "G")]))
    assert [c.llr for c in found] == [-6.0, -1.0, 4.0]
    assert (found[0].nll_ref, found[0].nll_alt) == (17.0, 23.0)


def test_both_strands_are_averaged() -> None:
    (found,) = compare(Costs(), [pair(0, "C", "T")], strands="both")
    # on the other strand C > T is G > A: 4 nats to 1
    assert math.isclose(found.llr, (-6.0 + 3.0) / 2)


def test_order_and_number_hold_over_many_pairs() -> None:
    scorer = Costs()
    found = list(compare(scorer, (pair(i, "C", "ACGT"[i % 4]) for i in range(600))))
    assert [c.variant.index for c in found] == list(range(600))
    assert [c.llr for c in found] == [2.0 - COSTS["ACGT"[i % 4]] for i in range(600)]
    assert scorer.asked == 1200


def test_unknown_strands_are_refused() -> None:
    with pytest.raises(ConfigError, match="strands"):
        list(compare(Costs(), [], strands="reverse"))
