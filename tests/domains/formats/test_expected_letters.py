"""What a model expected at each letter: of the stretch that it finds likeliest, where tokens are letters at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.sequence import Sequence, Symbols
from core.vocabulary import SPECIALS, Vocabulary
from domains.formats.expected_letters import Expected, likeliest_stretch
from tests.core.memory_store import MemoryStore

FIRST = len(SPECIALS)
C = FIRST + 1


class Knower:
    """Finds every C likely, and expects a C where one comes; else it expects anything."""

    def score_spans(self, store: Any, spans: Any) -> Any:
        for row, start, stop in spans.tolist():
            yield np.where(store.records[row].arrays["tokens"][start:stop] == C, 0.1, 1.0).astype(np.float32)

    def next_symbols(self, sequence: Sequence) -> Any:
        found = np.full((len(sequence) + 1, FIRST + 4), np.log(0.01), np.float32)
        found[:-1][sequence.arrays["tokens"] == C, C] = np.log(0.97)
        return found


def stretch(text: str, symbols: tuple[str, ...] = tuple("ACGT"), **options: Any) -> Expected | None:
    vocabulary = Vocabulary(symbols)
    store: Any = MemoryStore([Sequence({"tokens": vocabulary.encode(text)}, "chr1")], Symbols(vocabulary))
    store.ids, store.n_tokens = ["chr1"], len(text)
    return likeliest_stretch(Knower(), store, np.array([0, 0, len(text)]), "ACGT", **options)


def test_the_likeliest_stretch_with_what_was_expected_there() -> None:
    found = stretch("AGTAGTAGCCACCTGAGT", length=5)
    assert found is not None
    assert (found.record, found.first, found.text) == ("chr1", 9, "CCACC")
    assert found.shares.sum(axis=1) == pytest.approx(np.ones(5))
    assert found.shares[0] == pytest.approx([0.01, 0.97, 0.01, 0.01])
    assert found.shares[2] == pytest.approx([0.25] * 4)


def test_letters_that_are_not_of_the_alphabet_are_in_no_stretch() -> None:
    found = stretch("CCCNCCCCAAG", (*"ACGT", "N"), length=5)
    assert found is not None
    assert found.text == "CCCCA"
    assert stretch("CCNCC", (*"ACGT", "N"), length=5) is None
    assert stretch("CCC", length=5) is None


def test_pieces_have_no_distribution_over_letters() -> None:
    assert stretch("CCCCCC", (*"ACGT", "AC"), length=5) is None
    assert stretch("CCCCCC", tuple("ACG"), length=5) is None


def test_the_first_letter_of_a_record_does_not_draw_the_stretch_to_it() -> None:
    found = stretch("CAGTAGCGTA", length=5)
    assert found is not None
    assert (found.first, found.text) == (3, "GTAGC")
    assert stretch("CAGTA", (*"ACGT", "N"), length=5) is not None
    only = stretch("CAGTANN", (*"ACGT", "N"), length=5)
    assert only is not None
    assert only.first == 1
