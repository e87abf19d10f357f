"""The longest copy, against a search that tries every substring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import copying
from core.copying import longest_copies
from core.errors import ConfigError

DNA_COMPLEMENT = (3, 2, 1, 0)
texts = st.lists(st.integers(0, 3), max_size=30).map(lambda c: np.array(c, np.uint8))
broken_texts = st.lists(st.sampled_from([0, 1, 2, 3, 9]), max_size=30).map(lambda c: np.array(c, np.uint8))


def test_finds_what_was_copied():
    """The example: 300 letters of a random sample stand in the corpus, 40 of another on its other strand."""
    rng = np.random.default_rng(0)
    corpus = rng.integers(0, 4, 50_000).astype(np.uint8)
    copied, reversed_, novel = (rng.integers(0, 4, 1000).astype(np.uint8) for _ in range(3))
    copied[100:400] = corpus[7000:7300]
    reversed_[200:240] = 3 - corpus[900:940][::-1]
    found = longest_copies([copied, reversed_, novel], [corpus], 4, complement=DNA_COMPLEMENT)
    assert 300 <= found[0] <= 306
    assert 40 <= found[1] <= 46
    assert 7 <= found[2] <= 20
    assert longest_copies([reversed_], [corpus], 4)[0] < 40


def by_hand(query, corpus, complement):
    best, strands = 0, [query]
    if complement is not None:
        strands.append(np.array([*complement] + [9] * 252, np.uint8)[query][::-1])
    for strand in strands:
        text = bytes(strand)
        for i in range(len(text)):
            while i + best < len(text) and max(text[i : i + best + 1]) < 4:
                if not any(text[i : i + best + 1] in bytes(piece) for piece in corpus):
                    break
                best += 1
    return best


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(texts, broken_texts), max_size=4),
    st.lists(st.one_of(texts, broken_texts), max_size=3),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([2, 7, 2**20]),
)
def test_equals_a_search_by_hand(queries, corpus, taken, both_strands, block):
    if corpus and queries:
        queries = [*queries, np.concatenate([queries[0], corpus[0][:taken], queries[-1]])]
    complement = DNA_COMPLEMENT if both_strands else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "BLOCK", block)
        found = longest_copies(queries, corpus, 4, complement=complement)
    assert found.tolist() == [by_hand(query, corpus, complement) for query in queries]


def test_repeats_do_not_explode():
    """A corpus and a sample of one letter match everywhere: 10^9 pairs if each were looked at."""
    corpus = np.zeros(200_000, np.uint8)
    found = longest_copies([np.zeros(5000, np.uint8)], [corpus], 4, complement=DNA_COMPLEMENT)
    assert found.tolist() == [5000]


def test_a_large_alphabet_works():
    rng = np.random.default_rng(1)
    corpus = rng.integers(0, 200, 5000).astype(np.uint8)
    query = rng.integers(0, 200, 100).astype(np.uint8)
    query[10:40] = corpus[50:80]
    assert longest_copies([query], [corpus], 200).tolist() == [30]


def test_an_alphabet_of_one_letter_is_refused():
    with pytest.raises(ConfigError, match="got 1"):
        longest_copies([np.zeros(3, np.uint8)], [], 1)
