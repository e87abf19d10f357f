"""Mutations: making them, undoing them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecordError
from domains.formats.mutations import mutate, mutations_between, parse_mutations, reference_of

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def test_mutations_are_made_and_undone() -> None:
    assert parse_mutations("A2G:k30R") == [("A", 1, "G"), ("K", 29, "R")]
    assert mutate(b"MAKV", "A2G:V4*") == b"MGK*"
    assert reference_of(b"MGK*", "A2G:V4*") == b"MAKV"
    assert parse_mutations("WT") == parse_mutations("") == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(RESIDUES), st.sampled_from(RESIDUES + "*")), min_size=1, max_size=40))
def test_what_differs_says_how_to_get_there_and_back(pairs: list[tuple[str, str]]) -> None:
    wild, variant = ("".join(side).encode() for side in zip(*pairs, strict=True))
    text = mutations_between(wild, variant)
    assert mutate(wild, text) == variant
    assert reference_of(variant, text) == wild


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("24G", "bad_mutant", "'24G' is no mutation"),
        ("A0G", "bad_mutant", "is no mutation"),
        ("A2G:A2K", "bad_mutant", "mutated twice"),
        ("K2G", "wild_type_mismatch", "K2G says K at position 2, reference 'P1' has A"),
        ("A20G", "mutant_out_of_range", "position 20 is beyond reference 'P1'"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, reason: str, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        mutate(b"MAKV", text, "v", "reference 'P1'")
    assert caught.value.reason == reason
    assert message in caught.value.message


def test_a_variant_without_its_mutation_is_refused() -> None:
    with pytest.raises(RecordError, match="says G at position 2, the mutated sequence has A"):
        reference_of(b"MAKV", "K2G", "v")
